"""One line for a keyword argument that an environment does not take, with the nearest one that it does."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable

import gymnasium
from gymnasium.envs.registration import load_env_creator


def unknown_keyword(env_id: str, given: Iterable[str]) -> str | None:
    """What is wrong with the keyword arguments of a registered id; None when its constructor takes all of them."""
    entry = gymnasium.spec(env_id).entry_point
    if entry is None:  # an id that has vector environments alone
        return None
    taken = inspect.signature(load_env_creator(entry) if isinstance(entry, str) else entry).parameters
    names = sorted(name for name, parameter in taken.items() if parameter.kind is not inspect.Parameter.VAR_KEYWORD)
    for name in given:
        if name not in names:
            nearest = difflib.get_close_matches(name, names, n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            return f"it takes no {name!r}; only {', '.join(names)}.{hint}"
    return None
