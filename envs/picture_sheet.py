"""Pictures of everything: each camera, each factor of variation in both splits, each task under its expert.

    python -m envs.picture_sheet --out docs

writes cameras.png, variations.png and tasks.png, a minute's work of one core.
"""

from __future__ import annotations

import argparse
import colorsys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from envs import TABLE_CLEAR
from envs.robots.motion import STEPS_PER_TICK
from envs.sensors.reading import DEPTHS, PICTURES, SEGMENTATIONS
from envs.tabletop import TabletopEnv
from envs.tasks import TASKS
from envs.variations import FACTORS
from envs.variations.ranges import SPLITS

Row = tuple[str, Sequence[np.ndarray]]
"""What is written beside a row, and its pictures."""
SIZE = 128
"""Height and width of a picture on a sheet [px]."""
TASK_HEIGHT = 180
"""Height of a picture of a task [px]."""
EXAMPLES = 4
"""Pictures of each split of a factor."""
TASK_SEEDS = {"push": 1}
"""A task whose first episode does not show what it is about: another seed than 0, with a box, which has a direction."""
AFTER_A_SWEEP = ("masses", "friction")
"""Factors that show only in what an action does: their pictures are taken after the same sweep."""
MARGIN, LABEL, HEAD = 6, 120, 26
"""Between pictures, left of a row, and above the columns [px]."""


def camera_rows(robot: str, seed: int = 3) -> Iterator[Row]:
    """A row a camera: picture, depth (near is bright), segments; in the middle of a sweep."""
    env: Any = gym.make(TABLE_CLEAR, robot=robot, observations=[*PICTURES, *DEPTHS, *SEGMENTATIONS], image_size=SIZE).unwrapped
    seen = _in_the_middle(env, seed)
    for (key, camera), depth, segments in zip(PICTURES.items(), DEPTHS, SEGMENTATIONS, strict=True):
        yield f"{camera}, {robot}", [seen[key], _grey(seen[depth]), _coloured(seen[segments])]
    env.close()


def _in_the_middle(env: Any, seed: int) -> dict[str, np.ndarray]:
    """What is observed when half of the expert's first action is over."""
    env.reset(seed=seed)
    action = env.expert_action(np.random.default_rng(0)).astype(np.float64)
    ticks = sum(1 for _ in _played(env, action))
    env.reset(seed=seed)
    for tick, _ in enumerate(_played(env, action)):
        if tick == ticks // 2:
            break
    mujoco.mj_forward(env.model, env.data)
    return env.observe()


def _played(env: Any, action: np.ndarray) -> Iterator[None]:
    for _ in env.control.act(action):
        mujoco.mj_step(env.model, env.data, STEPS_PER_TICK)
        yield


def variation_rows(seed: int = 29) -> Iterator[Row]:
    """A row a factor that can be seen: examples of training, then held out; the same table but for the factor."""
    for factor in FACTORS:
        if factor == "action_delay":
            continue  # shows in no picture
        pictures = []
        for split in SPLITS:
            chosen = {"factors": [factor], "split": split}
            env: Any = gym.make(TABLE_CLEAR, observations=["pixels"], image_size=SIZE, num_objects=5, variations=chosen)
            action = None
            for example in range(EXAMPLES):
                obs, _ = env.reset(seed=seed, options={"variation_seed": example})
                if factor in AFTER_A_SWEEP:
                    action = env.unwrapped.aimed_action(np.random.default_rng(1)) if action is None else action
                    obs = env.step(action)[0]
                pictures.append(obs["pixels"])
            env.close()
        yield factor.replace("_", " "), pictures


