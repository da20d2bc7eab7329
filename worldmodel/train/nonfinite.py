"""What is kept of a batch whose loss or gradient is no number."""

from __future__ import annotations

import math
from pathlib import Path

import safetensors.torch

from worldmodel.errors import WorldModelError
from worldmodel.train.files import dump_json, write_atomic
from worldmodel.types import Window

FOLDER = "nonfinite"
"""Where the batches lie in the run folder."""


def stop_on(window: Window, step: int, measured: dict[str, float], run_dir: Path, writes: bool = True) -> WorldModelError:
    """The error to raise in update `step`, after the batch was written to RUN/nonfinite/step-N.{safetensors,json}.

    Of several processes that have the same batch, one `writes`.
    """
    path = run_dir / FOLDER / f"step-{step}.safetensors"
    tensors = {f"observations.{key}": value for key, value in window.observations.items()}
    tensors |= {f"labels.{key}": value for key, value in window.labels.items()}
    tensors |= {"actions": window.actions, "episode_index": window.episode_index, "frame_index": window.frame_index}
    if window.dataset is not None:
        tensors["dataset"] = window.dataset
    content = safetensors.torch.save({key: value.cpu().contiguous() for key, value in tensors.items()})
    words = {key: value if math.isfinite(value) else str(value) for key, value in measured.items()}
    facts = {
        "step": step,
        "measured": words,
        "episode_index": window.episode_index.tolist(),
        "frame_index": window.frame_index.tolist(),
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
