"""Plain values from YAML text by the rules of YAML 1.2, in which `off` is a string and a key is given once."""

from __future__ import annotations

import re
import typing
from typing import Any

import yaml

from worldmodel.errors import ConfigError


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


def _integer(loader: _Loader, node: yaml.Node) -> int:
    """A decimal number: YAML 1.1 would read `010` as eight, and fail on `08`."""
    return int(loader.construct_scalar(node))  # pyright: ignore[reportArgumentType]  (what is no scalar is refused there)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def parse_yaml(text: str, source: str) -> Any:
    """The plain values of a text. ConfigError in one line when it is no YAML."""
    try:
        return _Loader(text).get_single_data()  # a SafeLoader: plain values only
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{source}:{place} {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:  # the latter for `!!int abc`
        raise ConfigError(f"{source}: no YAML ({' '.join(str(error).split())})") from None


class _Dumper(yaml.SafeDumper):
    """Quotes what the loader would take for something else than text, such as '08'."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def to_yaml(values: Any) -> str:
    """Plain values as a text that `parse_yaml` reads back."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=120)
