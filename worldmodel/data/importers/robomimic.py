"""robomimic's HDF5 files: a group of arrays for each demonstration.

    data              attributes: env_args (JSON: env_name, env_kwargs), total
    data/demo_0       attributes: num_samples; ep_meta (JSON, may hold `lang`)
    data/demo_0/obs/*, next_obs/*, actions, rewards, dones, states

Layout: robomimic's documentation, "Dataset contents and structure".
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.importers.base import LAST_LEFT_OUT, SourceEpisode, SourceField, SourceInfo
from worldmodel.data.importers.hdf5 import arrays_in, field_of, is_hdf5, item_at, opened, rows_of
from worldmodel.data.importers.identity import identity_of
from worldmodel.data.importers.plan import free_key, safe
from worldmodel.errors import DataError

KIND = "robomimic"


def is_robomimic(path: Path) -> bool:
    """An HDF5 file with demonstrations in a group `data`."""
    if not is_hdf5(path):
        return False
    with opened(path) as file:
        data = item_at(file, "data")
        return data is not None and hasattr(data, "keys") and any(re.fullmatch(r"demo_\d+", name) for name in data)


class Robomimic:
    """A robomimic file, read a demonstration at a time; a `Source`. Fields are paths below a demonstration."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with opened(path) as file:
            if not is_robomimic(path):
                raise DataError(f"{path} has no demonstrations data/demo_N; it is no robomimic file")
            names = [name for name in file["data"] if re.fullmatch(r"demo_\d+", name)]
        self.demos = sorted(names, key=lambda name: int(name.removeprefix("demo_")))
        self.info = self._describe()

    def describe(self) -> SourceInfo:
        """The arrays of the first demonstration as fields; the environment from `env_args`."""
        return self.info

    def _describe(self) -> SourceInfo:
        self.fields: dict[str, SourceField] = {}
        left_out = []
        with opened(self.path) as file:
            data: Any = file["data"]
            args = _json(data.attrs.get("env_args"))
            filters = sorted(file["mask"]) if "mask" in file else []
            has_next = "next_obs" in item_at(data, self.demos[0])
            for name, array in arrays_in(item_at(data, self.demos[0])):
                if name.startswith("next_obs/") or name == "dones":
                    continue
                field = self._field(name, array.shape[1:], array.dtype) if array.ndim else None
                if field is None:
                    left_out.append(f"{name} ({array.dtype})")
                else:
                    self.fields[name] = field
        kwargs = _json(json.dumps(args.get("env_kwargs")))
        notes = ["robomimic tells no success of an episode: false, unless the map says which field is success"]
        if not has_next:
            notes.append(LAST_LEFT_OUT)
        elif "states" in self.fields or any(field.role == "label" for field in self.fields.values()):
            notes.append(
                "states and labels have no row for the frame after the last step: with them, the last action of each episode, "
                "and its reward, are left out; drop them in the map to keep it"
            )
        if filters:
            notes.append(f"the lists of demonstrations under mask/ are not kept: {', '.join(filters)}")
        rate = kwargs.get("control_freq")
        return SourceInfo(
            name=self.path.name,
            fields=self.fields,
            num_episodes=len(self.demos),
            identity=identity_of(KIND, self.path, [self.path]),
            fps=float(rate) if isinstance(rate, int | float) and rate > 0 else None,
            env_id=str(args.get("env_name") or ""),
            env_kwargs=kwargs,
            robot=_text(kwargs.get("robots")),
            control_mode=_controller(kwargs),
            notes=tuple(notes),
            left_out=tuple(left_out),
        )

    def read(self, k: int, fields: Collection[str]) -> SourceEpisode:
        """Demonstration `k` in the order of their numbers."""
        what = f"{self.path.name}: episode {k}"
        values = {}
        with opened(self.path) as file:
            demo: Any = item_at(file["data"], self.demos[k])
            arrays = {name: item_at(demo, name) for name in (*fields, "actions", "dones")}
            for name in fields:
                if not hasattr(arrays[name], "dtype"):
                    raise DataError(f"{what} ({self.demos[k]}) has no field {name!r}")
                values[name] = rows_of(_with_last(demo, name, arrays[name]), self.fields[name])
            num_steps = None if arrays["actions"] is None else len(arrays["actions"])
            done = arrays["dones"] is not None and bool(np.any(arrays["dones"][-1:]))
            meta = _json(demo.attrs.get("ep_meta"))
        return SourceEpisode(
            values=values,
            num_steps=num_steps,
            terminated=done,
            truncated=not done,
            success=False,
            seed=k,
            instruction=_text(meta.get("lang")),
        )

    def _field(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> SourceField | None:
        if dtype.kind not in "biuf":
            return None
        if name == "actions":
            return SourceField("action", "action", shape, dtype.name)
        if name == "rewards":
            return SourceField("reward", "reward", shape, dtype.name)
        taken = {field.key for field in self.fields.values()}
        if name == "states":
            return field_of(shape, dtype, free_key("state", taken), privileged=True)
        if name.startswith("obs/"):
            key = "object" if name == "obs/object" else safe(name.removeprefix("obs/").replace("/", "."))
            return field_of(shape, dtype, free_key(key, taken), privileged=name == "obs/object")
        return SourceField("label", safe(name.replace("/", ".")), shape, dtype.name)


def _with_last(demo: Any, name: str, array: Any) -> np.ndarray:
    """An array's rows; an observation gets the one after the last step behind it, where the file has it."""
    values = array[()]
    after = item_at(demo, name.replace("obs/", "next_obs/", 1)) if name.startswith("obs/") else None
    return np.concatenate([values, after[-1:]]) if after is not None and len(values) else values


def _json(text: Any) -> dict[str, Any]:
    try:
        values = json.loads(text) if isinstance(text, str | bytes) else {}
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _controller(kwargs: dict[str, Any]) -> str:
    configs = kwargs.get("controller_configs")
    return str(configs.get("type") or "") if isinstance(configs, dict) else ""
