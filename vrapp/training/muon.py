"""Muon (Jordan et al. 2024): the momentum of a kernel is made orthogonal before it is applied, so that all of its
directions are learned at one speed. Gives as low a loss as AdamW in fewer steps; vectors stay with AdamW."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # singular values to 0.7..1.2 in five rounds (Jordan et al. 2024)
_ROUNDS = 5
_LEAST_SIDE = 32  # of a matrix for which its directions mean something
_MATCH = 0.2  # a step's root mean square as AdamW's (Liu et al. 2025, "Muon is scalable for LLM training")


def orthogonal(matrix: Tensor) -> Tensor:
    """(R, C) → nearly the nearest (semi-)orthogonal matrix, by Newton–Schulz iteration."""
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-12)
    for _ in range(_ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    found: Tensor = x.T if tall else x
    return found


class Muon(torch.optim.AdamW):
    """Muon on the kernels of a network's inner layers, AdamW on all else; one learning rate serves both.

    ``outer`` names the parameters that touch data: their rows are quantities, not directions.
    """

    def __init__(
        self, network: nn.Module, rate: float, weight_decay: float, momentum: float = 0.95, outer: tuple[str, ...] = ()
    ) -> None:
        self._momentum = momentum
        kernels: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, value in network.named_parameters():
            inner = value.dim() > 1 and min(value.shape[0], value[0].numel()) >= _LEAST_SIDE and name not in outer
            (kernels if inner else others).append(value)
        groups = [{"params": others, "orthogonal": False}, {"params": kernels, "orthogonal": True}]
        super().__init__([group for group in groups if group["params"]], rate, (0.9, 0.98), weight_decay=weight_decay)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError for what is not a Muon's."""
        if not all("orthogonal" in group for group in state["param_groups"]):
            raise ValueError("this state is of another optimiser")
        super().load_state_dict(state)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update. The kernels' gradients are used up: AdamW passes over what has none."""
        for group in self.param_groups:
            for value in group["params"] if group["orthogonal"] else ():
                if value.grad is not None:
                    self._step_kernel(value, value.grad, group["lr"], group["weight_decay"])
                    value.grad = None
        super().step(closure)

    def _step_kernel(self, value: Tensor, slope: Tensor, rate: float, weight_decay: float) -> None:
        state = self.state[value]
        if not state:
            state["average"] = torch.zeros_like(value)
            state["step"] = torch.zeros(())  # AdamW's loading asks for one
        state["average"].lerp_(slope, 1 - self._momentum)
        ahead = torch.lerp(slope, state["average"], self._momentum)  # Nesterov's
        towards = orthogonal(ahead.reshape(len(value), -1))
        value.mul_(1 - rate * weight_decay)
        value.sub_(towards.reshape(value.shape), alpha=rate * _MATCH * max(towards.shape) ** 0.5)