def task_rows() -> Iterator[Row]:
    """A row a task and control mode at the table: start, middle and end of an episode of its expert."""
    for task, make in TASKS.items():
        rules = make()
        for mode in rules.budgets:
            env = TabletopEnv(task=task, control_mode=mode, observations=["state"], film_every=10, render_mode="rgb_array")
            film, instruction = _film(env, TASK_SEEDS.get(task, 0))
            label = rules.env_id.removeprefix("worldmodel/").removesuffix("-v0")
            yield f"{label}\n{mode}\n{instruction}", [film[0], film[len(film) // 2], film[-1]]


def _film(env: TabletopEnv, seed: int) -> tuple[list[np.ndarray], str]:
    """Pictures of an episode of the expert, and what it asks for."""
    env.reset(seed=seed)
    rng, film, over = np.random.default_rng(0), [_small(env.film_camera.render(env.data))], False
    while not over:
        *_, terminated, truncated, info = env.step(env.expert_action(rng))
        film += [_small(frame) for frame in info["film"]]
        over = terminated or truncated
    film.append(_small(env.film_camera.render(env.data)))
    env.close()
    return film, env.instruction


def sheet(columns: Sequence[str], rows: Sequence[Row]) -> Image.Image:
    """One picture of all rows, with what they and their columns are called; a column's name may span several."""
    heights = [max(picture.shape[0] for picture in pictures) for _, pictures in rows]
    width = max(picture.shape[1] for _, pictures in rows for picture in pictures)
    count = max(len(pictures) for _, pictures in rows)
    page = Image.new("RGB", (LABEL + count * (width + MARGIN), HEAD + sum(heights) + MARGIN * len(rows)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    span = count // len(columns) * (width + MARGIN)
    for i, name in enumerate(columns):
        draw.text((LABEL + i * span, 6), name, "black", font)
    y = HEAD
    for (label, pictures), height in zip(rows, heights, strict=True):
        draw.text((6, y + 6), "\n".join(_wrapped(label)), "black", font)
        for i, picture in enumerate(pictures):
            page.paste(Image.fromarray(picture), (LABEL + i * (width + MARGIN), y))
        y += height + MARGIN
    return page


def _wrapped(label: str, width: int = 16) -> Iterator[str]:
    for line in label.split("\n"):
        yield from textwrap.wrap(line, width) or [""]


def _grey(depth: np.ndarray) -> np.ndarray:
    """Depth (height, width) [m] as a picture: near is bright, 1.6 m and beyond is black."""
    shade = np.rint(255 * (1 - np.clip(depth / 1.6, 0, 1))).astype(np.uint8)
    return np.repeat(shade[..., None], 3, axis=-1)


def _coloured(segments: np.ndarray) -> np.ndarray:
    """Segment numbers (height, width) as a picture: the background is black."""
    palette = [colorsys.hsv_to_rgb(0.38 * i % 1, 0.75, 1.0) if i else (0, 0, 0) for i in range(int(segments.max()) + 1)]
    return np.rint(255 * np.array(palette)).astype(np.uint8)[segments]


def _small(frame: np.ndarray) -> np.ndarray:
    """A film picture as high as a row of the tasks, without most of the floor around the table."""
    height, width = frame.shape[:2]
    part = frame[height // 8 : height * 7 // 8, width // 8 : width * 7 // 8]
    size = (round(TASK_HEIGHT * part.shape[1] / part.shape[0]), TASK_HEIGHT)
    return np.asarray(Image.fromarray(part).resize(size, Image.Resampling.LANCZOS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the sheets that are asked for."""
    sheets = {
        "cameras": (("picture", "depth", "segments"), lambda: [*camera_rows("arm"), *camera_rows("gantry")]),
        "variations": (("train", "held out"), lambda: list(variation_rows())),
        "tasks": (("start", "middle", "end"), lambda: list(task_rows())),
    }
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the sheets")
    parser.add_argument("sheets", nargs="*", choices=[*sheets, []], help="which; all of them unless told")
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in chosen.sheets or sheets:
        columns, rows = sheets[name]
        sheet(columns, rows()).save(chosen.out / f"{name}.png", optimize=True)
        print(chosen.out / f"{name}.png")


if __name__ == "__main__":
    main()
