"""The same numbers as torch's own convolutions, and the network itself stays as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vrapp.generation import onednn
from vrapp.generation.onednn import with_onednn


def test_the_quick_copy_gives_the_same_numbers() -> None:
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv3d(5, 16, 3, padding=1), nn.SiLU(), nn.Sequential(nn.Conv3d(16, 8, 1, bias=False)),
        nn.Conv3d(8, 4, 3, stride=2, padding=1, padding_mode="circular"),
    ).eval()  # fmt: skip
    names = list(network.state_dict())
    grid = torch.randn(1, 5, 8, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(with_onednn(network)(grid), network(grid), atol=1e-5, rtol=1e-5)
    assert list(network.state_dict()) == names
    assert isinstance(network[0], nn.Conv3d)


def test_a_torch_without_the_operations_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: nn.Module, grid: torch.Tensor) -> torch.Tensor:
        raise AttributeError("no such operation")

    monkeypatch.setattr(onednn._OneDnnConv3d, "forward", missing)
    onednn._works.cache_clear()
    try:
        network = nn.Sequential(nn.Conv3d(2, 2, 1))
        assert with_onednn(network) is network
    finally:
        monkeypatch.undo()
        onednn._works.cache_clear()
