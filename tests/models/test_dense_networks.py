"""The dense VAE and GAN: shapes, the losses of the textbook, and what training steps do."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from vrapp.models.dense import DenseConfig, DenseGAN, DenseVAE, critic_loss, generator_loss

SMALL = DenseConfig((16,), 4)


def test_the_row_has_the_widths_it_is_named_for() -> None:
    model = DenseVAE(DenseConfig((200, 200), 50))
    assert model.config.name == "784-200-200-50"
    assert sum(p.numel() for p in model.encoder.parameters()) == 785 * 200 + 201 * 200 + 201 * 100
    assert sum(p.numel() for p in model.decoder.parameters()) == 51 * 200 + 201 * 200 + 201 * 784


def test_kl_is_the_closed_form() -> None:
    torch.manual_seed(0)
    model, x = DenseVAE(SMALL), torch.rand(3, 784).round()
    mean, log_variance = model.encode(x)
    bound, kl = model.elbo(x, torch.zeros(3, 4))
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(1)
    assert torch.allclose(kl, expected, atol=1e-5)
    assert torch.allclose(bound, model.log_likelihood(x, mean) - kl, atol=1e-4)


@pytest.mark.parametrize("pixels", ["bernoulli", "gaussian"])
def test_the_likelihood_is_that_of_the_pixels(pixels: str) -> None:
    torch.manual_seed(0)
    model, z = DenseVAE(DenseConfig((16,), 4, pixels)), torch.randn(2, 4)  # type: ignore[arg-type]
    torch.nn.init.constant_(model.log_deviation, -0.5)
    x = torch.rand(2, 784).round()
    shown = model.decode(z)
    if pixels == "bernoulli":
        expected = torch.distributions.Bernoulli(shown).log_prob(x).sum(1)
    else:
        expected = Normal(shown, math.exp(-0.5)).log_prob(x).sum(1)
    assert torch.allclose(model.log_likelihood(x, z), expected, rtol=1e-4)


def test_log_weights_have_the_elbo_as_their_mean() -> None:
    torch.manual_seed(0)
    model, x = DenseVAE(SMALL), torch.rand(2, 784).round()
    noise = torch.randn(4000, 2, 4)
    sampled = model.log_weights(x, noise).mean(0)
    analytic = torch.stack([model.elbo(x, some)[0] for some in noise[:400]]).mean(0)
    assert torch.allclose(sampled, analytic, atol=0.6)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="784"):
        DenseVAE(SMALL).encode(torch.zeros(2, 28, 28))
    with pytest.raises(ValueError, match="784"):
        DenseGAN(SMALL).criticise(torch.zeros(2, 28))


def test_it_starts_at_the_mean_picture() -> None:
    mean = torch.full((784,), 0.3)
    for model in (DenseVAE(SMALL), DenseGAN(SMALL)):
        model.start_from(mean)
        assert model.sample(torch.zeros(1, 4)).mean().item() == pytest.approx(0.3, abs=0.05)


def test_gan_losses_at_known_outputs() -> None:
    real, made = torch.tensor([2.0, 0.0]), torch.tensor([-2.0, 0.5])
    assert critic_loss(real, made, "hinge") == pytest.approx(0.5 + 0.75)
    assert generator_loss(made, "hinge") == pytest.approx(0.75)
    at_zero = torch.zeros(2)
    assert critic_loss(at_zero, at_zero, "non_saturating") == pytest.approx(2 * math.log(2))
    assert generator_loss(at_zero, "non_saturating") == pytest.approx(math.log(2))


def test_the_critic_is_nearly_one_lipschitz() -> None:
    torch.manual_seed(0)
    model = DenseGAN(SMALL).train()
    for _ in range(30):  # the power iteration settles
        model.criticise(torch.rand(2, 784))
    model.eval()
    for layer in model.critic_body[::2]:
        assert torch.linalg.matrix_norm(layer.weight.detach(), 2) == pytest.approx(1.0, abs=0.05)


def test_the_critic_tells_and_the_generator_follows() -> None:
    torch.manual_seed(0)
    model = DenseGAN(DenseConfig((16,), 4, "gaussian"))
    critic = [*model.critic_body.parameters(), *model.critic_head.parameters()]
    for_critic = torch.optim.Adam(critic, 5e-3, betas=(0.5, 0.99))
    for_generator = torch.optim.Adam(model.decoder.parameters(), 5e-3, betas=(0.5, 0.99))

    def gap() -> float:
        return float((model.sample(torch.randn(256, 4)).mean() - 1.0).detach().abs())

    before = gap()
    for _ in range(60):
        real, made = 1.0 + 0.3 * torch.randn(32, 784), model.sample(torch.randn(32, 4)).detach()
        loss = critic_loss(model.criticise(real), model.criticise(made))
        for_critic.zero_grad()
        loss.backward()
        for_critic.step()
        for_generator.zero_grad()
        generator_loss(model.criticise(model.sample(torch.randn(32, 4)))).backward()
        for_generator.step()
    assert gap() < 0.5 * before
