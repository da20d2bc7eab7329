"""Where to compute: an accelerator where there is one, never assumed."""

from __future__ import annotations

import os
from typing import Literal

import torch

from worldmodel.errors import ConfigError
from worldmodel.nn.across import num_ranks

DeviceName = Literal["auto", "cpu", "cuda", "mps"]


def resolve_device(name: DeviceName) -> torch.device:
    """The device called `name`; "auto" is CUDA, else MPS, else the CPU. ConfigError when it is not there.

    Of several processes, each has the GPU of its number on its machine (LOCAL_RANK, as torchrun counts them).
    """
    several = num_ranks() > 1
    # gradients of several processes travel by NCCL or gloo, and MPS has neither
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available() and not several, "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)  # type: ignore[assignment]
    if name not in available:
        raise ConfigError(f"unknown device {name!r}; expected auto, {', '.join(sorted(available))}")
    if not available[name]:
        where = f"to {num_ranks()} processes" if several else "on this machine"
        raise ConfigError(f"device {name!r} is not available {where}; choose auto or cpu")
    if not several or name != "cuda":
        return torch.device(name)
    local, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= there:
        raise ConfigError(
            f"process {local} of this machine has no GPU of its own, there are {there}; start torchrun --nproc-per-node {there}"
        )
    return torch.device(name, local)
