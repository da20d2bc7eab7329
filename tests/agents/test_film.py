"""Filming: what is refused before a film is begun."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from agents.film import film
from worldmodel.errors import ConfigError


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_is_none_is_refused_before_anything_is_done(seed: int, tmp_path: Path) -> None:
    untouched = cast(Any, None)  # an environment or an agent that is used would fail otherwise
    with pytest.raises(ConfigError, match=f"seed is {seed}; expected a whole number from 0"):
        film(untouched, untouched, seed, tmp_path / "film.mp4", untouched)
    assert list(tmp_path.iterdir()) == []
