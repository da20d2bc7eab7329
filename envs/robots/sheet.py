"""A picture of robots at the table: each in the middle of a sweep, and while it carries something.

    python -m envs.robots.sheet ogbench:ur5e_2f85 menagerie:franka_emika_panda --out docs

writes robots.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import mujoco
import numpy as np
from PIL import Image

from envs.picture_sheet import Row, sheet
from envs.robots.motion import STEPS_PER_TICK, Stage
from envs.tabletop import TabletopEnv

SHOWN = {"sweep": ("clear", Stage.SWEEP), "pick_place": ("pick", Stage.CARRY)}
"""Control mode -> its task, and the stage of its first action that is shown."""
PART = (slice(0, 400), slice(100, 540))
"""Of a film picture: the table and who stands at it [px]."""
HEIGHT = 200


def picture(robot: str, mode: str, seed: int = 3) -> np.ndarray:
    """A picture of a robot in the middle of a stage of its expert's first action, (HEIGHT, width, 3) uint8."""
    task, stage = SHOWN[mode]
    env = TabletopEnv(robot=robot, task=task, control_mode=mode, observations=["state"])
    env.reset(seed=seed)
    action = env.expert_action(np.random.default_rng(0)).astype(np.float64)
    ticks = 0
    for now in env.control.act(action):
        mujoco.mj_step(env.model, env.data, STEPS_PER_TICK)
        ticks += now is stage
        if ticks == 12:
            break
    frame = env.film_camera.render(env.data)[PART]
    env.close()
    size = (round(HEIGHT * frame.shape[1] / frame.shape[0]), HEIGHT)
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))


def rows(robots: Sequence[str]) -> list[Row]:
    """A row a robot."""
    return [(robot.replace(":", ":\n").replace("_", " "), [picture(robot, mode) for mode in SHOWN]) for robot in robots]


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the sheet of the robots that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("robots", nargs="+", help="names such as arm or menagerie:kuka_iiwa_14")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of robots.png")
    chosen = parser.parse_args(arguments)
    file = chosen.out / "robots.png"
    sheet(tuple(SHOWN), rows(chosen.robots)).save(file, optimize=True)
    print(file)


if __name__ == "__main__":
    main()
