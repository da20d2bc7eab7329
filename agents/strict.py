"""Frozen dataclasses from YAML and `key=value` overrides, strictly: a typing slip is one line, never a silent default.

    config = load(Experiment, Path("configs/demo.yaml"), overrides=("train.num_steps=100",))

Keys are checked here, values by pydantic in its strict mode (a string is no number, a float is no integer). Every
complaint is a ConfigError that names the file (or the command line), the dotted key, what was got and what was expected.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from agents.field_types import dataclasses_in, field_types, listed_dataclass, named_dataclass, type_name
from agents.yaml_text import parse_yaml, to_yaml
from worldmodel.errors import ConfigError

T = TypeVar("T")
Keys = tuple[str, ...]

COMMAND_LINE = "command line"


def load(cls: type[T], path: Path, overrides: Sequence[str] = ()) -> T:
    """An instance of the dataclass `cls` from a YAML file, with `key=value` overrides on top.

    Raises ConfigError in one line: no such file, no YAML, an unknown key, a missing one, or a value of the wrong type.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file{_nearest_file(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a configuration file ({error})") from None
    values = parse_yaml(text, str(path))
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected keys with values, got {type(values).__name__}")
    return build(cls, values, overrides, source=str(path))


def build(cls: type[T], values: Mapping[str, Any], overrides: Sequence[str] = (), source: str = "configuration") -> T:
    """An instance of the dataclass `cls` from nested plain values, with `key=value` overrides on top; see `load`."""
    changes = [_split(text) for text in overrides]
    merged: dict[str, Any] = json.loads(json.dumps(values))
    checker = _Checker(cls, source, frozenset(keys for keys, _ in changes))
    # The file is checked before the overrides are laid over it: an override must not hide a slip in the file.
    checker.reject_unknown(cls, merged, ())
    for keys, value in changes:
        checker.reject_unknown(cls, _nest(keys, value), ())
        _put(merged, keys, value)
    return checker.dataclass(cls, merged, ())


def between(source: str, overridden: Iterable[str], text: str) -> ConfigError:
    """A complaint about how two sections relate: of the file, and of the command line where `text` names a key of that."""
    told = any(re.search(rf"(?<![\w.]){re.escape(key)}(?!\w)", text) for key in overridden)
    return ConfigError(f"{source}{f' and {COMMAND_LINE}' if told else ''}: {text}")


def to_plain(config: Any) -> dict[str, Any]:
    """The nested plain values of a dataclass instance: `build(type(config), to_plain(config)) == config`."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def dump(config: Any, path: Path) -> None:
    """Write a dataclass instance as YAML that `load` reads back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(to_yaml(to_plain(config)), encoding="utf-8")
    temporary.replace(path)


def differences(before: Any, after: Any) -> list[str]:
    """One line for each key in which two instances of a dataclass differ."""
    ours, theirs = dict(_leaves(to_plain(before), ())), dict(_leaves(to_plain(after), ()))
    changed = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    return [f"{'.'.join(key)} was {ours.get(key)!r}, is {theirs.get(key)!r}" for key in changed]


def dotted_keys(cls: type) -> Iterator[str]:
    """Every key of a dataclass and of the dataclasses in it, dotted."""
    for name, hint in field_types(cls).items():
        yield name
        for inner in dataclasses_in(hint):
            yield from (f"{name}.{key}" for key in dotted_keys(inner))


class _Checker:
    """Builds one configuration and words the complaints about it."""

    def __init__(self, root: type, source: str, overridden: frozenset[Keys]) -> None:
        self.root, self.source, self.overridden = root, source, overridden

    def complain(self, keys: Keys, text: str) -> ConfigError:
        if not keys:  # of several sections
            return between(self.source, map(".".join, self.overridden), text)
        came_from_override = any(keys[: len(o)] == o or o[: len(keys)] == keys for o in self.overridden)
        return ConfigError(f"{COMMAND_LINE if came_from_override else self.source}: {text}")

    def reject_unknown(self, hint: Any, value: Any, keys: Keys) -> None:
        """Complain about the first key of `value` that no dataclass field knows."""
        for each, item, below in _elements(hint, value, keys):
            self.reject_unknown(each, item, below)
        inner = dataclasses_in(hint)
        if not inner or not isinstance(value, Mapping):
            return
        hints = {name: h for cls in inner for name, h in field_types(cls).items()}
        for name, item in value.items():
            if name not in hints:
                key = _dotted((*keys, name))
                raise self.complain((*keys, name), f"unknown key {key!r}{self._nearest(key, keys, hints)}")
            self.reject_unknown(hints[name], item, (*keys, name))

    def dataclass(self, cls: type[T], values: Mapping[str, Any], keys: Keys) -> T:
        """An instance of `cls`; its own ValueError is reworded with the key."""
        self.reject_unknown(cls, values, keys)
        hints = field_types(cls)
        arguments = {name: self.value(hints[name], item, (*keys, name)) for name, item in values.items()}
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if field.init and required and field.name not in arguments:
                key = _dotted((*keys, field.name))
                raise self.complain((*keys, field.name), f"key {key!r} is missing, expected {type_name(hints[field.name])}")
        try:
            return cls(**arguments)
        except ValueError as error:
            raise self.complain(keys, f"{_dotted(keys)}: {error}" if keys else str(error)) from error

    def value(self, hint: Any, value: Any, keys: Keys) -> Any:
        """`value` as the type `hint`: dataclasses are built here, everything else is pydantic's."""
        if (each := named_dataclass(hint)) and isinstance(value, Mapping):
            return {name: self.value(each, item, (*keys, name)) for name, item in value.items()}
        if isinstance(value, list) and listed_dataclass(hint):
            return tuple(self.value(each, item, below) for each, item, below in _elements(hint, value, keys))
        inner = dataclasses_in(hint)
        if isinstance(value, Mapping) and inner:
            fitting = [cls for cls in inner if set(value) <= set(field_types(cls))]
            return self.dataclass((fitting or inner)[0], value, keys)
        if dataclasses.is_dataclass(hint):
            raise self.complain(keys, f"{_dotted(keys)}: expected keys with values, got {value!r}")
        try:
            return TypeAdapter(hint).validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            message = f"{_dotted(keys)}: expected {type_name(hint)}, got {value!r} ({type(value).__name__})"
            detail = error.errors()[0]
            if not detail["type"].endswith(("_type", "_parsing", "_error")):  # a bound, say: pydantic's own words help
                message += f": {detail['msg'].lower()}"
            raise self.complain(keys, message) from None

    def _nearest(self, key: str, keys: Keys, hints: Mapping[str, Any]) -> str:
        everything = list(dotted_keys(self.root))
        same_name = [k for k in everything if k.rpartition(".")[2] == key.rpartition(".")[2]]
        siblings = [_dotted((*keys, name)) for name in hints]
        nearest = [
            *difflib.get_close_matches(key, siblings, n=1),
            *same_name,
            *difflib.get_close_matches(key, everything, n=1),
        ]
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        return f"{hint or ';'} known here: {', '.join(sorted(hints))}"


def _elements(hint: Any, value: Any, keys: Keys) -> Iterator[tuple[Any, Any, Keys]]:
    """Type, value and keys of each dataclass in a list, or in a table of free names; nothing for every other type."""
    if (each := listed_dataclass(hint)) and isinstance(value, list):
        yield from ((each, item, (*keys, f"[{number}]")) for number, item in enumerate(value))
    elif (each := named_dataclass(hint)) and isinstance(value, Mapping):
        yield from ((each, item, (*keys, name)) for name, item in value.items())


def _dotted(keys: Keys) -> str:
    """Keys as they are written: `data.mixture[0].weight`."""
    return ".".join(keys).replace(".[", "[")


def _split(text: str) -> tuple[Keys, Any]:
    key, equals, value = text.partition("=")
    keys = tuple(key.strip().split("."))
    if not equals or not all(keys):
        raise ConfigError(f"{COMMAND_LINE}: expected key=value, such as train.num_steps=100, got {text!r}")
    return keys, parse_yaml(value, f"{COMMAND_LINE}: {key}")


def _leaves(value: Any, keys: Keys) -> Iterator[tuple[Keys, Any]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(item, (*keys, name))
    else:
        yield keys, value


def _nest(keys: Keys, value: Any) -> Any:
    for key in reversed(keys):
        value = {key: value}
    return value


def _put(values: dict[str, Any], keys: Keys, value: Any) -> None:
    """Lay `value` into nested dictionaries at `keys`; what stands in the way is replaced."""
    for key in keys[:-1]:
        if not isinstance(values.get(key), dict):
            values[key] = {}
        values = values[key]
    values[keys[-1]] = value


def _nearest_file(path: Path) -> str:
    folder = path.parent
    names: Iterable[str] = (p.name for p in folder.glob("*.y*ml")) if folder.is_dir() else ()
    nearest = difflib.get_close_matches(path.name, list(names), n=1)
    return f"; did you mean {folder / nearest[0]}?" if nearest else ""
