"""The optimiser of kernels: orthogonal steps, exact resume, and that it learns."""

from __future__ import annotations

import torch
from torch import nn

from vrapp.training.muon import Muon, orthogonal


def test_an_orthogonal_step_keeps_directions_and_levels_their_lengths() -> None:
    torch.manual_seed(0)
    for shape in ((40, 70), (70, 40)):
        matrix = torch.randn(shape) @ torch.diag(torch.logspace(0, -1.5, shape[1]))
        lengths = torch.linalg.svdvals(orthogonal(matrix))
        assert lengths.min() > 0.4
        assert lengths.max() < 1.3
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        assert torch.allclose(left.T @ orthogonal(matrix) @ right.T, torch.diag(lengths.new_ones(40)), atol=0.6)
        aligned = (left @ right).flatten() @ orthogonal(matrix).flatten()
        assert aligned > 0.95 * (left @ right).norm() * orthogonal(matrix).norm()


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv3d(4, 32, 1), nn.SiLU(), nn.Conv3d(32, 32, 3, padding=1), nn.Conv3d(32, 2, 1))


def learned(net: nn.Sequential, optimiser: Muon, steps: range) -> list[float]:
    """Losses of learning to give a fixed answer to fixed noise."""
    given = torch.randn(2, 4, 5, 5, 5, generator=torch.Generator().manual_seed(2))
    wanted = given[:, :2].roll(1, 2)
    found = []
    for _ in steps:
        loss = (net(given) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(float(loss.detach()))
    return found


def test_only_inner_kernels_go_its_way_and_the_loss_falls() -> None:
    net = network()
    optimiser = Muon(net, 3e-3, 1e-2, outer=("0.weight",))
    kernels = [value for group in optimiser.param_groups if group["orthogonal"] for value in group["params"]]
    assert len(kernels) == 1
    assert kernels[0] is net[2].weight
    losses = learned(net, optimiser, range(30))
    assert losses[-1] < 0.6 * losses[0]


def test_its_state_goes_through_a_checkpoint() -> None:
    straight, halted = network(), network()
    first, second = Muon(straight, 3e-3, 1e-2), Muon(halted, 3e-3, 1e-2)
    learned(straight, first, range(6))
    learned(halted, second, range(3))
    resumed = network()
    resumed.load_state_dict(halted.state_dict())
    third = Muon(resumed, 3e-3, 1e-2)
    third.load_state_dict(second.state_dict())
    learned(resumed, third, range(3))
    pairs = zip(straight.parameters(), resumed.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
