"""What the processes of one run tell each other besides gradients.

R ranks
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from worldmodel.errors import LostRankError
from worldmodel.nn.across import num_ranks
from worldmodel.types import Window

PATIENCE = timedelta(days=1)
"""How long the others wait while the first process prepares what all of them use."""


class Ranks:
    """The processes of a run, seen from one of them. Without torch.distributed it is alone, and nothing here costs anything.

    Attributes:
        rank: its number.
        world_size: R.
    """

    def __init__(self) -> None:
        self.world_size = num_ranks()
        self.rank = dist.get_rank() if self.world_size > 1 else 0

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the ranks of values (N,); what is no number on one rank is none on all of them."""
        if self.world_size > 1:
            dist.all_reduce(values)
            values = values / self.world_size
        return values

    def largest(self, *numbers: int) -> list[int]:
        """The largest of each number over the ranks: what one asks for, all of them do."""
        if self.world_size == 1:
            return list(numbers)
        values = torch.tensor(numbers)
        dist.all_reduce(values, dist.ReduceOp.MAX)
        return values.tolist()

    def same(self, text: str) -> str:
        """The first one's."""
        told = [text]
        if self.world_size > 1:
            dist.broadcast_object_list(told, src=0)
        return told[0]

    def gather(self, window: Window) -> Window:
        """The batch of all ranks, of which each holds a part."""
        if self.world_size == 1:
            return window
        parts: list[Window] = [window] * self.world_size
        dist.all_gather_object(parts, window)

        values: dict[str, Any] = {}
        for name in (field.name for field in fields(window)):
            of_ranks = [getattr(part, name) for part in parts]
            if isinstance(of_ranks[0], Tensor):
                values[name] = torch.cat(of_ranks)
            elif isinstance(of_ranks[0], dict):
                values[name] = {key: torch.cat([found[key] for found in of_ranks]) for key in of_ranks[0]}
        return replace(window, **values)

    def seed(self, seed: int, step: int = 0) -> int:
        """For what each rank draws on its own from update `step` on, such as dropout: the first one's is `seed` itself."""
        return seed if self.first else int(np.random.SeedSequence([seed, self.rank, step]).generate_state(1, np.uint64)[0])

    def wait(self) -> None:
        """Until all of them have come here."""
        if self.world_size > 1:
            dist.barrier()

    @contextmanager
    def first_then_others(self) -> Iterator[None]:
        """The first process goes through the `with` before the others begin: what it leaves on the disk, they find there."""
        if self.world_size == 1:
            yield
            return
        group: Any = dist.new_group(timeout=PATIENCE, backend="gloo")
        if not self.first:
            dist.barrier(group)
        yield
        if self.first:
            dist.barrier(group)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Within the `with`, losing another process is a LostRankError; the others end, as they cannot go on without it.

        torchrun ends them too: from then on its SIGTERM is ignored, so that there is time to say why.
        """
        try:
            yield
        except RuntimeError as error:
            if self.world_size == 1 or not _of_connection(error):
                raise
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            why = str(error).strip().splitlines()[0]
            raise LostRankError(
                f"process {self.rank} of {self.world_size} lost another one, which was killed or has failed ({why}); "
                "what was saved last is kept: start all of them again with --resume"
            ) from error


def _of_connection(error: RuntimeError) -> bool:
    """Whether it comes from a process group: torch names those of NCCL and of the store, gloo's only by their text."""
    return isinstance(error, dist.DistError) or any(word in str(error).lower() for word in ("gloo", "connection", "peer"))
