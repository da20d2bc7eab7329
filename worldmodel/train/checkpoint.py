"""A model as a folder: model.safetensors, heads.safetensors, and manifest.json that vouches for both.

A run whose objective had an EMA target keeps that copy of the encoder too, as target.safetensors.

Nothing here unpickles: a checkpoint that a stranger made can only be refused, not run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from worldmodel.errors import CheckpointError
from worldmodel.train.files import sha256, write_atomic
from worldmodel.train.manifest import Manifest

MANIFEST = "manifest.json"
MODEL = "model.safetensors"
HEADS = "heads.safetensors"
TARGET = "target.safetensors"
REMEDY = "copy the whole folder again from where it was made, or train again"
"""For weights that are not those that were saved."""


@dataclass(frozen=True)
class Checkpoint:
    """A run folder read into memory, its checksums verified."""

    manifest: Manifest
    """What it says of itself."""
    model: dict[str, Tensor]
    """The model's weights."""
    heads: dict[str, Tensor] | None
    """The heads' weights; None when it was saved without heads."""
    source: Path
    """Where it was read, for messages."""
    target: dict[str, Tensor] | None = None
    """The EMA target's weights, of an encoder; None when there was none."""


def save_model(
    run_dir: Path, model: nn.Module, heads: nn.Module | None, manifest: Manifest, target: nn.Module | None = None
) -> Manifest:
    """Write the checkpoint and return the manifest with its checksums; a `target` that the manifest names already is kept.

    The manifest goes last: a crash in between leaves a folder that loading refuses, never one that mixes two models quietly.
    """
    kept = {name: checksum for name, checksum in manifest.checksums.items() if name == TARGET}
    contents = {MODEL: safetensors.torch.save(cpu_state(model))}
    if heads is not None:
        contents[HEADS] = safetensors.torch.save(cpu_state(heads))
    if target is not None:
        contents[TARGET] = safetensors.torch.save(cpu_state(target))
    checksums = kept | {name: sha256(content) for name, content in contents.items()}
    manifest = dataclasses.replace(manifest, checksums=checksums)
    for name, content in contents.items():
        write_atomic(run_dir / name, content)
    write_manifest(run_dir, manifest)
    for name in (HEADS, TARGET):
        if name not in checksums:
            (run_dir / name).unlink(missing_ok=True)
    return manifest


def write_manifest(run_dir: Path, manifest: Manifest) -> None:
    """Replace the manifest alone, as when an evaluation is added to it."""
    write_atomic(run_dir / MANIFEST, manifest.to_json().encode())


def read_manifest(run_dir: Path) -> Manifest:
    """The manifest alone. CheckpointError when the folder is missing, is no checkpoint, or its manifest is damaged."""
    if not run_dir.is_dir():
        raise CheckpointError(f"no such folder: {run_dir}")
    path = run_dir / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        what = "it is a dataset" if (run_dir / "meta").is_dir() else f"it has no {MANIFEST}; finish its training first"
        raise CheckpointError(f"{run_dir} is no checkpoint: {what}") from None
    except UnicodeDecodeError:
        raise CheckpointError(f"{path} is damaged: it is no text") from None
    return Manifest.from_json(text, str(path))


def load_checkpoint(run_dir: Path) -> Checkpoint:
    """Manifest and weights of a run folder. CheckpointError in one line for whatever is missing or damaged."""
    manifest = read_manifest(run_dir)
    if MODEL not in manifest.checksums:
        raise CheckpointError(f"{run_dir / MANIFEST} names no {MODEL}; it is no whole checkpoint")
    weights = {name: _read_weights(run_dir / name, checksum) for name, checksum in manifest.checksums.items()}
    return Checkpoint(manifest, weights[MODEL], weights.get(HEADS), run_dir, weights.get(TARGET))


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Put `weights` into `module`. CheckpointError naming the first tensor that is missing, unknown or of another shape."""
    expected = module.state_dict()
    for name in expected.keys() - weights.keys():
        raise CheckpointError(f"{source} lacks the weights {name!r}: it belongs to another model")
    for name in weights.keys() - expected.keys():
        raise CheckpointError(f"{source} holds unknown weights {name!r}: it belongs to another model")
    for name, tensor in expected.items():
        if tensor.shape != weights[name].shape:
            shapes = f"{tuple(tensor.shape)} expected, {tuple(weights[name].shape)} got"
            raise CheckpointError(f"{source}: weights {name!r} have another shape: {shapes}")
    module.load_state_dict(weights)


def cpu_state(module: nn.Module) -> dict[str, Tensor]:
    """A copy of the module's weights on the CPU, each with its own memory, as safetensors wants it."""
    return {name: cpu_copy(value) for name, value in module.state_dict().items()}


def cpu_copy(tensor: Tensor) -> Tensor:
    """A copy on the CPU, its elements in plain order."""
    return tensor.detach().to("cpu", copy=True).contiguous(memory_format=torch.contiguous_format)


def _read_weights(path: Path, checksum: str) -> dict[str, Tensor]:
    """Tensors of one file, when its bytes are those that the manifest vouches for."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing, though the manifest names it; {REMEDY}") from None
    if sha256(content) != checksum:
        raise CheckpointError(f"{path} is damaged: its checksum is not the manifest's; {REMEDY}")
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file: {error}") from None
