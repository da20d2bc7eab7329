"""Sensors: any subset, what each reads, and that today's default is what it always was."""

from __future__ import annotations

import warnings
from typing import Any

import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from envs.controls.sweep import to_unit
from envs.sensors.depth import MAX_DEPTH, segment_names
from envs.sensors.reading import DEPTHS, KEYS, PICTURES, SEGMENTATIONS, Sensors, SensorsConfig
from envs.table.scene import CAMERA_POS, MAX_OBJECTS, SIDE_EYE
from envs.tabletop import TabletopEnv

ALL = [*PICTURES, *DEPTHS, *SEGMENTATIONS, "proprio", "state", "touch"]
SIZES = {"overhead": 32, "side": (24, 40), "wrist": 16}


def observed(seed: int = 0, **kwargs: Any) -> tuple[TabletopEnv, dict[str, np.ndarray]]:
    env = TabletopEnv(robot="gantry", **kwargs)
    return env, env.reset(seed=seed)[0]


@pytest.mark.parametrize(
    "kwargs",
    [
        {"observations": ALL, "cameras": SIZES},
        {"observations": ["wrist_depth", "touch", "side_segmentation"], "image_size": 16},
        {"observations": ["state"]},
    ],
)
def test_gymnasium_checks_subsets_without_a_warning(kwargs: dict[str, Any]) -> None:
    env = TabletopEnv(robot="gantry", max_sweeps=2, **kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)
    env.close()
    env.close()


def test_a_subset_has_its_keys_sizes_and_types_and_each_reads_the_same_as_among_all() -> None:
    env, everything = observed(observations=ALL, cameras=SIZES)
    assert list(everything) == ALL
    shapes = {key: (value.shape, value.dtype.name) for key, value in everything.items()}
    assert shapes["pixels"] == ((32, 32, 3), "uint8") and shapes["side"] == ((24, 40, 3), "uint8")
    assert shapes["side_depth"] == ((24, 40), "float32") and shapes["wrist_segmentation"] == ((16, 16), "uint8")
    assert shapes["touch"] == ((2,), "float32")
    assert env.observation_space.contains(everything)
    env.close()
    for some in (["side"], ["wrist_segmentation", "wrist_depth"], ["pixels", "proprio", "state"], ["depth", "touch"]):
        env, seen = observed(observations=some, cameras=SIZES)
        assert list(seen) == some
        for key in some:
            np.testing.assert_array_equal(seen[key], everything[key])
        env.close()


def test_the_default_is_pixels_proprio_and_state_and_describes_itself_as_before() -> None:
    env, seen = observed()
    named, other = observed(observations=["pixels", "proprio", "state"], cameras={"overhead": 64})
    for key in ("pixels", "proprio", "state"):
        np.testing.assert_array_equal(seen[key], other[key])
    assert env.describe() == named.describe()
    assert set(env.describe()["env_kwargs"]) == {"robot", "num_objects", "image_size", "max_sweeps"}
    assert env.describe()["sensors"]["pixels"] == {
        "shape": [64, 64, 3],
        "dtype": "uint8",
        "kind": "image",
        "camera": "overhead",
    }
    env.close()
    named.close()


def test_the_description_makes_the_same_environment_again() -> None:
    env, seen = observed(observations=["side", "touch", "depth"], cameras={"side": (16, 24)}, image_size=32)
    kwargs = env.describe()["env_kwargs"]
    assert kwargs["observations"] == ["side", "touch", "depth"] and kwargs["cameras"] == {"side": [16, 24]}
    again = TabletopEnv(**kwargs)
    assert again.observation_space == env.observation_space and again.describe() == env.describe()
    for key, value in again.reset(seed=0)[0].items():
        np.testing.assert_array_equal(value, seen[key])
    env.close()
    again.close()


def test_depth_is_metres_to_the_table_and_the_segments_say_where_the_objects_are() -> None:
    env, seen = observed(observations=["depth", "segmentation", "state"], num_objects=1, image_size=96, seed=4)
    names = segment_names(env.model)
    assert env.describe()["sensors"]["segmentation"]["names"] == list(names)
    assert env.describe()["sensors"]["depth"]["names"] == ["depth [m]"]
    depth, segments = seen["depth"], seen["segmentation"]
    table = segments == names.index("table")
    assert table.mean() > 0.3
    np.testing.assert_allclose(depth[table].max(), CAMERA_POS[2], atol=2e-3)  # along the axis: the same for all of its top
    slot = env.objects[0].slot
    thing = segments == 1 + slot
    top = env.positions()[slot, 2] + env.objects[0].height
    assert thing.any() and depth[thing].min() == pytest.approx(CAMERA_POS[2] - top, abs=3e-3)
    others = {1 + k for k in range(MAX_OBJECTS) if k != slot}
    assert not others & set(np.unique(segments).tolist())
    env.close()


