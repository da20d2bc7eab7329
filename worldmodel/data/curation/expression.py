"""A small language for choosing episodes: `success and length >= 4 and task ~ 'cup' and seed % 2 == 0 and not frozen`.

    names          what is known of an episode, see `Expression.names`
    values         3, 0.5, 'cup', True, False, (1, 2, 3)
    and or not     of truths
    < <= > >= == !=   of two numbers or two texts; several in a row, as 2 <= length < 9
    in, not in     a value in a tuple, or a text in a text
    ~              a text holds another, whatever the case
    + - * / // %   of numbers

Python's own parser reads it, and expression_syntax.py lets through only the nodes above: there are no calls, no attributes
and no indices, so a text from a stranger can do nothing but compare.
"""

from __future__ import annotations

import ast
import difflib
import math
import operator
import tokenize
from collections.abc import Callable, Collection, Mapping
from typing import Any

from worldmodel.data.curation.expression_syntax import ALIASES, check, pythonic
from worldmodel.errors import ConfigError

Value = bool | int | float | str
"""What a name of an episode stands for."""

MAX_LENGTH = 2000
"""Characters of an expression; more is a mistake, or a way to exhaust the parser."""

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class Expression:
    """A condition on an episode.

    Args:
        text: the condition, in the language above.

    Raises:
        ConfigError: it cannot be read, or does more than compare.
    """

    def __init__(self, text: str):
        self.text = text.strip()
        if not self.text:
            raise ConfigError('the condition is empty; expected something like "success and length >= 4"')
        if len(self.text) > MAX_LENGTH:
            raise ConfigError(f"the condition has {len(self.text)} characters; expected {MAX_LENGTH} at most")
        try:
            self._tree = ast.parse(pythonic(self.text), mode="eval").body
            check(self._tree)
        except (SyntaxError, tokenize.TokenError, ValueError, RecursionError, MemoryError) as error:
            if isinstance(error, ConfigError):
                raise
            what = error.msg if isinstance(error, SyntaxError) else " ".join(map(str, error.args)) or type(error).__name__
            raise ConfigError(f"cannot read the condition {self.text!r}: {' '.join(what.split())}") from error

    @property
    def names(self) -> frozenset[str]:
        """The names that it asks for; `return` and `task` are other words for `total_reward` and `instruction`."""
        return frozenset(_name(node) for node in ast.walk(self._tree) if isinstance(node, ast.Name))

    def require_known(self, available: Collection[str], more: Collection[str] = (), more_in_words: str = "") -> None:
        """Raise ConfigError when a name is neither among the available ones nor among `more`, which are too many to list."""
        for name in sorted(self.names - set(available) - set(more)):
            nearest = difflib.get_close_matches(name, [*available, *ALIASES, *more], n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            known = ", ".join(sorted([*available, *ALIASES])) + more_in_words
            raise ConfigError(f"the condition {self.text!r} asks for {name!r}{hint or '; expected one of ' + known}")

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether the condition is true of an episode; it is not where a name has no value.

        Raises:
            ConfigError: a number where a text is needed or the other way round, or a division by zero.
        """
        try:
            return _truth(_evaluate(self._tree, values))
        except _Absent:
            return False
        except (ZeroDivisionError, OverflowError, RecursionError, _Unfit) as error:
            raise ConfigError(f"the condition {self.text!r} makes no sense: {error}") from error


class _Absent(Exception):
    """A name without a value."""


class _Unfit(Exception):
    """Two things that cannot be compared or added."""


def _name(node: ast.Name) -> str:
    return ALIASES.get(node.id, node.id)


def _evaluate(node: ast.expr, values: Mapping[str, Value]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name():
            if _name(node) not in values:
                raise _Absent
            return values[_name(node)]
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(_evaluate(item, values) for item in items)
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_truth(_evaluate(part, values)) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_truth(_evaluate(part, values)) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _truth(_evaluate(operand, values))
        case ast.UnaryOp(operand=operand):
            return -_number(_evaluate(operand, values))
        case ast.BinOp(left=left, op=ast.MatMult(), right=right):
            whole, part = _text(_evaluate(left, values)), _text(_evaluate(right, values))
            return part.casefold() in whole.casefold()
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_number(_evaluate(left, values)), _number(_evaluate(right, values)))
        case ast.Compare(left=left, ops=ops, comparators=rights):
            items = [_evaluate(each, values) for each in (left, *rights)]
            return all(_compare(op, a, b) for op, a, b in zip(ops, items, items[1:], strict=False))
        case _:
            raise AssertionError(ast.dump(node))


def _compare(op: ast.cmpop, a: Any, b: Any) -> bool:
    if isinstance(op, ast.In | ast.NotIn):
        if isinstance(b, tuple):
            inside = any(isinstance(a, str) == isinstance(item, str) and a == item for item in b)
        else:
            inside = _text(a) in _text(b)
        return inside == isinstance(op, ast.In)
    if isinstance(a, str) != isinstance(b, str) or isinstance(a, tuple) or isinstance(b, tuple):
        raise _Unfit(f"{a!r} cannot be compared with {b!r}")
    if isinstance(op, ast.Eq | ast.NotEq):
        return (a == b) == isinstance(op, ast.Eq)
    return _ORDER[type(op)](a, b)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Unfit(f"{value!r} is neither true nor false; compare it with something")
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, str | tuple):
        raise _Unfit(f"{value!r} is no number")
    if isinstance(value, float) and math.isnan(value):
        raise _Unfit("a value is not a number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Unfit(f"{value!r} is no text")
    return value
