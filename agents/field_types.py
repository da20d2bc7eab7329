"""What the type of a configuration's field says: its name in a reader's words, and the dataclasses that may stand there."""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any


def type_name(hint: Any) -> str:
    """A type in a reader's words: `list of integer`, `'offline' or 'online'`, `number or null`."""
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
    names = {
        type(None): "null",
        Path: "path",
        bool: "true or false",
        str: "text",
        int: "integer",
        float: "number",
        Any: "values",
    }
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def field_types(cls: type) -> dict[str, Any]:
    """Field name -> resolved type of a dataclass, for the fields that its constructor takes."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]


def dataclasses_in(hint: Any) -> list[type]:
    """The dataclasses that a value of this type may be: itself, or members of a union."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return [hint]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [cls for a in typing.get_args(hint) for cls in dataclasses_in(a)]
    return []


def named_dataclass(hint: Any) -> Any:
    """The dataclass that each value of a table of free names is: C for dict[str, C], None for every other type."""
    args = typing.get_args(hint)
    return args[1] if typing.get_origin(hint) is dict and dataclasses_in(args[1]) else None


def listed_dataclass(hint: Any) -> Any:
    """The dataclass that each element of a list is: C for tuple[C, ...], None for every other type."""
    args = typing.get_args(hint)
    return args[0] if typing.get_origin(hint) is tuple and args[1:] == (Ellipsis,) and dataclasses_in(args[0]) else None
