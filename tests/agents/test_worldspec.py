"""Specs asked of environments."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from agents.worldspec import action_word, budget_of, spec_of
from tests.fakes import LineWorld
from worldmodel.errors import MismatchError
from worldmodel.types import WorldSpec


def test_derived_from_the_spaces() -> None:
    spec = spec_of(LineWorld())
    assert spec.env_id == "LineWorld" and spec.robot == "LineWorld"
    assert spec.sensors["pixels"].shape == (8, 8, 3) and spec.sensors["pixels"].kind == "image"
    assert spec.sensors["state"].shape == (6,) and spec.sensors["state"].dtype == "float32"
    assert spec.action.low == (-1.0, -1.0) and spec.action.high == (1.0, 1.0) and spec.action.dim == 2
    assert WorldSpec.from_dict(spec.to_dict()) == spec


def test_the_environments_own_words_come_first() -> None:
    described = {**spec_of(LineWorld()).to_dict(), "robot": "hammer", "control_mode": "hit"}

    class Describing(LineWorld):
        def describe(self) -> dict:
            return described

    assert spec_of(Describing()) == WorldSpec.from_dict(described)


def observing(space: gymnasium.Space) -> gymnasium.Env:
    world = LineWorld()
    world.observation_space = space  # type: ignore[assignment]
    return world


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (observing(gymnasium.spaces.Box(-1, 1, (3,))), "observes a Box; a Dict of named Boxes"),
        (observing(gymnasium.spaces.Dict(x=gymnasium.spaces.Box(-1, 1, (3,), np.float64))), "observes 'x' as Box"),
        (observing(gymnasium.spaces.Dict(x=gymnasium.spaces.Discrete(3))), "observes 'x' as Discrete"),
    ],
)
def test_what_cannot_be_given_is_one_line(env: gymnasium.Env, message: str) -> None:
    with pytest.raises(MismatchError, match=message) as caught:
        spec_of(env)
    assert "\n" not in str(caught.value)


def test_actions_need_bounds() -> None:
    for space in (gymnasium.spaces.Discrete(3), gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)):
        world = LineWorld()
        world.action_space = space  # type: ignore[assignment]
        with pytest.raises(MismatchError, match="takes"):
            spec_of(world)


def test_what_an_action_is_called_and_where_its_budget_stands() -> None:
    assert [action_word(mode) for mode in ("sweep", "ee_delta", "step")] == ["sweep", "action", "action"]
    assert budget_of({"max_sweeps": 8}) == budget_of({"max_steps": 8, "robot": "arm"}) == 8 and budget_of({}) is None


def test_a_sensor_that_one_of_two_lacks_is_a_difference_either_way() -> None:
    both = spec_of(LineWorld())
    seeing = WorldSpec.from_dict({**both.to_dict(), "sensors": {"pixels": both.to_dict()["sensors"]["pixels"]}})
    assert both.differences(seeing, ("pixels", "state")) == ["sensor 'state' is missing"]
    assert seeing.differences(both, ("pixels", "state")) == ["sensor 'state': none expected, one got"]
    assert seeing.differences(both) == []
