"""Several processes training one model (torchrun); with one process every call is a no-op."""

from __future__ import annotations

import os

import torch
from torch import distributed, nn


class Peers:
    """This process's place among those that `torchrun` started: `rank` of `count`; `device`, its card or the CPU."""

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        card = int(os.environ.get("LOCAL_RANK", "0"))
        self.device = torch.device("cuda", card) if torch.cuda.is_available() else torch.device("cpu")
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.count > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")

    def average_gradients(self, module: nn.Module, flag: bool) -> bool:
        """Average all gradients in one exchange; returns whether any process raised `flag`."""
        if self.count == 1:
            return flag
        grads = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads] + [grads[0].new_tensor([float(flag)])])
        distributed.all_reduce(flat)
        flat /= self.count
        start = 0
        for grad in grads:
            grad.copy_(flat[start : start + grad.numel()].view(grad.shape))
            start += grad.numel()
        return bool(flat[-1] > 0)

    def mean(self, value: float) -> float:
        """Of all processes: what each works out by its own clock, made the same for all."""
        return self.sum([value])[0] / self.count

    def sum(self, values: list[float]) -> list[float]:
        """Element-wise sum over all processes."""
        if self.count == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return [float(value) for value in total]
