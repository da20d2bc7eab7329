"""A goal of its own for each episode: shown, nearest, best or none; asked for once; each environment its own."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents.episode_goals import EpisodeGoals, has_episode_goals
from agents.mpc import MPCAgent
from agents.planners import ElitesConfig, build_planner
from agents.training.recorded import Recorded
from tests.fakes import Integrator, LineWorld, action_spec
from worldmodel.errors import MismatchError


class Place(gymnasium.Env):
    """Somewhere on a plane to be; `shown` and `desired` are what it tells of where."""

    def __init__(self, shown: list[float] | None = None, desired: list[float] | None = None) -> None:
        self.shown, self.desired, self.asked = shown, desired, 0

    def goal_observation(self) -> dict[str, np.ndarray] | None:
        self.asked += 1
        return None if self.shown is None else {"state": np.array(self.shown, np.float32)}

    def desired_goal(self) -> np.ndarray | None:
        return None if self.desired is None else np.array(self.desired, np.float32)


FRAMES = {"state": np.array([[5.0, 5.0], [1.0, 0.0], [0.0, 1.0]], np.float32)}
RECORDED = Recorded(torch.zeros(0, 2), FRAMES, np.array([[50.0], [10.0], [20.0]], np.float32), 3.0)


def goals(recorded: Recorded | None = RECORDED, **more: Any) -> EpisodeGoals:
    return EpisodeGoals(Integrator(), ("state",), lambda frames: frames, recorded, **more)


@pytest.mark.parametrize(
    ("place", "goal"),
    [
        (Place(shown=[2.0, -2.0], desired=[10.0]), [2.0, -2.0]),  # what is shown comes first
        (Place(desired=[19.0]), [0.0, 1.0]),  # then the nearest recorded frame
        (Place(), [5.0, 5.0]),  # then the one of the highest reward
    ],
)
def test_where_a_goal_is_found(place: Place, goal: list[float]) -> None:
    assert has_episode_goals(place) and not has_episode_goals(LineWorld())
    np.testing.assert_array_equal(goals().look(place), [goal])  # (K, D): one token, the state itself


def test_pictures_are_made_to_fit() -> None:
    found = EpisodeGoals(Integrator(), ("state",), lambda frames: {key: 2 * value for key, value in frames.items()})
    np.testing.assert_array_equal(found.look(Place(shown=[1.0, 3.0])), [[2.0, 6.0]])


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(MismatchError, match="only the random agent is left"):
        goals(None).look(Place())
    nameless = Recorded(torch.zeros(0, 2), FRAMES, None, 0.0)
    with pytest.raises(MismatchError, match="no achieved_goal"):
        goals(nameless).look(Place(desired=[1.0]))
    with pytest.raises(MismatchError, match="shows state of its goal, and the model reads proprio too"):
        EpisodeGoals(Integrator(), ("state", "proprio"), lambda frames: frames).look(Place(shown=[0.0, 0.0]))


def agent(**more: Any) -> MPCAgent:
    planner = build_planner(ElitesConfig(horizon=1, num_samples=(64, 32, 32)), action_spec())
    return MPCAgent(Integrator(), planner, goals(**more), sensors=("state",))


def test_each_environment_is_led_to_its_own_goal_which_is_asked_for_once_an_episode() -> None:
    places = [Place([1.5, -0.5]), Place([-1.0, 0.25]), Place()]
    ends = np.array([[1.5, -0.5], [-1.0, 0.25], [5.0, 5.0]])
    led = agent()
    led.reset([1, 2, 3])
    state = np.zeros((3, 2), np.float32)
    for _ in range(7):
        state = state + led.act({"state": state}, places)
    assert np.abs(state - ends).max() < 0.15
    assert [place.asked for place in places] == [1, 1, 1]
    places[1].shown = [0.5, 0.5]
    led.reset([1, 9, 3], mask=np.array([False, True, False]))
    for _ in range(4):
        state = state + led.act({"state": state}, places)
    assert np.abs(state - [[1.5, -0.5], [0.5, 0.5], [5.0, 5.0]]).max() < 0.15
    assert [place.asked for place in places] == [1, 2, 1]


def test_goals_cannot_be_asked_of_nobody() -> None:
    led = agent()
    led.reset([0])
    with pytest.raises(MismatchError, match="1 expected, 0 got"):
        led.act({"state": np.zeros((1, 2), np.float32)})


def test_the_identity_tells_of_the_recorded_goals() -> None:
    other = agent(recorded=Recorded(torch.zeros(0, 2), {"state": FRAMES["state"] + 1}, None, 3.0))
    assert agent().identity == agent().identity != other.identity
