"""What is kept of an update whose loss or gradient is no number: the batch, the weights, and where its random draws began.

measured = replay(Path("runs/a/nonfinite/step-31.safetensors"), model, objective)      # the same numbers again
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from worldmodel.errors import WorldModelError
from worldmodel.train.checkpoint import load_weights
from worldmodel.train.files import dump_json, write_atomic
from worldmodel.train.parallel import Learner
from worldmodel.train.prefetch import move
from worldmodel.types import Window

FOLDER = "nonfinite"
"""Where the batches lie in the run folder."""


def stop_on(
    window: Window,
    step: int,
    measured: dict[str, float],
    run_dir: Path,
    writes: bool = True,
    state: Mapping[str, Tensor] | None = None,
) -> WorldModelError:
    """The error to raise in update `step`, after the batch was written to RUN/nonfinite/step-N.{safetensors,json}.

    Of several processes that have the same batch, one `writes`. `state` is what `replay` needs besides: a learner's weights,
    and generator.objective, generator.torch and generator.cuda as they were when the update began.
    """
    path = run_dir / FOLDER / f"step-{step}.safetensors"
    tensors = {f"observations.{key}": value for key, value in window.observations.items()}
    tensors |= {f"labels.{key}": value for key, value in window.labels.items()}
    tensors |= {"actions": window.actions, "episode_index": window.episode_index, "frame_index": window.frame_index}
    if window.dataset is not None:
        tensors["dataset"] = window.dataset
    tensors |= dict(state or {})
    content = safetensors.torch.save({key: value.cpu().contiguous() for key, value in tensors.items()})
    words = {key: value if math.isfinite(value) else str(value) for key, value in measured.items()}
    facts = {
        "step": step,
        "measured": words,
        "episode_index": window.episode_index.tolist(),
        "frame_index": window.frame_index.tolist(),
        "embodiment": window.embodiment,
        "frame_skip": window.frame_skip,
        **({} if window.dataset is None else {"dataset": window.dataset.tolist()}),
    }
    if writes:
        write_atomic(path, content)
        write_atomic(path.with_suffix(".json"), dump_json(facts).encode())
    bad = ", ".join(f"{key} is {value}" for key, value in measured.items() if not math.isfinite(value))
    return WorldModelError(
        f"update {step}: {bad}; the batch holds {episodes_of(window)} and is kept in {path}; "
        "lower train.learning_rate, or go on without such batches: train.on_nonfinite=skip"
    )


def replay(path: Path, model: nn.Module, objective: Any, *, bf16: bool = False) -> dict[str, float]:
    """What was measured in the update of RUN/nonfinite/step-N.safetensors, measured again: loss, terms, gradient's norm.

    On the device of `model`, which takes over the weights, as the objective does; the bits are those of the run on the device
    of the run, with its number of processes and threads. CheckpointError for the weights of another model.
    """
    tensors, facts = safetensors.torch.load_file(path), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    parts: dict[str, dict[str, Tensor]] = {name: {} for name in ("observations", "labels", "generator")}
    for name, value in tensors.items():
        owner, _, key = name.partition(".")
        if owner in parts:
            parts[owner][key] = value
    learner, device = Learner(model, objective), next(model.parameters()).device
    weights = {name: value for name, value in tensors.items() if name.startswith(("model.", "objective."))}
    load_weights(learner, weights, str(path))
    window = Window(
        parts["observations"],
        tensors["actions"],
        parts["labels"],
        tensors["episode_index"],
        tensors["frame_index"],
        facts["embodiment"],
        tensors.get("dataset"),
        frame_skip=facts.get("frame_skip", 1),  # batches that were kept before it was have frames in a row
    )
    drawn, generator = parts["generator"], torch.Generator()
    generator.set_state(drawn["objective"])
    learner.train()
    learner.zero_grad()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.set_rng_state(drawn["torch"])
        if device.type == "cuda" and "cuda" in drawn:
            torch.cuda.set_rng_state(drawn["cuda"], device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            loss, terms = objective(model, move(window, device), generator)
        loss.backward()
    norm = nn.utils.get_total_norm([p.grad for p in learner.parameters() if p.grad is not None])
    return {name: float(value.detach()) for name, value in {"loss": loss, **terms, "grad_norm": norm}.items()}


def episodes_of(window: Window) -> str:
    """`episodes 3, 8`, or, of a mixture, `episodes 3, 8 of dataset 0, episodes 3 of dataset 1`; the first few of each."""
    rows = window.episode_index.tolist()
    if window.dataset is None:
        return f"episodes {_few(rows)}"
    datasets = window.dataset.tolist()
    return ", ".join(
        f"episodes {_few([row for row, of in zip(rows, datasets, strict=True) if of == dataset])} of dataset {dataset}"
        for dataset in sorted(set(datasets))
    )


def _few(numbers: list[int]) -> str:
    different = sorted(set(numbers))
    return ", ".join(map(str, different[:8])) + (", ..." if len(different) > 8 else "")
