"""What a condition on episodes may be made of: which words, and which of Python's nodes (expression.py gives them sense)."""

from __future__ import annotations

import ast
import io
import tokenize

from worldmodel.errors import ConfigError

_RETURN = "return"
"""A word of Python's; in a condition it is the sum of an episode's rewards."""
ALIASES = {_RETURN: "total_reward", "task": "instruction"}
"""Other words for two of the names."""


def pythonic(text: str) -> str:
    """The same with what Python's grammar lacks in words that it has: a binary ~ becomes @, `return` becomes a name."""
    words = []
    before: tokenize.TokenInfo | None = None
    for token in tokenize.generate_tokens(io.StringIO(text.replace("\n", " ")).readline):
        kind, word = token.type, token.string
        if kind == tokenize.OP and word in "@;":
            raise ConfigError(f"cannot read the condition {text!r}: {word!r} means nothing here")
        if kind == tokenize.NAME and word == _RETURN:
            word = ALIASES[_RETURN]
        if kind == tokenize.OP and word == "~" and before and _ends_a_value(before):
            word = "@"
        words.append((kind, word))
        before = token
    return tokenize.untokenize(words).strip()


def _ends_a_value(token: tokenize.TokenInfo) -> bool:
    if token.type == tokenize.NAME:
        return token.string not in ("and", "or", "not", "in")
    return token.type in (tokenize.STRING, tokenize.NUMBER) or token.string == ")"


def check(tree: ast.expr) -> None:
    """Raise ConfigError for anything but comparisons, arithmetic, names and plain values: no call, no attribute, no power."""
    allowed = (
        *(ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.Eq, ast.NotEq, ast.In, ast.NotIn),
        *(ast.BinOp, ast.MatMult, ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List),
        *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
    )
    for node in ast.walk(tree):
        if not isinstance(node, allowed):
            raise ConfigError(f"{_WORDS.get(type(node), type(node).__name__)} is not part of the language")
        if isinstance(node, ast.Constant) and not isinstance(node.value, bool | int | float | str):
            raise ConfigError(f"{node.value!r} is not part of the language")


_WORDS: dict[type[ast.AST], str] = {
    ast.Call: "a call",
    ast.Attribute: "an attribute",
    ast.Subscript: "an index",
    ast.Lambda: "a function",
    ast.Pow: "a power",
    ast.Invert: "~ before a value",
    ast.Is: "'is'",
    ast.NamedExpr: "an assignment",
    ast.JoinedStr: "a formatted text",
}
