"""Strips and planner views on disk: npz files without pickled objects, published under their name when complete.

strips.npz: real and imagined (S, T + 1, H, W, 3) uint8, actions (S, T, A) float32.
planner.npz: picture (V, H, W, 3) uint8, candidates (V, N, A) float32, costs (V, N) float32, chosen (V, A) float32.
Both hold action_spec, the ActionSpec as JSON text.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from agents.planners.plan import Plan
from agents.report.types import PlannerView, Strip
from worldmodel.errors import DataError
from worldmodel.train.files import write_atomic
from worldmodel.types import ActionSpec


def save_strips(run_dir: Path, strips: Sequence[Strip], action: ActionSpec) -> Path:
    """Path of RUN/figures/strips.npz; the strips are equally long and of one picture size."""
    arrays = {name: np.stack([getattr(strip, name) for strip in strips]) for name in ("real", "imagined", "actions")}
    return _save(run_dir / "figures" / "strips.npz", arrays, action)


def save_planner_views(run_dir: Path, views: Sequence[PlannerView], action: ActionSpec) -> Path:
    """Path of RUN/figures/planner.npz; the pictures have one size."""
    longest = max(len(view.costs) for view in views)
    arrays = {
        "picture": np.stack([view.picture for view in views]),
        # a search cut short tried fewer candidates: the rest gets no finite cost, which is not drawn
        "candidates": np.stack([_padded(view.candidates, longest, 0.0) for view in views]),
        "costs": np.stack([_padded(view.costs, longest, np.inf) for view in views]),
        "chosen": np.stack([view.chosen for view in views]),
    }
    return _save(run_dir / "figures" / "planner.npz", arrays, action)


def planner_view(picture: np.ndarray, plan: Plan, environment: int = 0) -> PlannerView:
    """What a plan weighed in one of its environments, over the picture (H, W, 3) uint8 that it was made from.

    Raises DataError unless the planner was told to keep its candidates (SamplingConfig.keep_candidates).
    """
    if not plan.trace.candidates:
        raise DataError("the plan kept no candidates; plan with keep_candidates=True")
    first = [candidates[environment, :, 0] for candidates in plan.trace.candidates]  # (N, A) each
    costs = [costs[environment] for costs in plan.trace.costs]
    return PlannerView(
        picture=picture,
        candidates=np.concatenate([actions.float().cpu().numpy() for actions in first]),
        costs=np.concatenate([cost.float().cpu().numpy() for cost in costs]),
        chosen=plan.actions[environment, 0].float().cpu().numpy(),
    )


def load_strips(path: Path) -> tuple[tuple[Strip, ...], ActionSpec | None]:
    """The strips in a file and how to draw their actions; none when there is no such file."""
    arrays, action = _load(path, {"real": 5, "imagined": 5, "actions": 3})
    if not arrays:
        return (), None
    real, imagined, actions = arrays["real"], arrays["imagined"], arrays["actions"]
    if real.shape != imagined.shape or actions.shape[:2] != (real.shape[0], real.shape[1] - 1):
        raise DataError(f"{path}: real {real.shape}, imagined {imagined.shape}, actions {actions.shape} do not fit each other")
    return tuple(Strip(*parts) for parts in zip(real, imagined, actions, strict=True)), action


def load_planner_views(path: Path) -> tuple[tuple[PlannerView, ...], ActionSpec | None]:
    """The planner views in a file and how to draw their actions; none when there is no such file."""
    arrays, action = _load(path, {"picture": 4, "candidates": 3, "costs": 2, "chosen": 2})
    if not arrays:
        return (), None
    if arrays["candidates"].shape[:2] != arrays["costs"].shape or len({len(array) for array in arrays.values()}) != 1:
        raise DataError(f"{path}: " + ", ".join(f"{k} {v.shape}" for k, v in arrays.items()) + " do not fit each other")
    return tuple(PlannerView(*parts) for parts in zip(*arrays.values(), strict=True)), action


def _padded(array: np.ndarray, length: int, value: float) -> np.ndarray:
    """The array (N, ...) as float32 with its first axis filled up to `length`."""
    rest = [(0, 0)] * (array.ndim - 1)
    return np.pad(array.astype(np.float32), [(0, length - len(array)), *rest], constant_values=value)


def _save(path: Path, arrays: dict[str, np.ndarray], action: ActionSpec) -> Path:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, action_spec=np.array(json.dumps(asdict(action))), **arrays)
    write_atomic(path, buffer.getvalue())
    return path


def _load(path: Path, dims: dict[str, int]) -> tuple[dict[str, np.ndarray], ActionSpec | None]:
    """The named arrays of a file, each with its number of dimensions, and the action spec."""
    if not path.is_file():
        return {}, None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in dims}
            values = json.loads(str(file["action_spec"]))
    except KeyError as error:
        raise DataError(f"{path}: array {error} is missing; expected {', '.join((*dims, 'action_spec'))}") from error
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no readable npz file: {error}") from error
    for name, dim in dims.items():
        if arrays[name].ndim != dim:
            raise DataError(f"{path}: {name} must have {dim} dimensions, got shape {arrays[name].shape}")
    return arrays, _action_spec(values)


def _action_spec(values: dict) -> ActionSpec:
    affine = values["image_from_action"]
    return ActionSpec(
        names=tuple(values["names"]),
        low=tuple(values["low"]),
        high=tuple(values["high"]),
        points=tuple((int(i), int(j)) for i, j in values["points"]),
        image_from_action=(tuple(affine[0]), tuple(affine[1])) if affine is not None else None,
    )
