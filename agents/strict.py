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
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from worldmodel.errors import ConfigError

T = TypeVar("T")
Keys = tuple[str, ...]

COMMAND_LINE = "command line"


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars: `1e-3` is a number, `off` and `2026-01-01` are strings; a key given twice is an error."""

    yaml_implicit_resolvers: typing.ClassVar[dict] = {}  # pyright: ignore[reportIncompatibleVariableOverride]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem=f"key {key!r} is not a string", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [*_first])
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^$"), [""])


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
    temporary.write_text(yaml.safe_dump(to_plain(config), sort_keys=False, width=120), encoding="utf-8")
    temporary.replace(path)


def differences(before: Any, after: Any) -> list[str]:
    """One line for each key in which two instances of a dataclass differ."""
    ours, theirs = dict(_leaves(to_plain(before), ())), dict(_leaves(to_plain(after), ()))
    changed = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    return [f"{'.'.join(key)} was {ours.get(key)!r}, is {theirs.get(key)!r}" for key in changed]


def dotted_keys(cls: type) -> Iterator[str]:
    """Every key of a dataclass and of the dataclasses in it, dotted."""
    for name, hint in _hints(cls).items():
        yield name
        for inner in _dataclasses_in(hint):
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
        inner = _dataclasses_in(hint)
        if not inner or not isinstance(value, Mapping):
            return
        hints = {name: h for cls in inner for name, h in _hints(cls).items()}
        for name, item in value.items():
            if name not in hints:
                key = _dotted((*keys, name))
                raise self.complain((*keys, name), f"unknown key {key!r}{self._nearest(key, keys, hints)}")
            self.reject_unknown(hints[name], item, (*keys, name))

    def dataclass(self, cls: type[T], values: Mapping[str, Any], keys: Keys) -> T:
        """An instance of `cls`; its own ValueError is reworded with the key."""
        self.reject_unknown(cls, values, keys)
        hints = _hints(cls)
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
        if (each := _named(hint)) and isinstance(value, Mapping):
            return {name: self.value(each, item, (*keys, name)) for name, item in value.items()}
        if isinstance(value, list) and _listed(hint):
            return tuple(self.value(each, item, below) for each, item, below in _elements(hint, value, keys))
        inner = _dataclasses_in(hint)
        if isinstance(value, Mapping) and inner:
            fitting = [cls for cls in inner if set(value) <= set(_hints(cls))]
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


def type_name(hint: Any) -> str:
    """A type in a reader's words: `tuple of int`, `'offline' or 'online'`, `float or null`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return type_name(args[0])
    if origin is typing.Literal:
        return " or ".join(repr(a) for a in args)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(a) for a in args)
    if origin in (tuple, list):
        if len(args) == 1 or args[1] is Ellipsis:
            return f"list of {type_name(args[0])}"
        return f"list [{', '.join(type_name(a) for a in args)}]"
    if origin is dict or hint is dict:
        return "keys with values"
    names = {type(None): "null", Path: "path", bool: "true or false", str: "text", int: "integer", float: "number"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _hints(cls: type) -> dict[str, Any]:
    """Field name -> resolved type of a dataclass, for the fields that its constructor takes."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]


def _dataclasses_in(hint: Any) -> list[type]:
    """The dataclasses that a value of this type may be: itself, or members of a union."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return [hint]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [cls for a in typing.get_args(hint) for cls in _dataclasses_in(a)]
    return []


def _named(hint: Any) -> Any:
    """The dataclass that each value of a table of free names is: C for dict[str, C], None for every other type."""
    args = typing.get_args(hint)
    return args[1] if typing.get_origin(hint) is dict and _dataclasses_in(args[1]) else None


def _listed(hint: Any) -> Any:
    """The dataclass that each element of a list is: C for tuple[C, ...], None for every other type."""
    args = typing.get_args(hint)
    return args[0] if typing.get_origin(hint) is tuple and args[1:] == (Ellipsis,) and _dataclasses_in(args[0]) else None


def _elements(hint: Any, value: Any, keys: Keys) -> Iterator[tuple[Any, Any, Keys]]:
    """Type, value and keys of each dataclass in a list, or in a table of free names; nothing for every other type."""
    if (each := _listed(hint)) and isinstance(value, list):
        yield from ((each, item, (*keys, f"[{number}]")) for number, item in enumerate(value))
    elif (each := _named(hint)) and isinstance(value, Mapping):
        yield from ((each, item, (*keys, name)) for name, item in value.items())


def _dotted(keys: Keys) -> str:
    """Keys as they are written: `data.mixture[0].weight`."""
    return ".".join(keys).replace(".[", "[")


def parse_yaml(text: str, source: str) -> Any:
    """The plain values of a text. ConfigError in one line when it is no YAML."""
    try:
        return _Loader(text).get_single_data()  # a SafeLoader: plain values only
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{source}:{place} {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: no YAML ({' '.join(str(error).split())})") from None


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
