"""The processes that torchrun started, and which of them this is.

    torchrun --standalone --nproc-per-node 2 -m agents train --config configs/full.yaml --data data/full

    with joined() as ranks:
        Trainer(...).fit()

Elsewhere than under torchrun, there is one process and nothing to join.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from worldmodel.errors import ConfigError

if TYPE_CHECKING:
    from worldmodel.train.ranks import Ranks

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others before it gives them up."""
ENVIRONMENT = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells each process."""


def launched_rank() -> int:
    """This process's number among those that torchrun started; 0 where it did not, or started one."""
    return int(os.environ["RANK"]) if _num_launched() > 1 and "RANK" in os.environ else 0


@contextmanager
def joined() -> Iterator[Ranks]:
    """Within the `with`, this process is one of those that torchrun started. ConfigError when its environment is half there.

    Tensors on the CPU travel by gloo, those on a GPU by NCCL; each process has the GPU of its number on this machine.
    """
    # imported here, since the command line asks for its rank before it knows whether torch is there
    import torch
    import torch.distributed as dist

    from worldmodel.train.ranks import Ranks

    if _num_launched() == 1 or dist.is_initialized():
        yield Ranks()
        return
    absent = [name for name in ENVIRONMENT if name not in os.environ]
    if absent:
        raise ConfigError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, and {', '.join(absent)} is not set; start several processes with "
            "torchrun --standalone --nproc-per-node N -m agents ..."
        )
    local, cuda = int(os.environ["LOCAL_RANK"]), torch.cuda.is_available()
    if cuda and local < torch.cuda.device_count():
        torch.cuda.set_device(local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=TIMEOUT)
    yield Ranks()
    # Not after an error: this process ends, and the others find their connection to it closed.
    dist.destroy_process_group()


def _num_launched() -> int:
    text = os.environ.get("WORLD_SIZE", "1")
    return int(text) if text.isdecimal() and int(text) > 0 else 1
