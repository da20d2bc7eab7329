"""A world small enough for tests: coloured discs on a table that a stroke carries along, and that vanish at the right edge.

Table coordinates are metres with y up; the picture is 2 x 2 action units, y down, so that calibration is not the identity.
"""

from __future__ import annotations

import numpy as np
import torch

from worldmodel.types import ActionSpec, SensorSpec, Window, WorldSpec

SIZE, SLOTS, HALF = 32, 5, 0.3
COLOURS = np.array([[220, 40, 40], [40, 200, 40], [60, 60, 230], [220, 200, 40], [200, 60, 200]], dtype=np.uint8)


def toy_spec(size: int = SIZE) -> WorldSpec:
    return WorldSpec(
        env_id="toy/Sweep-v0",
        env_kwargs={},
        sensors={
            "pixels": SensorSpec((size, size, 3), "uint8", "image"),
            "proprio": SensorSpec((2,), "float32", "vector"),
            "state": SensorSpec((4,), "float32", "vector", privileged=True),
        },
        action=ActionSpec(
            ("start_x", "start_y", "end_x", "end_y"),
            (-1.0,) * 4,
            (1.0,) * 4,
            ((0, 1), (2, 3)),
            ((0.9, 0.0, 0.0), (0.0, -0.9, 0.0)),
        ),
        control_mode="sweep",
        robot="none",
    )


def draw(position: np.ndarray, status: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Picture of the discs at position (O, 2) [action units] whose status is 1."""
    picture = np.full((size, size, 3), 90, dtype=np.uint8)
    centre = (2 * np.arange(size) + 1) / size - 1
    for slot in np.flatnonzero(status == 1):
        right, down = 0.9 * position[slot, 0], -0.9 * position[slot, 1]
        picture[(centre[None, :] - right) ** 2 + (centre[:, None] - down) ** 2 < 0.13**2] = COLOURS[slot]
    return picture


def sweep(position: np.ndarray, status: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Discs within 0.25 of the stroke go to its end; those beyond x = 0.75 fall into the bin."""
    start, end = action[:2], action[2:]
    length = float(np.linalg.norm(end - start)) + 1e-6
    direction = (end - start) / length
    offset = position - start
    along, across = offset @ direction, offset[:, 0] * direction[1] - offset[:, 1] * direction[0]
    hit = (status == 1) & (np.abs(across) < 0.25) & (along > 0) & (along < length)
    moved = np.where(hit[:, None], position + (length - along)[:, None] * direction, position)
    return moved, np.where(hit & (moved[:, 0] > 0.75), 2, status)


class ToyWindows:
    """Windows of random strokes with labels, made in advance from a seed; each window is an episode of its own."""

    def __init__(self, num_windows: int, num_frames: int = 3, seed: int = 0, size: int = SIZE) -> None:
        rng = np.random.default_rng(seed)
        self.num_windows = num_windows
        pictures, actions, statuses, positions = [], [], [], []
        for _ in range(num_windows):
            status = (rng.permutation(SLOTS) < 3).astype(np.int64)
            position = rng.uniform(-0.8, 0.7, (SLOTS, 2))
            for frame in range(num_frames):
                pictures.append(draw(position, status, size))
                statuses.append(status)
                positions.append(np.where(status[:, None] == 1, position, 0) * HALF)
                if frame < num_frames - 1:
                    action = rng.uniform(-1, 1, 4)
                    if status.any() and rng.random() < 0.7:
                        target = position[rng.choice(np.flatnonzero(status > 0))]
                        action[:2] = target - 0.3 * (action[2:] - target) / (np.linalg.norm(action[2:] - target) + 1e-6)
                        action = action.clip(-1, 1)
                    actions.append(action)
                    position, status = sweep(position, status, action)
        shape = (num_windows, num_frames)
        self.pixels = torch.from_numpy(np.stack(pictures)).unflatten(0, shape)
        self.actions = torch.from_numpy(np.stack(actions)).float().unflatten(0, (num_windows, num_frames - 1))
        self.status = torch.from_numpy(np.stack(statuses)).unflatten(0, shape)
        self.position = torch.from_numpy(np.stack(positions)).float().unflatten(0, shape)

    def batch(self, indices: np.ndarray) -> Window:
        rows = torch.from_numpy(np.asarray(indices))
        return Window(
            observations={"pixels": self.pixels[rows], "proprio": torch.zeros(len(rows), self.pixels.shape[1], 2)},
            actions=self.actions[rows],
            labels={"status": self.status[rows], "position": self.position[rows]},
            episode_index=rows,
            frame_index=torch.zeros_like(rows),
        )
