"""Names that a caller gives: a wrong one is refused in one line that lists the right ones and the nearest spelling."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def require_known(kind: str, name: object, available: Iterable[str]) -> None:
    """Raise ValueError unless `name` is among the available ones."""
    names = list(available)
    if name in names:
        return
    nearest = difflib.get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise ValueError(f"unknown {kind} {name!r}; available: {', '.join(names)}.{hint}")