def test_a_wide_picture_is_calibrated_as_it_is() -> None:
    env, seen = observed(observations=["segmentation"], cameras={"overhead": (48, 96)}, num_objects=1, seed=4)
    slot = env.objects[0].slot
    rows, columns = np.nonzero(seen["segmentation"] == 1 + slot)
    affine = np.array(env.describe()["action"]["image_from_action"])
    right, down = affine @ np.append(to_unit(env.positions()[slot, :2]), 1.0)
    place = (columns.mean() + 0.5) / 48 - 1, (rows.mean() + 0.5) / 24 - 1
    np.testing.assert_allclose(place, (right, down), atol=0.04)  # parallax of its height
    env.close()


def test_the_side_camera_sees_the_table_from_across_and_nothing_beyond_the_furthest_depth() -> None:
    env, seen = observed(observations=["side", "side_depth", "side_segmentation"], image_size=64)
    names = segment_names(env.model)
    depth, segments = seen["side_depth"], seen["side_segmentation"]
    present = {names[i] for i in np.unique(segments)}
    assert {"table", "robot", "bin"} <= present and sum(name.startswith("object") for name in present) == 3
    assert depth.max() <= MAX_DEPTH and 0.2 < depth[segments == names.index("table")].min() < np.hypot(*SIDE_EYE[:2])
    assert seen["side"].std() > 20
    env.close()


@pytest.mark.parametrize("robot", ["arm", "gantry"])
def test_the_wrist_camera_rides_with_the_tool_and_sees_it_and_the_table(robot: str) -> None:
    env = TabletopEnv(robot=robot, observations=["wrist", "wrist_segmentation"], num_objects=1)
    env.reset(seed=0)
    names = segment_names(env.model)
    action = env.expert_action(np.random.default_rng(0)).astype(np.float64)
    pictures, shares = [], []
    for tick, _ in enumerate(env.control.act(action)):
        mujoco.mj_step(env.model, env.data, 4)
        if tick % 20 == 10:
            seen = env.observe()
            pictures.append(seen["wrist"].astype(int))
            shares.append([np.mean(seen["wrist_segmentation"] == names.index(name)) for name in ("robot", "table")])
    robot_share, table_share = np.array(shares).T
    assert robot_share.min() > 0.05 and robot_share.max() < 0.7  # the tool, always
    assert table_share.max() > 0.3
    assert np.abs(pictures[0] - pictures[len(pictures) // 2]).mean() > 5
    env.close()


def test_touch_tells_the_force_now_and_the_largest_of_the_action() -> None:
    env, seen = observed(observations=["touch", "proprio"], seed=3)
    assert env.describe()["sensors"]["touch"]["names"] == ["touch_now [N]", "touch_peak [N]"]
    np.testing.assert_array_equal(seen["touch"], [0, 0])
    seen, *_, info = env.step(env.expert_action(np.random.default_rng(0)))
    assert (
        seen["touch"][0] == 0 and seen["touch"][1] == pytest.approx(info["peak_force"], rel=1e-6) and info["peak_force"] > 0.1
    )
    nowhere = np.array([1.0, -1.0, 1.0, -1.0])
    assert env.step(nowhere)[0]["touch"][1] == 0  # forgotten
    env.close()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"observations": ["pixles"]}, r"unknown sensor in observations 'pixles'; .* Did you mean 'pixels'\?"),
        ({"observations": "pixels"}, "must be a list of sensors"),
        ({"observations": []}, "must be a list of sensors"),
        ({"observations": ["side", "side"]}, "names a sensor twice"),
        ({"cameras": {"sid": 64}}, r"unknown camera in cameras 'sid'; .* Did you mean 'side'\?"),
        ({"cameras": {"side": 4}}, r"size of camera side must lie in 8\.\.480"),
        ({"cameras": {"side": [64, 64, 3]}}, "pair"),
        ({"cameras": {"side": 64.5}}, "pair"),
        ({"image_size": 481}, r"image_size must lie in 8\.\.480"),
    ],
)
def test_a_wrong_argument_is_named(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TabletopEnv(**kwargs)


def test_a_robot_without_a_wrist_camera_says_so() -> None:
    model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><camera name='side'/></worldbody></mujoco>")
    with pytest.raises(ValueError, match="no wrist camera; leave wrist_depth out of observations"):
        Sensors(model, SensorsConfig.of(["wrist_depth", "state"], None, 8), {"state": ["x"]})


def test_every_key_is_in_the_space_or_refused() -> None:
    config = SensorsConfig.of(KEYS, None, 8)
    assert config.observations == KEYS and config.sizes == {"overhead": (8, 8), "side": (8, 8), "wrist": (8, 8)}
