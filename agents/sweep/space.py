"""A W&B sweep file -> the trials that it stands for.

    method: grid
    parameters:
      train.seed: {values: [0, 1]}                              # the first one varies slowest
      config: {value: configs/presets/ours.yaml}                # the experiment that the others are laid over
      settings: {values: ["objective.rollout_steps=1", ...]}    # several settings that change together
      train.max_cpu_seconds: {value: 480}

Parameters are settings of an experiment by their dotted names (nested `parameters` are joined by dots), and the two above.
The same file runs under `wandb sweep`: its `command` passes ${args_no_hyphens} to `worldmodel sweep`, which then has one
trial, since every word that names a parameter fixes it. With all of them fixed any method runs: W&B's server has drawn.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import itertools
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents import strict
from agents.experiment import ExperimentConfig, load_experiment
from agents.sweep.schema import UNSET, Parameter, SweepConfig, require_whole
from agents.yaml_text import parse_yaml
from worldmodel.errors import ConfigError, unknown_name

CONFIG, SETTINGS = "config", "settings"
"""Parameters that are no setting: the experiment file, and `key=value` words with blanks between."""


@dataclass(frozen=True)
class Trial:
    """One run of a sweep."""

    name: str
    """Of its folder: what varies, and a hash of all parameters."""
    group: str
    """What varies besides the seed: trials of one group differ in their seed alone."""
    parameters: dict[str, Any]
    """Name -> value."""
    experiment: ExperimentConfig
    """Everything resolved."""


def load_sweep(path: Path) -> SweepConfig:
    """The sweep of a file. ConfigError in one line for any slip, an unknown parameter among them."""
    sweep = strict.load(SweepConfig, path)
    flat = dict(_flat(sweep.parameters, "", str(path)))
    known = [CONFIG, SETTINGS, *strict.dotted_keys(ExperimentConfig)]
    for name, parameter in flat.items():
        if name not in known and not name.startswith("env.kwargs."):
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else "; expected a setting of an experiment, such as train.seed"
            raise ConfigError(f"{path}: unknown parameter {name!r}{hint}")
        try:
            require_whole(parameter, sweep.method)
        except ConfigError as error:
            raise ConfigError(f"{path}: parameters.{name}: {error}") from error
    if CONFIG not in flat:
        raise ConfigError(f"{path}: parameters.{CONFIG} is missing; expected an experiment file, {{value: configs/demo.yaml}}")
    if wrong := [file for file in flat[CONFIG].listed if not isinstance(file, str)]:
        raise ConfigError(f"{path}: parameters.{CONFIG} is {wrong[0]!r}; expected a file, such as configs/demo.yaml")
    return dataclasses.replace(sweep, parameters=flat, name=sweep.name or path.stem)


def trials_of(sweep: SweepConfig, words: Sequence[str] = (), source: str = "sweep", every: bool = False) -> list[Trial]:
    """The trials, in their order. A `key=value` word fixes the parameter of that name, or is laid over every trial.

    With `every`, words that only choose among the trials, as they name a parameter of several values, choose nothing.
    """
    fixed, others = _split(sweep, words)
    if every:
        fixed = {name: value for name, value in fixed.items() if len(sweep.parameters[name].listed) == 1}
    parameters = {name: Parameter(value=fixed[name]) if name in fixed else p for name, p in sweep.parameters.items()}
    found: dict[str, Trial] = {}
    for values in _combinations(sweep, parameters):
        trial = _trial(sweep, values, others, source)
        found.setdefault(trial.name, trial)
    return list(found.values())[: sweep.run_cap]


def drawn_elsewhere(sweep: SweepConfig, words: Sequence[str]) -> bool:
    """Whether words fix a trial that W&B's server may have drawn: which others there are, only the server knows."""
    fixed, _ = _split(sweep, words)
    return sweep.method != "grid" and all(name in fixed or len(p.listed) == 1 for name, p in sweep.parameters.items())


def trial_with(sweep: SweepConfig, values: Mapping[str, Any], words: Sequence[str], source: str) -> Trial:
    """The trial of these parameters. ConfigError when they are not the sweep's."""
    if values.keys() != sweep.parameters.keys():
        raise ConfigError(f"{source}: the parameters are {', '.join(sweep.parameters)}, got {', '.join(values)}")
    _, others = _split(sweep, words)
    return _trial(sweep, {name: values[name] for name in sweep.parameters}, others, source)


def _combinations(sweep: SweepConfig, parameters: Mapping[str, Parameter]) -> Iterator[dict[str, Any]]:
    if sweep.method == "grid" or all(len(p.listed) == 1 for p in parameters.values()):
        yield from (
            dict(zip(parameters, values, strict=True)) for values in itertools.product(*(p.listed for p in parameters.values()))
        )
        return
    if sweep.method == "bayes":
        free = ", ".join(name for name, p in parameters.items() if len(p.listed) != 1)
        raise ConfigError(
            f"{sweep.name}: method is bayes, and {free} not fixed: W&B's server chooses (wandb sweep FILE, then wandb agent); "
            "or use method: random"
        )
    if sweep.run_cap is None:
        raise ConfigError(f"{sweep.name}: method is random and run_cap is not given; expected the number of trials")
    for number in range(sweep.run_cap):
        # by name and number, so that a parameter more leaves the others' draws alone
        seeds = {name: np.random.default_rng([number, zlib.crc32(name.encode())]) for name in parameters}
        yield {name: parameter.draw(seeds[name]) for name, parameter in parameters.items()}


