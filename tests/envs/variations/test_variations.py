"""Factors of variation: what each changes, that nothing else moves, and that a seed is an episode to the bit."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv

import envs
from envs.table.scene import TABLE_HALF
from envs.tabletop import TabletopEnv
from envs.tasks import TASKS
from envs.tasks.base import Status
from envs.variations import FACTORS, Variations, VariationsConfig
from envs.variations.ranges import SPLITS, Split
from envs.variations.things import HELD_OUT_SHAPES
from tests.envs.table.test_physics import assert_agree
from tests.envs.vector.test_vector import same

SKILL_FACTORS = [name for name in FACTORS if name != "action_delay"]
SEEN = [
    "object_colours",
    "object_shapes",
    "object_sizes",
    "surfaces",
    "light",
    "camera",
    "table_size",
    "distractors",
    "sensor_noise",
]
"""Factors that show in the first picture."""


def table(factors: Any = "all", split: str = "train", **kwargs: Any) -> TabletopEnv:
    return TabletopEnv(**{"robot": "gantry", "variations": {"factors": factors, "split": split}, **kwargs})


@pytest.mark.parametrize("split", SPLITS)
def test_gymnasium_checks_everything_at_once_without_a_warning(split: str) -> None:
    sensors = ["pixels", "side", "wrist", "depth", "segmentation", "proprio", "state", "touch"]
    kwargs: dict[str, Any] = {"observations": sensors, "image_size": 24, "num_objects": (1, 5), "render_mode": "rgb_array"}
    env = gym.make(envs.TABLE_CLEAR, robot="gantry", variations={"factors": "all", "split": split}, **kwargs).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env)
    env.close()


@pytest.mark.parametrize("split", SPLITS)
def test_the_values_of_an_episode_are_told_and_lie_in_their_split(split: Split) -> None:
    env = table(split=split)
    seen = []
    for seed in range(4):
        variation = env.reset(seed=seed)[1]["variation"]
        assert json.loads(json.dumps(variation)) == variation
        assert variation["variation_split"] == split
        for name in SKILL_FACTORS:
            for key, quantity in FACTORS[name].items():
                values = variation[f"{name}_{key}"]
                assert all(quantity.contains(value, split) for value in (values if isinstance(values, list) else [values]))
        assert len(variation["distractors_kind"]) == len(variation["distractors_place"]) == variation["distractors_number"]
        seen.append(json.dumps(variation))
    assert len(set(seen)) == 4
    assert env.describe()["env_kwargs"]["variations"] == {"factors": SKILL_FACTORS, "split": split}
    env.close()


def test_every_quantity_is_drawn_on_its_own() -> None:
    env = table(["light", "surfaces", "camera"], observations=["state"])
    drawn = []
    for seed in range(60):
        values = env.reset(seed=seed)[1]["variation"]
        numbers = [value for value in values.values() if not isinstance(value, str)]
        drawn.append(np.concatenate([np.ravel(value) for value in numbers]))
    correlation = np.corrcoef(np.array(drawn).T)
    assert np.abs(correlation - np.eye(len(correlation))).max() < 0.6
    env.close()


def test_without_factors_nothing_is_recorded_and_the_world_is_as_it_was() -> None:
    plain, none = TabletopEnv(robot="gantry"), TabletopEnv(robot="gantry", variations={"factors": [], "split": "held_out"})
    for seed in range(2):
        (seen, info), (other, other_info) = plain.reset(seed=seed), none.reset(seed=seed)
        same(seen, other)
        same(info, other_info)
        assert "variation" not in info
    assert plain.describe() == none.describe()
    plain.close()
    none.close()


@pytest.mark.parametrize("factor", SEEN)
def test_a_factor_shows_and_does_not_move_the_table_or_another_factor(factor: str) -> None:
    """The draws of the task, and of the factor light beside, stay; only what the factor is about differs."""
    kwargs: dict[str, Any] = {"num_objects": 4, "observations": ["pixels", "state"]}
    plain = TabletopEnv(robot="gantry", **kwargs)
    alone, with_light = table([factor], **kwargs), table(["masses", factor], **kwargs)
    seen, _ = plain.reset(seed=5)
    first, varied = alone.reset(seed=5)
    assert np.abs(first["pixels"].astype(int) - seen["pixels"].astype(int)).max() > (4 if factor != "sensor_noise" else 0)
    assert first["state"][::8].tolist() == seen["state"][::8].tolist()  # the same slots
    if factor not in ("object_shapes", "object_sizes"):  # those may not fit where the others stood
        np.testing.assert_allclose(first["state"], seen["state"], atol=2e-3)
    both = with_light.reset(seed=5)[1]["variation"]
    assert {key: value for key, value in both.items() if key in varied["variation"]} == varied["variation"]
    plain.reset()  # the stream goes on as without
    alone.reset()
    assert plain.np_random.integers(2**40) == alone.np_random.integers(2**40) or factor in ("object_shapes", "object_sizes")
    for env in (plain, alone, with_light):
        env.close()


def test_two_splits_of_the_same_seed_are_the_same_table() -> None:
    train, held_out = table(["object_colours", "light", "masses"]), table(["object_colours", "light", "masses"], "held_out")
    np.testing.assert_allclose(train.reset(seed=1)[0]["state"], held_out.reset(seed=1)[0]["state"], atol=2e-3)
    assert not {thing.name for thing in train.objects} & {thing.name for thing in held_out.objects}
    masses = np.array([[thing.mass for thing in env.objects] for env in (train, held_out)])
    assert np.all(masses[0] != masses[1])
    train.close()
    held_out.close()


def test_objects_have_the_shapes_sizes_masses_and_colours_that_were_drawn() -> None:
    plain = TabletopEnv(robot="gantry", num_objects=5)
    plain.reset(seed=0)
    for factor in ("object_sizes", "masses"):
        env = table([factor], "held_out", num_objects=5)
        scale = env.reset(seed=0)[1]["variation"][f"{factor}_scale"]
        for thing, nominal in zip(env.objects, plain.objects, strict=True):
            size, mass = (scale[thing.slot], 1.0) if factor == "object_sizes" else (1.0, scale[thing.slot])
            np.testing.assert_allclose(thing.half, nominal.half * size)
            assert thing.mass == pytest.approx(nominal.mass * mass)
            assert env.model.body(f"object{thing.slot}").mass[0] == pytest.approx(thing.mass)
            np.testing.assert_allclose(env.model.geom(f"object{thing.slot}").size, thing.half)
        env.close()
    env = table(["object_shapes"], "held_out", num_objects=5)
    kinds = env.reset(seed=0)[1]["variation"]["object_shapes_kind"]
    shapes = {shape.name: shape for shape in HELD_OUT_SHAPES}
    for thing in env.objects:
        assert thing.shape is shapes[kinds[thing.slot]]
        assert np.all(thing.half >= thing.shape.low) and np.all(thing.half <= thing.shape.high)
    env.close()
    plain.close()


@pytest.mark.parametrize("split", SPLITS)
def test_the_largest_table_carries_what_stands_at_its_edge_and_the_smallest_does_not(split: str) -> None:
    env = table(["table_size"], split, num_objects=1)
    for seed in range(3):
        variation = env.reset(seed=seed)[1]["variation"]
        thing = env.objects[0]
        for x, y in ((variation["table_size_half_width"], 0.0), (0.0, -variation["table_size_near_edge"])):
            for inside in (0.012, -0.012):
                place = np.array([x - inside * np.sign(x), y - inside * np.sign(y), thing.height + 1e-3, 0.0])
                env.world.set_slot(thing.slot, present=True, pose=place)
                env.data.qvel[:] = 0
                mujoco.mj_forward(env.model, env.data)
                mujoco.mj_step(env.model, env.data, 300)
                assert (env.statuses()[thing.slot] == Status.TABLE) == (inside > 0), (seed, x, y, inside)
    env.close()


def test_slippery_objects_slide_further() -> None:
    ways = []
    for low in (True, False):
        env = table(["friction"], "held_out", num_objects=1)
        seed = next(s for s in range(20) if env.reset(seed=s) and env.objects[0].shape.name == "bowl")  # does not topple
        options = ({"variation_seed": k} for k in range(20))
        next(o for o in options if (env.reset(seed=seed, options=o)[1]["variation"]["friction_scale"] < 1) == low)
        slot = env.objects[0].slot
        env.world.set_slot(slot, present=True, pose=np.array([-0.2, 0.0, env.objects[0].height, 0.0]))
        env.data.qvel[:] = 0
        start = int(env.model.joint(f"object{slot}").dofadr[0])
        env.data.qvel[start] = 0.8
        mujoco.mj_forward(env.model, env.data)
        mujoco.mj_step(env.model, env.data, 200)
        ways.append(env.positions()[slot, 0] + 0.2)
        env.close()
    assert ways[0] > 1.5 * ways[1] > 0.02


def test_distractors_stand_on_the_table_count_for_nothing_and_are_told_apart() -> None:
    env = table(["distractors"], "held_out", observations=["segmentation", "state"], num_objects=2)
    names = env.describe()["sensors"]["segmentation"]["names"]
    for seed in range(5):
        seen, info = env.reset(seed=seed)
        assert info["num_objects"] == 2 and info["variation"]["distractors_number"] >= 3
        assert np.any(seen["segmentation"] == names.index("distractor"))
        for i, place in enumerate(info["variation"]["distractors_place"]):
            body = env.data.body(f"distractor{i}").xpos
            np.testing.assert_allclose(body[:2], place, atol=5e-3)
            assert -0.001 < body[2] < 0.06 and max(abs(body[0]), abs(body[1])) < TABLE_HALF
    rng = np.random.default_rng(0)
    for seed in range(3):
        env.reset(seed=seed)
        over = False
        while not over:
            _, _, terminated, truncated, info = env.step(env.expert_action(rng))
            over = terminated or truncated
        assert info["success"]
    env.close()


def test_noise_is_of_the_frame_and_of_the_size_that_was_drawn_and_leaves_the_state_alone() -> None:
    kwargs: dict[str, Any] = {"observations": ["pixels", "depth", "proprio", "state"]}
    clean, noisy = TabletopEnv(robot="gantry", **kwargs), table(["sensor_noise"], "held_out", **kwargs)
    (true, _), (seen, info) = clean.reset(seed=2), noisy.reset(seed=2)
    np.testing.assert_array_equal(seen["state"], true["state"])
    difference = seen["pixels"].astype(int) - true["pixels"].astype(int)
    middle = (true["pixels"] > 60) & (true["pixels"] < 195)
    assert difference[middle].std() == pytest.approx(info["variation"]["sensor_noise_pixels"], rel=0.1)
    assert (seen["depth"] - true["depth"]).std() == pytest.approx(info["variation"]["sensor_noise_depth"], rel=0.1)
    assert 0 < np.abs(seen["proprio"] - true["proprio"]).max() < 5 * info["variation"]["sensor_noise_proprio"]
    same(noisy.observe(), seen)  # looking twice is no other noise
    noisy.step(np.array([1.0, -1.0, 1.0, -1.0]))
    assert not np.array_equal(noisy.observe()["pixels"].astype(int) - clean.observe()["pixels"].astype(int), difference)
    clean.close()
    noisy.close()


def test_late_actions_come_in_order_after_stillness() -> None:
    variations = Variations(VariationsConfig(("action_delay",), "held_out"))
    variations.begin(TabletopEnv(robot="gantry", observations=["state"]).model, np.random.default_rng(0))
    steps = variations.values["action_delay_steps"]
    assert steps in (2, 3)
    sent = [np.full(2, float(i + 1)) for i in range(6)]
    came = [float(variations.late(action, np.zeros(2))[0]) for action in sent]
    assert came == [0.0] * steps + [1.0, 2.0, 3.0, 4.0, 5.0, 6.0][: 6 - steps]


def digest(split: str) -> str:
    """Hash of what two episodes return, everything varied."""
    import hashlib

    env = table(split=split, observations=["pixels", "side", "depth", "proprio", "state", "touch"], image_size=32)
    total, rng = hashlib.sha256(), np.random.default_rng(0)
    for seed in (3, None):
        seen, info = env.reset(seed=seed)
        total.update(json.dumps(info["variation"]).encode())
        for _ in range(2):
            for key in sorted(seen):
                total.update(seen[key].tobytes())
            seen, *_ = env.step(env.aimed_action(rng))
    env.close()
    return total.hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
def test_a_seed_is_the_same_episode_in_another_process(split: str) -> None:
    code = f"from tests.envs.variations.test_variations import digest; print(digest({split!r}))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(split)


def test_a_seed_is_the_same_episode_whatever_was_played_before() -> None:
    env = table(split="held_out", num_objects=(1, 5), observations=["pixels", "depth", "proprio", "state"])
    alone = {}
    for seed in (0, 1, 2, 1, 0, 2):
        played = [env.reset(seed=seed), env.step(env.aimed_action(np.random.default_rng(seed)))]
        same(played, alone.setdefault(seed, played))
    env.close()


@pytest.mark.slow
@pytest.mark.parametrize(("task", "mode"), [("clear", "sweep"), ("pick", "ee_delta"), ("load_rack", "pick_place")])
def test_many_at_once_are_varied_as_single_ones_are(task: str, mode: str) -> None:
    kwargs: dict[str, Any] = {
        "task": task, "control_mode": mode, "max_steps": 2, "num_objects": (1, 3), "image_size": 32,
        "observations": ["pixels", "side", "depth", "segmentation", "proprio", "state", "touch"],
        "variations": {"factors": "all", "split": "held_out"},
    }  # fmt: skip
    many = gym.make_vec(envs.TABLE_CLEAR, num_envs=2, num_workers=2, **kwargs)
    one: Any = SyncVectorEnv([lambda: TabletopEnv(**kwargs)] * 2)
    same(many.reset(seed=7), one.reset(seed=7))
    rng = np.random.default_rng(0)
    for _ in range(4):  # over a reset of each
        actions = np.stack([env.unwrapped.aimed_action(rng) for env in one.envs])
        same(many.step(actions), one.step(actions))
    many.close()
    one.close()


def test_a_variation_seed_varies_the_same_table_in_another_way() -> None:
    env = table(["light", "masses"])
    seen = [env.reset(seed=0, options={"variation_seed": k}) for k in (0, 1, 0)]
    same(seen[0], seen[2])
    assert seen[0][1]["variation"] != seen[1][1]["variation"]
    for wrong in (-1, 0.5, "1"):
        with pytest.raises(ValueError, match="variation_seed must be a whole number"):
            env.reset(options={"variation_seed": wrong})
    np.testing.assert_allclose(seen[0][0]["state"], seen[1][0]["state"], atol=2e-3)
    env.close()


@pytest.mark.parametrize("split", SPLITS)
def test_dense_and_sparse_jacobians_agree_with_everything_varied(split: str) -> None:
    env = table(split=split, num_objects=5, robot="arm", observations=["state"])
    rng = np.random.default_rng(0)
    contacts = 0
    for seed in range(2):
        env.reset(seed=seed)
        for tick, _ in enumerate(env.control.act(env.aimed_action(rng).astype(np.float64))):
            if tick % 8 == 0:
                assert_agree(env.model, env.data)
                contacts = max(contacts, env.data.ncon)
            mujoco.mj_step(env.model, env.data, 4)
    assert contacts > 4  # the paddle's among them
    env.close()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"factors": ["lihgt"]}, r"unknown factor of variation 'lihgt'; .* Did you mean 'light'\?"),
        ({"factors": "light"}, "must be a list of names"),
        ({"factors": ["light", "light"]}, "names one twice"),
        ({"factor": ["light"]}, r"unknown key of variations 'factor'; .* Did you mean 'factors'\?"),
        ({"factors": ["light"], "split": "heldout"}, r"unknown split of variations 'heldout'; .* Did you mean 'held_out'\?"),
        ({"factors": ["action_delay"]}, "action_delay does nothing to a whole skill"),
        (["light"], "must be a dict"),
    ],
)
def test_a_wrong_argument_is_named(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TabletopEnv(variations=given)


MODES = [(task, mode) for task, rules in TASKS.items() for mode in rules.budgets]


@pytest.mark.parametrize(("task", "mode"), MODES)
def test_every_task_and_control_mode_is_varied_and_observed_without_a_warning(task: str, mode: str) -> None:
    kwargs: dict[str, Any] = {"task": task, "control_mode": mode, "image_size": 16, "max_steps": 4}
    sensors = ["pixels", "wrist", "depth", "segmentation", "proprio", "state", "touch"]
    env = TabletopEnv(observations=sensors, variations={"factors": "all", "split": "held_out"}, **kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)
    assert ("action_delay_steps" in env.variations.values) == (mode in ("ee_delta", "joint"))
    pads = ["touch"] if mode == "sweep" else ["touch0", "touch1"]
    assert env.describe()["sensors"]["touch"]["names"] == [f"{pad}_{when} [N]" for pad in pads for when in ("now", "peak")]
    rng = np.random.default_rng(0)
    for seed in range(2):
        env.reset(seed=seed)
        for _ in range(4):
            assert_agree(env.model, env.data)
            env.step(env.aimed_action(rng))
        assert_agree(env.model, env.data)
    env.close()


def test_an_action_that_is_late_moves_the_gripper_later() -> None:
    env = table(["action_delay"], "held_out", task="reach", observations=["proprio"])
    seen, info = env.reset(seed=0)
    steps = info["variation"]["action_delay_steps"]
    places = [seen["proprio"][:3]]
    for _ in range(5):
        seen, *_ = env.step(np.array([1.0, 0, 0, 0, 1.0]))
        places.append(seen["proprio"][:3])
    moved = np.abs(np.diff([place[0] for place in places])) > 2e-3
    assert not moved[:steps].any() and moved[steps:].all()
    env.close()
