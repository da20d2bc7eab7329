"""The infos of several simulations come together as Gymnasium puts them together, to the type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import VectorEnv

from envs.vector.infos import gather, spread
from tests.envs.vector.test_vector import same

EPISODE: dict[str, Any] = {
    "success": True,
    "num": 3,
    "share": 0.5,
    "force": np.float32(2),
    "status": np.array([1, 2]),
    "objects": ["red cup"],
    "instruction": "clear the table",
    "nothing": None,
    "yes": np.bool_(True),
    "variation": {"light": 0.3, "split": "train", "place": {"x": [1.0]}},
    "empty": {},
}
LAST = {"final_info": EPISODE, "final_obs": {"pixels": np.zeros((2, 2))}, "num": 1, "failure": "the cup broke"}


@pytest.mark.parametrize(
    "infos",
    [
        [EPISODE, EPISODE, EPISODE, EPISODE],
        [EPISODE, LAST, {}, {"num": 2.7, "variation": {"light": 1.0}}],
        [{}, {}, {}, LAST],
        [{}, {"share": 1.5}, {"share": 2.0}, EPISODE],
        [{}, {}, {}, {}],
    ],
)
@pytest.mark.parametrize("parts", [[4], [2, 4], [1, 2, 3, 4], [3, 4]])
def test_the_infos_are_gymnasiums(infos: list[dict[str, Any]], parts: list[int]) -> None:
    one, expected = VectorEnv(), {}
    one.num_envs = len(infos)
    for i, info in enumerate(infos):
        expected = one._add_info(expected, info, i)
    starts = [0, *parts[:-1]]
    shares = [(slice(a, b), gather(infos[a:b])) for a, b in zip(starts, parts, strict=True)]
    same(spread(shares, len(infos)), expected)
