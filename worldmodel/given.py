"""What a model is given, checked: one line in place of an error from deep inside it, or of a latent that means nothing.

B batch   T time   H horizon   N candidates   K tokens a frame   D latent width   A action dim
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from worldmodel.errors import MismatchError
from worldmodel.types import Latent, Observation, WorldSpec


def require_observation(obs: Observation, sensors: Collection[str], spec: WorldSpec, optional: Collection[str]) -> None:
    """Raise MismatchError unless `obs` has the sensors, the `optional` ones apart, each (B, T, ...), as recorded."""
    for key in sensors:
        if key not in obs:
            if key in optional:
                continue
            raise MismatchError(
                f"the observation has no {key!r}, which the model reads; it has {', '.join(sorted(obs)) or 'nothing'}"
            )
        if key not in spec.sensors:
            raise MismatchError(f"the observation has {key!r}, which this robot was recorded without; leave it out")
        values, sensor = obs[key], spec.sensors[key]
        if not isinstance(values, Tensor):
            raise MismatchError(f"{key} is a {type(values).__name__}; expected a tensor: torch.from_numpy makes one")
        if sensor.kind == "image" and values.dtype != getattr(torch, sensor.dtype):
            got = str(values.dtype).removeprefix("torch.")
            raise MismatchError(f"{key} is {got}; expected {sensor.dtype} as recorded: the encoder scales pictures itself")
        if values.shape[2:] != sensor.shape or values.ndim < 2:
            wanted = ", ".join(["B", "T", *map(str, sensor.shape)])
            turned = sensor.kind == "image" and values.shape[2:] == (*sensor.shape[-1:], *sensor.shape[:-1])
            why = "; channels come last" if turned else ""
            raise MismatchError(f"{key} has shape {tuple(values.shape)}; expected ({wanted}){why}")


def require_actions(z: Latent, actions: Tensor, wanted: str, shape: tuple[int, ...], name: str = "actions") -> None:
    """Raise MismatchError unless z is (B, T, K, D) and actions are of `shape`, `wanted` in letters; -1 is any number."""
    if z.ndim != 4:
        raise MismatchError(f"the latent has shape {tuple(z.shape)}; expected (B, T, K, D)")
    fits = len(shape) == actions.ndim and all(n in (-1, m) for n, m in zip(shape, actions.shape, strict=True))
    if not fits:
        numbers = ", ".join("any" if n == -1 else str(n) for n in shape)
        raise MismatchError(f"{name} has shape {tuple(actions.shape)}; expected {wanted} = ({numbers})")
