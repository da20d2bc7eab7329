"""Where to compute: an accelerator where there is one, never assumed."""

from __future__ import annotations

from typing import Literal

import torch

from worldmodel.errors import ConfigError

DeviceName = Literal["auto", "cpu", "cuda", "mps"]


def resolve_device(name: DeviceName) -> torch.device:
    """The device called `name`; "auto" is CUDA, else MPS, else the CPU. ConfigError when it is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in available.items() if there))
    if name not in available:
        raise ConfigError(f"unknown device {name!r}; expected auto, {', '.join(sorted(available))}")
    if not available[name]:
        raise ConfigError(f"device {name!r} is not available on this machine; choose auto or cpu")
    return torch.device(name)
