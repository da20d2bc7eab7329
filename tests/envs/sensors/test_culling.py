"""What is not drawn cannot be seen: the same pictures, to the bit, as with everything drawn."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest

from envs.sensors.culling import HIDDEN, Culling
from envs.sensors.rendering import Camera
from envs.tabletop import TabletopEnv

SCENE = """
<mujoco>
  <worldbody>
    <camera pos="{pos}" fovy="90" {kind}/>
    <geom name="floor" type="plane" pos="0 0 -1" size="9 9 1"/>
    <geom name="table" type="box" size="0.2 0.2 0.01"/>
    <geom name="leg" type="box" pos="0.19 0 -0.5" size="0.01 0.01 0.4"/>
    <geom name="stilt" type="box" pos="0.21 0 -0.5" size="0.01 0.01 0.48"/>
    <geom name="tall" type="box" pos="0 0 -0.1" size="0.01 0.01 0.2"/>
    <geom name="post" type="box" pos="1.98 0 -0.5" size="0.01 0.01 0.49"/>
    <geom name="far" type="box" pos="1.98 0 0.5" size="0.01 0.01 0.49"/>
    <body pos="1.05 0 0"><freejoint/><geom name="near" size="0.08"/></body>
    <body pos="1.2 0 0"><freejoint/><geom name="ball" size="0.1"/></body>
    <body pos="0 0 -0.5"><freejoint/><geom name="under" size="0.01"/></body>
  </worldbody>
</mujoco>
"""


def seen(kind: str = "", pos: str = "0 0 1") -> list[str]:
    model = mujoco.MjModel.from_xml_string(SCENE.format(pos=pos, kind=kind))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    groups = Culling(model, 0, 1.0).visible(data)
    return [model.geom(i).name for i in range(model.ngeom) if groups[i] != HIDDEN]


def test_what_is_out_of_view_or_fixed_in_the_tables_shadow_is_left_out() -> None:
    """The view's side is at x = 1 - z; the shadow's at x = 0.2 (1 - z) / 0.99; `under` moves, and is not looked for there."""
    assert seen() == ["floor", "table", "stilt", "tall", "post", "near", "under"]


def test_a_camera_without_perspective_sees_everything() -> None:
    everything = ["floor", "table", "leg", "stilt", "tall", "post", "far", "near", "ball", "under"]
    assert seen('projection="orthographic"') == everything


def test_from_below_the_table_casts_no_shadow() -> None:
    assert "leg" in seen('xyaxes="1 0 0 0 -1 0"', "0 0 -1.5")


SIZES = {"overhead": 32, "side": (24, 40), "wrist": 16}


@pytest.mark.parametrize(
    "kwargs",
    [
        {"task": "load_rack", "control_mode": "ee_delta"},
        {"control_mode": "joint", "variations": {"factors": "all"}},
        {"robot": "gantry", "variations": {"factors": ["camera", "table_size", "distractors"], "split": "held_out"}},
    ],
)
def test_pictures_are_those_of_everything(kwargs: dict[str, Any]) -> None:
    env = TabletopEnv(observations=["pixels", "side", "wrist"], cameras=SIZES, num_objects=(1, 5), **kwargs)
    groups = env.model.geom_group.copy()
    rng, drawn, there = np.random.default_rng(0), 0, 0
    for seed in range(4):
        env.reset(seed=seed)
        for _ in range(4):
            env.step(rng.uniform(-1, 1, env.action_space.shape))
            for camera in env.sensors._cameras.values():
                few = camera.render(env.data)
                drawn += camera._canvas.scene.ngeom
                culling, camera._culling = camera._culling, _Everything(camera)
                np.testing.assert_array_equal(camera.render(env.data), few)
                there += camera._canvas.scene.ngeom
                camera._culling = culling
    assert drawn < 0.9 * there
    np.testing.assert_array_equal(env.model.geom_group, groups)
    env.close()


class _Everything(Culling):
    def __init__(self, camera: Camera) -> None:
        self.groups = camera._culling.groups

    def visible(self, data: mujoco.MjData) -> np.ndarray:
        return self.groups
