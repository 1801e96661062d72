"""The autoregressive prior: bins, likelihood, and sampling as its inverse."""

import pytest
import torch

from vrapp.models.prior import LatentPrior, PriorConfig, pick


@pytest.fixture
def prior() -> LatentPrior:
    torch.manual_seed(0)
    prior = LatentPrior(PriorConfig(categories=3, bins=6, width=24, layers=2, heads=2)).eval()
    torch.nn.init.normal_(prior.head_out, std=0.5)
    prior.set_bins(torch.randn(40, 11, 4, 4, 4))
    return prior


def test_bins_cover_the_latents_and_come_back(prior: LatentPrior) -> None:
    torch.manual_seed(1)
    latents = torch.randn(40, 11, 4, 4, 4)
    codes = prior.quantise(latents)
    assert codes.shape == (40, 64, 11)
    assert codes.min() == 0
    assert codes.max() == 5
    assert torch.equal(prior.quantise(prior.dequantise(codes)), codes)
    assert (prior.dequantise(codes) - latents).abs().mean() < 0.35


def test_the_table_alone_knows_the_shares_of_each_category() -> None:
    prior = LatentPrior(PriorConfig(categories=2, bins=6, width=24, layers=1, heads=2)).eval()
    prior.set_bins(torch.randn(40, 11, 4, 4, 4))
    codes = torch.cat([torch.full((20, 64, 11), 1), torch.full((20, 64, 11), 4)])
    category = torch.arange(2).repeat_interleave(20)
    prior.set_base(codes, category)
    assert torch.equal(prior(codes[::20], torch.tensor([0, 1])).argmax(-1), codes[::20])  # the head starts at zero
    assert torch.allclose(prior.base.exp().sum(-1), torch.ones(3, 64, 11), atol=1e-4)


def test_each_code_depends_on_earlier_ones_alone(prior: LatentPrior) -> None:
    codes = torch.randint(6, (1, 64, 11))
    changed = codes.clone()
    changed[0, 30, 4] = (codes[0, 30, 4] + 1) % 6
    label = torch.tensor([1])
    before, after = prior(codes, label), prior(changed, label)
    assert torch.allclose(before[0, :30], after[0, :30], atol=1e-5)
    assert torch.allclose(before[0, 30, :5], after[0, 30, :5], atol=1e-5)
    assert not torch.allclose(before[0, 30, 5:], after[0, 30, 5:], atol=1e-5)
    assert not torch.allclose(before[0, 31:], after[0, 31:], atol=1e-5)


def test_sampling_step_by_step_is_the_inverse_cdf_of_the_forward_pass(prior: LatentPrior) -> None:
    category, uniforms = torch.tensor([0, 2]), torch.rand(2, 64, 11)
    codes = prior.quantise(prior.sample(category, uniforms))
    expected = pick(prior(codes, category).flatten(0, 2), uniforms.flatten(), 1.0).reshape(codes.shape)
    assert (expected == codes).float().mean() > 0.99


def test_the_same_uniforms_give_the_same_object_alone_or_in_a_batch(prior: LatentPrior) -> None:
    category, uniforms = torch.tensor([0, 1, 2]), torch.rand(3, 64, 11)
    together = prior.sample(category, uniforms, 0.9, top_p=0.9, guidance=0.5)
    alone = prior.sample(category[1:2], uniforms[1:2], 0.9, top_p=0.9, guidance=0.5)
    assert torch.equal(together[1:2], alone)


def test_log_prob_sums_to_one_over_the_last_code(prior: LatentPrior) -> None:
    codes = torch.randint(6, (1, 64, 11)).repeat(6, 1, 1)
    codes[:, 63, 10] = torch.arange(6)
    logs = prior.log_prob(prior.dequantise(codes), torch.zeros(6, dtype=torch.int64))
    chosen = (logs - logs.logsumexp(0)).exp()
    direct = prior(codes[:1], torch.zeros(1, dtype=torch.int64))[0, 63, 10].softmax(-1)
    assert torch.allclose(chosen, direct, atol=1e-4)


def test_truncation_keeps_the_likeliest_bins() -> None:
    logits = torch.tensor([[0.1, 0.6, 0.3]]).log()
    assert [int(pick(logits, torch.tensor([u]), 1.0)) for u in (0.05, 0.5, 0.95)] == [0, 1, 2]
    assert [int(pick(logits, torch.tensor([u]), 0.5)) for u in (0.0, 0.5, 0.99)] == [1, 1, 1]


def test_wrong_input_is_named(prior: LatentPrior) -> None:
    with pytest.raises(ValueError, match="uniforms"):
        prior.sample(torch.tensor([0]), torch.rand(1, 8))
    with pytest.raises(ValueError, match="category"):
        prior.sample(torch.tensor([3]), torch.rand(1, 64, 11))


@pytest.mark.parametrize(("top_p", "guidance"), [(1.0, 0.0), (0.9, 0.0), (0.9, 0.5)])
def test_a_latent_goes_back_to_uniforms_that_draw_it_again(prior: LatentPrior, top_p: float, guidance: float) -> None:
    category, uniforms = torch.tensor([0, 1, 2]), torch.rand(3, 64, 11)
    settings = {"temperature": 0.8, "top_p": top_p, "guidance": guidance}
    drawn = prior.sample(category, uniforms, **settings)
    found = prior.uniforms_of(drawn, category, **settings)
    assert torch.equal(prior.sample(category, found, **settings), drawn)
    assert (found - uniforms).abs().mean() < 0.2
