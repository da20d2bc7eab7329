"""Pairs of natural and violated events: what is edited, in a fake world and in the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import envs  # noqa: F401
from agents.evaluation.violations import KINDS, make_pairs
from benchmarks.violations import lines_of, measure
from envs.tabletop import TabletopEnv
from worldmodel.diagnostics import EventPair
from worldmodel.errors import ConfigError

CHECKPOINT = Path(__file__).parents[3] / "checkpoints" / "table-clear"
PLACES = np.array([[-0.15, -0.15, 0.04], [0.0, 0.15, 0.04], [0.15, -0.1, 0.04]])


class TableWorld:
    """Three objects; an action pushes the first one by 10 cm. An edit is shown in the picture as what was asked for."""

    def __init__(self, push: float = 0.1) -> None:
        self.push, self.edits = push, []

    @property
    def unwrapped(self) -> TableWorld:
        return self

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self.poses = np.zeros((5, 8), np.float32)
        self.poses[:3, 0], self.poses[:3, 4], self.poses[:3, 1:4] = 1, 1, PLACES
        return self._observe(), {"status": np.array([1, 1, 1, 0, 0])}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        self.poses[0, 1] += self.push
        return self._observe(), 0.0, True, False, {"status": np.array([1, 1, 1, 0, 0])}

    def aimed_action(self, rng: np.random.Generator) -> np.ndarray:
        return rng.uniform(-1, 1, 4)

    def observe_edited(self, slot: int, **edit: Any) -> dict[str, np.ndarray]:
        self.edits.append((slot, edit))
        return {"pixels": np.array([slot], np.uint8), "state": self.poses.ravel().copy()}

    def _observe(self) -> dict[str, np.ndarray]:
        return {"pixels": np.array([99], np.uint8), "state": self.poses.ravel().copy()}


def by_kind(pairs: list[EventPair]) -> dict[str, list[EventPair]]:
    return {kind: [pair for pair in pairs if pair.kind == kind] for kind in KINDS}


def test_each_kind_edits_an_object_that_fits_it() -> None:
    world: Any = TableWorld()
    pairs = make_pairs(world, 6, np.random.default_rng(0))
    assert {kind: len(found) for kind, found in by_kind(pairs).items()} == dict.fromkeys(KINDS, 6)
    for pair, (slot, edit) in zip(pairs, world.edits, strict=True):
        assert pair.violated["pixels"][0] == slot and pair.natural["pixels"][0] == 99
        assert pair.action.shape == (4,) and pair.action.dtype == np.float32
        if pair.kind == "passed_through":  # the pushed one, back where it was
            assert slot == 0
            np.testing.assert_allclose(edit["pose"][:3], PLACES[0])
            continue
        assert slot in (1, 2)  # one that nobody touched
        if pair.kind == "vanished":
            assert edit == {"present": False}
        elif pair.kind == "recoloured":
            assert edit["rgb"].shape == (3,)
        else:
            others = [PLACES[i, :2] for i in (1, 2) if i != slot] + [PLACES[0, :2] + [0.1, 0]]
            assert np.linalg.norm(edit["pose"][:2] - PLACES[slot, :2]) >= 0.12
            assert min(np.linalg.norm(edit["pose"][:2] - other) for other in others) >= 0.1 - 1e-6
            assert edit["pose"][2] == pytest.approx(0.04)


def test_a_world_without_such_events_is_an_error() -> None:
    world: Any = TableWorld(push=0.0)
    with pytest.raises(ConfigError, match="too few for 2 of 2 passed_through"):
        make_pairs(world, 2, np.random.default_rng(0))
    assert len(make_pairs(world, 2, np.random.default_rng(0), kinds=("vanished",))) == 2


def test_the_real_world_shows_the_edit_and_stays_as_it_is() -> None:
    env = gymnasium.make("worldmodel/TableClear-v0", num_objects=3, robot="gantry")
    try:
        obs, info = env.reset(seed=0)
        world: Any = env.unwrapped
        slot = int(np.flatnonzero(info["status"] == 1)[0])
        pose = obs["state"].reshape(-1, 8)[slot, 1:].copy()
        np.testing.assert_array_equal(world.observe_edited(slot)["pixels"], obs["pixels"])
        elsewhere = pose + np.array([0.0, -0.15 if pose[1] > 0 else 0.15, 0, 0, 0, 0, 0])
        gone, moved = world.observe_edited(slot, present=False), world.observe_edited(slot, pose=elsewhere)
        painted = world.observe_edited(slot, rgb=np.array([0.0, 1.0, 1.0]))

        def changed(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> np.ndarray:
            return (np.abs(one["pixels"].astype(int) - other["pixels"]).max(-1) > 25).nonzero()

        assert 8 < len(changed(obs, gone)[0]) < 200
        assert len(changed(obs, moved)[0]) > len(changed(obs, gone)[0])
        assert gone["state"].reshape(-1, 8)[slot, 0] == 0
        np.testing.assert_allclose(moved["state"].reshape(-1, 8)[slot, 1:], elsewhere, atol=1e-6)
        assert {*zip(*changed(obs, painted), strict=True)} <= {*zip(*changed(obs, gone), strict=True)}
        with pytest.raises(ValueError, match="no object in slot"):
            world.observe_edited(int(np.flatnonzero(info["status"] == 0)[0]))

        # looking changes nothing of what comes: the same as in a world that was never edited
        action = world.aimed_action(np.random.default_rng(0))
        after, *_ = env.step(action)
        env.reset(seed=0)
        untouched, *_ = env.step(action)
        for key, value in untouched.items():
            np.testing.assert_array_equal(after[key], value)
    finally:
        env.close()


def test_the_shipped_model_notices_what_cannot_happen() -> None:
    found = measure(CHECKPOINT, 40, seed=0)
    assert list(found) == list(KINDS) and all(report["num_pairs"] == 40 for report in found.values())
    least = {"teleported": 0.9, "vanished": 0.85, "recoloured": 0.85, "passed_through": 0.7}
    for kind, report in found.items():
        assert report["auroc"] > least[kind], kind
        assert report["low"] <= report["auroc"] <= report["high"] and report["paired"] > least[kind]
        assert report["violated_z"] > report["natural_z"] + 1
    cells = [cell.strip() for cell in lines_of(found)[2].strip("|").split("|")]
    assert cells[:2] == ["teleported", "40"] and cells[2].startswith(f"{found['teleported']['auroc']:.3f}: ")


def test_the_same_picture_drawn_again_is_no_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TabletopEnv, "observe_edited", lambda self, slot, **edit: self.observe())
    found = measure(CHECKPOINT, 4, seed=0)
    assert all((report["auroc"], report["paired"]) == (0.5, 0.5) for report in found.values())
