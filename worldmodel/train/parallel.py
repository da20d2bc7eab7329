"""One model on several processes: each learns from its own part of every batch, with the whole model or a shard of it.

    train.parallel:            gradients    weights, moments
    dp_replicate 2             averaged     whole on each of 2: DistributedDataParallel
    dp_shard 2                 averaged     half on each of 2: FSDP2
    dp_replicate 2, dp_shard 2 averaged     half on each of 2, twice: hybrid sharding

Statistics over the batch are those of the whole batch (worldmodel.nn.across), so that the loss is that of one process. Weights
stay float32 and autocast works as on one process: shards are gathered in full precision.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from worldmodel.checks import require_at_least
from worldmodel.encoders.hf_vit import PretrainedBlock
from worldmodel.errors import ConfigError
from worldmodel.nn.across import alone, num_ranks, same_on_all
from worldmodel.nn.blocks import AdaLNBlock
from worldmodel.nn.vit import ViTBlock

T = TypeVar("T")
# FSDP2 and its tensors are imported where they are used: they take a second, and most runs are of one process.

UNITS = (AdaLNBlock, ViTBlock, PretrainedBlock)
"""What is gathered, used and let go of on its own; all other weights are gathered together, once an update."""


@dataclass(frozen=True)
class Parallel:
    """How a model is spread over the processes that torchrun started; their number is dp_replicate times dp_shard."""

    dp_replicate: int | None = None
    """Copies of the model, each of which sees its own part of every batch; null for as many as there are processes."""
    dp_shard: int = 1
    """Processes that hold a copy together, a shard each (FSDP2). They see different parts of a batch too."""

    def __post_init__(self) -> None:
        """Raise ConfigError for no process at all."""
        require_at_least(self, 1, "dp_shard")
        if self.dp_replicate is not None:
            require_at_least(self, 1, "dp_replicate")

    def shape(self, world_size: int) -> tuple[int, int]:
        """Copies, and shards of each. ConfigError when they are not as many as there are processes."""
        replicate = max(1, world_size // self.dp_shard) if self.dp_replicate is None else self.dp_replicate
        needed = replicate * self.dp_shard
        if needed != world_size:
            asked = f"dp_shard is {self.dp_shard}"
            if self.dp_replicate is not None:
                asked = f"dp_replicate x dp_shard is {self.dp_replicate} x {self.dp_shard} = {needed}"
            there = "this is one process" if world_size == 1 else f"torchrun started {world_size} processes"
            raise ConfigError(
                f"train.parallel: {asked}, and {there}; start torchrun --standalone --nproc-per-node {needed} -m agents train "
                "..., or change train.parallel"
            )
        return replicate, self.dp_shard


class Learner(nn.Module):
    """Model and objective as one module, which is what DDP and FSDP2 take care of."""

    def __init__(self, model: nn.Module, objective: Any) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, work: Callable[..., T], *args: Any) -> T:
        """work(model, objective, *args): within it, the weights are whole."""
        return work(self.model, self.objective, *args)


class Replica:
    """This process's copy of a learner, or its shard of one.

    Attributes:
        learner: whose parameters this process updates; the one that was given, unless it is sharded.
    """

    def __init__(self, whole: Learner, parallel: Parallel, device: torch.device) -> None:
        """`whole` begins with the same weights on every process: the first one's. ConfigError as of `Parallel.shape`."""
        replicate, shard = parallel.shape(num_ranks())
        self._whole = whole
        if shard > 1:
            self.learner = self._call = _sharded(whole, replicate, shard, device)
        else:
            self.learner = self._call = whole.to(device)
        if shard == 1 and replicate > 1:
            # Parameters may lie unused: those of another embodiment, or a predictor while films are learned from.
            warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")
            # Buffers are the same everywhere already, since they follow the whole batch.
            self._call = DistributedDataParallel(self.learner, forward_sync_buffers=False, find_unused_parameters=True)

    def learn(self, work: Callable[..., T], *args: Any) -> T:
        """work(model, objective, *args), whose gradients are averaged over the processes."""
        return self._call(work, *args)

    @torch.no_grad()
    def look(self, work: Callable[..., T], *args: Any) -> T:
        """The same without gradients, of which every process does all for itself."""
        with alone():
            found = self.learner(work, *args)
        sharded = self.learner.modules() if self.learner is not self._whole else ()
        for module in sharded:
            if hasattr(module, "reshard"):
                module.reshard()  # type: ignore[operator]
        return found

    @torch.no_grad()
    def gather(self) -> None:
        """Put the weights, as they are now, into the learner that was given. All processes have to come here."""
        if self.learner is not self._whole:
            found = self.learner.state_dict()
            for name, own in self._whole.state_dict().items():
                own.copy_(whole(found[name]))


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, of which this process may hold a shard."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # type: ignore[operator]


def placed(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor as `like` is: this process's shard of it, or itself. Every process has the same one: none is sent."""
    if not hasattr(like, "full_tensor"):
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def _sharded(learner: Learner, replicate: int, shard: int, device: torch.device) -> Learner:
    """A copy of a learner, of which each process holds a shard."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    learner = copy.deepcopy(learner).to(device)
    for tensor in (*learner.parameters(), *learner.buffers()):
        tensor.data = same_on_all(tensor.data.contiguous())  # a shard has no channels_last
    if replicate > 1:
        mesh = init_device_mesh(device.type, (replicate, shard), mesh_dim_names=("dp_replicate", "dp_shard"))
    else:
        mesh = init_device_mesh(device.type, (shard,), mesh_dim_names=("dp_shard",))
    # Keys and values are views, and nothing changes them in place.
    warnings.filterwarnings("ignore", message=r"FSDP2-wrapped module \(FSDPAdaLNBlock\) returned a view")
    for module in learner.modules():
        if isinstance(module, UNITS):
            fully_shard(module, mesh=mesh)
            if isinstance(module, AdaLNBlock):
                register_fsdp_forward_method(module, "extend")
    fully_shard(learner, mesh=mesh)
    return learner
