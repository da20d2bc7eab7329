"""Which settings of an experiment decide a model's weights: two runs that agree on these, and on the data, are one run.

Settings that came later than a run count at their defaults, which change nothing: it is still the same run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents import strict
from agents.experiment import ExperimentConfig
from worldmodel.train.config import NOT_SHAPING

OF_DATA = ("val_fraction", "stride", "frame_skip", "image_size")
"""Settings of the data section that decide what a window is; which datasets there are is in their fingerprint."""


def shaping(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings of an experiment, as plain values, that decide the weights besides the data."""
    whole = _completed(strict.to_plain(ExperimentConfig()), experiment)
    return {
        "train": {name: value for name, value in whole["train"].items() if name not in NOT_SHAPING},
        "data": {name: whole["data"][name] for name in OF_DATA},
        "model": whole["model"],
        "objective": whole["objective"],
    }


def _completed(default: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, and the default of what is not, section by section."""
    whole = dict(default)
    for name, value in given.items():
        known = default.get(name)
        whole[name] = _completed(known, value) if isinstance(value, Mapping) and isinstance(known, Mapping) else value
    return whole
