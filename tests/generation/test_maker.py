import generation_toy as toy
import numpy as np
import torch

from vrapp.core.generation import GenerationRequest, Steering
from vrapp.core.mesh import Mesh
from vrapp.generation.gate import GateLimits, Reason
from vrapp.generation.maker import HULL_POINTS, MAX_ATTEMPTS, ObjectMaker, support_points

BOX, BALL, BROKEN, _ = range(4)


def maker(**changes):
    return ObjectMaker(toy.ToyModel(toy.ToyVae(), toy.ToyPrior(), **changes), torch.device("cpu"))


def request(request_id, category=BOX, **steering):
    return GenerationRequest(request_id, 7, Steering(category, **steering))


def test_a_batch_gives_what_each_gives_alone():
    """Also with other temperatures and numbers of candidates in between."""
    utility = np.array([1, 0, 0, 0, 0, 0], np.float32)
    asked = [request(0), request(1, BALL, temperature=0.5), request(2, candidates=5, utility=utility), request(3)]
    together = [made.shown for made in maker().make_all(asked)]
    for shown, one in zip(together, asked, strict=True):
        alone = maker().make(one).shown
        assert shown.request_id == one.request_id
        assert shown.mesh_hash == alone.mesh_hash
        np.testing.assert_array_equal(shown.latent, alone.latent)


def test_it_draws_again_and_then_gives_up():
    made = maker().make(request(0, BROKEN))
    assert made.shown is None
    assert made.rejected == (Reason.EMPTY,) * MAX_ATTEMPTS


def test_a_later_draw_counts_the_earlier_ones():
    strict = {"default": {"triangles_least": 20_000}}
    made = [maker(gate=strict).make(request(i)) for i in range(8)]
    later = [m for m in made if m.shown is not None and m.rejected]
    assert later
    for one in later:
        assert one.shown.attempts == len(one.rejected) + 1
        assert set(one.rejected) == {Reason.TOO_FEW_TRIANGLES}


def test_nearness_one_draws_the_same_again_and_zero_does_not_care():
    known = maker().make(request(5)).shown.latent
    same = maker().make(request(6, near=known, nearness=1.0)).shown.latent
    free = maker().make(request(6, near=known, nearness=0.0)).shown.latent
    np.testing.assert_allclose(np.delete(same, 3), np.delete(known, 3), atol=1e-4)
    assert np.abs(free - known).mean() > 0.2


def test_components_are_the_latent_in_the_exposed_basis():
    mean = np.full(704, 0.5, np.float32)
    shown = maker(latent_mean=mean).make(request(1)).shown
    np.testing.assert_allclose(shown.components, shown.latent[:6] - 0.5, atol=1e-6)


def test_fields_that_are_not_finite_are_refused():
    class Broken:
        def fields(self, latent):
            return torch.full((1, 1, 64, 64, 64), float("nan")), torch.zeros(1, 6, 32, 32, 32)

    made = ObjectMaker(toy.ToyModel(Broken(), toy.ToyPrior()), torch.device("cpu"))
    assert made.mesh(np.zeros(704, np.float32), GateLimits()) is Reason.NOT_FINITE


def test_support_points_span_the_object():
    mesh = maker().mesh(np.array([0.9, 0.5, 0.2, BOX] + [0] * 700, np.float32), GateLimits())
    assert isinstance(mesh, Mesh)
    assert len(mesh.hull) <= HULL_POINTS
    position = mesh.levels[0].vertices["position"]
    np.testing.assert_allclose(mesh.hull.max(0), position.max(0), atol=0.02)
    np.testing.assert_allclose(mesh.hull.min(0), position.min(0), atol=0.02)
    one = support_points(np.zeros((1, 3), np.float32))
    np.testing.assert_array_equal(one, [[0, 0, 0]])


def test_a_draw_goes_through_the_network_as_often_as_the_weights_say_and_a_given_latent_never():
    class Halving(toy.ToyVae):
        def projected(self, latent, times):
            halved = latent * 0.5**times
            halved.flatten()[3] = latent.flatten()[3]
            return halved

    def made_of(projections):
        model = toy.ToyModel(Halving(), toy.ToyPrior(), projections=projections)
        return ObjectMaker(model, torch.device("cpu"))

    plain, twice = made_of(0).make(request(3)).shown, made_of(2).make(request(3)).shown
    np.testing.assert_allclose(np.delete(twice.latent, 3), np.delete(plain.latent, 3) / 4, rtol=1e-6)
    given = GenerationRequest(4, 7, Steering(BOX), latent=plain.latent)
    np.testing.assert_array_equal(made_of(2).make(given).shown.latent, plain.latent)


def test_what_the_critic_finds_implausible_is_drawn_again_but_not_in_hands():
    def fatness(distance, category):
        assert distance.shape == (1, 1, 64, 64, 64)
        assert category.tolist() == [BOX]
        return (distance < 0).float().mean((1, 2, 3, 4))

    def made_of(least):
        gate = {"default": {"plausibility_least": least}}
        model = toy.ToyModel(toy.ToyVae(), toy.ToyPrior(), gate=gate, critic=fatness)
        return ObjectMaker(model, torch.device("cpu"))

    anything = made_of(-1.0).make(request(3))
    assert anything.rejected == ()
    fat = anything.shown.mesh
    share = float(np.prod(fat.box[1] - fat.box[0]))
    pickier = made_of(share * 1.1).make(request(3))
    assert set(pickier.rejected) == {Reason.IMPLAUSIBLE}
    assert np.prod(pickier.shown.mesh.box[1] - pickier.shown.mesh.box[0]) > share
    given = GenerationRequest(4, 7, Steering(BOX), latent=anything.shown.latent)
    assert made_of(share * 1.1).make(given).shown is not None


def test_a_draft_is_denoised_with_noise_of_its_own_and_near_a_latent_with_that_latents():
    class Denoiser:
        def strength_at(self, temperature):
            return 0.5 * temperature

        def refined(self, latent, category, noise, strength):
            assert category.tolist() == [BOX]
            moved = latent + 0.1 * strength * noise
            moved.flatten()[3] = latent.flatten()[3]
            return moved

        def noise_of(self, refined, latent, category, strength):
            return (refined - latent) / (0.1 * strength)

    def made_of(denoiser):
        return ObjectMaker(toy.ToyModel(toy.ToyVae(), toy.ToyPrior(), denoiser=denoiser), torch.device("cpu"))

    plain, maker = made_of(None).make(request(3)).shown, made_of(Denoiser())
    moved, again = maker.make(request(3)).shown, maker.make(request(3)).shown
    noise = np.delete((moved.latent - plain.latent) / 0.05, 3)
    assert abs(noise.mean()) < 0.15
    assert 0.9 < noise.std() < 1.1
    np.testing.assert_array_equal(moved.latent, again.latent)
    alike = Steering(BOX, near=moved.latent, nearness=1.0)
    np.testing.assert_allclose(maker.make(GenerationRequest(9, 7, alike)).shown.latent, moved.latent, atol=1e-4)
    given = GenerationRequest(4, 7, Steering(BOX), latent=moved.latent)
    np.testing.assert_array_equal(maker.make(given).shown.latent, moved.latent)
    (drawn,) = maker.draw_all([(request(3), 0)])
    np.testing.assert_array_equal(drawn.shown.latent, moved.latent)
