"""The state to resume from: one safetensors file, so that one rename replaces all of it at once.

Tensors (weights, moments, random generators) are its tensors; counters and the sampler's place are JSON in its header, beside
a checksum of all of it. A kill at any moment leaves the previous state or the new one. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from worldmodel.errors import CheckpointError
from worldmodel.train.checkpoint import cpu_copy, load_weights
from worldmodel.train.files import dump_json, write_atomic
from worldmodel.train.parallel import placed

STATE = Path("training") / "state.safetensors"
"""Where it lies in the run folder."""
MAX_HEADER = 100_000_000
"""Longest header of a safetensors file [bytes]; a damaged one may claim any length."""


@dataclass(frozen=True)
class TrainingState:
    """Everything that decides how training goes on."""

    step: int
    """Updates done."""
    sampler: str
    """The sampler's state after the last batch that was learned from, as JSON."""
    sums: dict[str, float]
    """Running sums of the metrics since the last row of the log."""
    identity: dict[str, Any]
    """What must be the same on resuming: the settings that shape the weights, and the data."""
    tensors: dict[str, Tensor]
    """Weights, moments and random generators."""
    cpu_seconds: float = 0.0
    """Processor time that the updates have taken [s]."""


def header(state: TrainingState) -> dict[str, Any]:
    """All of a state but its tensors, as JSON values."""
    return {name: getattr(state, name) for name in ("step", "sampler", "sums", "identity", "cpu_seconds")}


def save_state(run_dir: Path, state: TrainingState) -> None:
    """Replace the state of `run_dir`."""
    text = dump_json(header(state), indent=None)
    content = safetensors.torch.save(state.tensors, metadata={"state": text, "sha256": _checksum(text, state.tensors)})
    write_atomic(run_dir / STATE, content)


def read_header(run_dir: Path) -> dict[str, Any] | None:
    """What `header` said of the state of `run_dir`, its tensors unread; None without one. CheckpointError when damaged."""
    path = run_dir / STATE
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            return json.loads(json.loads(file.read(min(size, MAX_HEADER)))["__metadata__"]["state"])
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it to train anew") from None


def load_state(run_dir: Path) -> TrainingState | None:
    """The state of `run_dir`; None when training never saved one. CheckpointError when it is damaged."""
    path = run_dir / STATE
    try:
        content = path.read_bytes()  # all at once, since a training that goes on replaces the file
    except FileNotFoundError:
        return None
    try:
        tensors = safetensors.torch.load(content)
        size = int.from_bytes(content[:8], "little")  # of the header, where safetensors keeps what else there is to say
        metadata = json.loads(content[8 : 8 + size])["__metadata__"]
        # states from before there was one have no checksum
        if metadata.get("sha256", checksum := _checksum(metadata["state"], tensors)) != checksum:
            raise CheckpointError(f"{path} is damaged: its checksum is not the one saved with it; delete it to train anew")
        header = json.loads(metadata["state"])
        spent = header.get("cpu_seconds", 0.0)  # states from before it was counted go on too
        return TrainingState(header["step"], header["sampler"], header["sums"], header["identity"], tensors, spent)
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it to train anew") from None


def pack(
    learner: nn.Module, optimizer: torch.optim.Optimizer, generators: Mapping[str, Tensor], sharded: bool = False
) -> dict[str, Tensor]:
    """Every tensor that changes while training, under names that say whose they are: model, objective, optimizer, generator.

    Copies on the CPU; with `sharded` what this process holds, as it lies, for who writes it at once.
    """
    keep = _as_it_lies if sharded else cpu_copy
    tensors = {name: keep(value) for name, value in learner.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": keep(value) for name, value in moments.items()}
    return tensors | {f"generator.{name}": value.clone() for name, value in generators.items()}


def unpack(
    tensors: Mapping[str, Tensor], source: str, learner: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """The inverse of `pack`, in place, of whole tensors; returns the generators. CheckpointError for another model's."""
    own = learner.state_dict()
    weights = {name: value for name, value in tensors.items() if name.split(".")[0] in ("model", "objective")}
    load_weights(learner, {name: placed(value, own.get(name, value)) for name, value in weights.items()}, source)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimizer").items():
        number, key = name.split(".", 1)
        parameter = parameters[int(number)]
        moments.setdefault(int(number), {})[key] = placed(value, parameter) if value.shape == parameter.shape else value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    # In the layout of their weights (channels_last, say): another one is another order of rounding.
    for parameter, own in optimizer.state.items():
        own |= {key: torch.empty_like(parameter).copy_(m) if m.shape == parameter.shape else m for key, m in own.items()}
    return _part(tensors, "generator")


def differences(before: Any, now: Any, path: str = "") -> list[str]:
    """One line for each leaf that two nested dictionaries do not share."""
    if isinstance(before, dict) and isinstance(now, dict):
        lines = []
        for key in [*before, *(key for key in now if key not in before)]:
            lines += differences(before.get(key), now.get(key), f"{path}.{key}" if path else key)
        return lines
    return [] if before == now else [f"{path} was {before!r} and is {now!r}"]


def _checksum(text: str, tensors: Mapping[str, Tensor]) -> str:
    """Of all of a state: what is said of it, and the names and bytes of its tensors."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _part(tensors: Mapping[str, Tensor], owner: str) -> dict[str, Tensor]:
    """The tensors of one owner, without its name before theirs."""
    return {name.removeprefix(owner + "."): value for name, value in tensors.items() if name.startswith(owner + ".")}


def _as_it_lies(tensor: Tensor) -> Tensor:
    """The tensor where it is, its elements in plain order."""
    return tensor.detach().contiguous()
