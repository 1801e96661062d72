"""Which operations of torch some code does, whatever device it is meant for."""

from torch.utils._python_dispatch import TorchDispatchMode

#: Their shapes depend on values, or they read back, or copy a constant over: on CUDA they wait, and no graph can be
#: captured of them.
WAITING = {
    "_local_scalar_dense", "nonzero", "masked_select", "unique_dim", "_unique2", "unique_consecutive", "bincount",
    "lift_fresh", "lift_fresh_copy", "item", "is_nonzero", "equal", "allclose", "repeat_interleave",
}  # fmt: skip


class OpNames(TorchDispatchMode):
    """Writes down every operation."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))