def _trial(sweep: SweepConfig, values: dict[str, Any], others: Sequence[str], source: str) -> Trial:
    varied = {name: value for name, value in values.items() if len(sweep.parameters[name].listed) != 1}
    label = "-".join(_label(name, value) for name, value in varied.items() if not is_seed(name))
    seeds = "".join(f"-{_label(name, value)}" for name, value in varied.items() if is_seed(name))
    telling = [word for word in others if not word.startswith("logging.")]
    digest = hashlib.sha256(json.dumps([values, telling], sort_keys=True).encode()).hexdigest()[:6]
    group = label or sweep.name
    name = f"{group}{seeds}-{digest}"
    settings = [f"{key}={json.dumps(value)}" for key, value in values.items() if key not in (CONFIG, SETTINGS)]
    names = [f"logging.name={json.dumps(name)}", f"logging.group={json.dumps(f'{sweep.name}/{group}')}"]
    together = str(values.get(SETTINGS, "")).split()
    try:
        experiment = load_experiment(Path(values[CONFIG]), [*names, *together, *settings, *others])
    except ConfigError as error:
        text = str(error).replace(f"{strict.COMMAND_LINE}: ", "", 1)
        raise ConfigError(f"{source}: trial {name}: {text}") from error
    return Trial(name, group, values, experiment)


def _split(sweep: SweepConfig, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Parameters that words fix, and the other words."""
    fixed: dict[str, Any] = {}
    others = []
    for word in words:
        name, equals, text = word.partition("=")
        inner = [key for key in sweep.parameters if key.startswith(f"{name}.")]
        if not equals or not (name in sweep.parameters or inner):
            others.append(word)
            continue
        value = parse_yaml(text, f"{strict.COMMAND_LINE}: {name}")
        given = {name: (text, value)}
        if inner and isinstance(value, Mapping):  # W&B's agent gives the parameters in a section together
            given = {key: (str(item), item) for key, item in _leaves(value, name)}
        for key, (written, item) in given.items():
            fixed[key] = _listed(key, sweep.parameters[key], written, item) if key in sweep.parameters else item
    if unknown := [key for key in fixed if key not in sweep.parameters]:
        raise ConfigError(f"{strict.COMMAND_LINE}: " + unknown_name("parameter", unknown[0], sweep.parameters))
    return fixed, others


def _listed(name: str, parameter: Parameter, written: str, value: Any) -> Any:
    """The value of a parameter that a word asks for. ConfigError when it has several, and this is none of them."""
    # W&B's agent writes values as Python does, None and True; people write 1 where 1.0 is listed
    same = (v for v in parameter.listed if str(v) == written or (v == value and isinstance(v, bool) == isinstance(value, bool)))
    found = next(same, UNSET)
    if found is UNSET and len(parameter.listed) > 1:
        listed = ", ".join(json.dumps(v) for v in parameter.listed)
        raise ConfigError(f"{strict.COMMAND_LINE}: {name}={written} leaves no trial; this sweep has {listed}")
    return value if found is UNSET else found


def _leaves(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        key = f"{prefix}.{name}"
        yield from _leaves(value, key) if isinstance(value, Mapping) else [(key, value)]


def _flat(parameters: Mapping[str, Parameter], prefix: str, source: str) -> Iterator[tuple[str, Parameter]]:
    for name, parameter in parameters.items():
        if parameter.parameters:
            section = f"{source}: parameters.{prefix}{name}"
            inner = {key: _inner(values, f"{section}.{key}") for key, values in parameter.parameters.items()}
            yield from _flat(inner, f"{prefix}{name}.", source)
        else:
            yield f"{prefix}{name}", parameter


def _inner(values: Any, source: str) -> Parameter:
    """A parameter in a section. ConfigError when it is none."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{source}: expected keys with values, such as {{value: 3}}, got {values!r}")
    return strict.build(Parameter, values, source=source)


def is_seed(name: str) -> bool:
    """Whether trials that differ in this parameter alone repeat each other."""
    return name.rpartition(".")[2] == "seed"


def _label(name: str, value: Any) -> str:
    """A value in a folder's name: by itself where it is text, behind its parameter's last word where it is not."""
    if name == CONFIG:
        return Path(str(value)).stem
    text = f"{value:g}" if type(value) is float else str(value)
    if not isinstance(value, str):
        text = name.rpartition(".")[2] + text
    return re.sub(r"[^A-Za-z0-9_.+]+", "_", re.sub(r"[\w.]+\.(?=\w+=)", "", text)).strip("_")[:60]
