"""What a run keeps of its recordings for worlds that show no goal: frames that can be goals, and actions for its planner.

    keep(recordings, run_dir, num_frames=512, num_actions=4096)
    recorded = load_recorded(run_dir)
    recorded.best()                     # the frame around which the reward was highest
    recorded.nearest(desired_goal)      # the frame whose achieved_goal is nearest to a goal that the world names

G frames   M recorded actions   k action block   A action dim
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from agents.training.recordings import Recordings
from worldmodel.data import Dataset
from worldmodel.errors import MismatchError
from worldmodel.train.checkpoint import read_manifest, write_manifest
from worldmodel.train.files import sha256, write_atomic

RECORDED = "recorded.safetensors"
"""File of a run folder; the manifest vouches for it."""
NUM_EPISODES = 64
"""Episodes that the frames are taken from, at most."""
HALF = 5
"""Steps before and after a frame that say how good it is."""
ACHIEVED = "achieved_goal"
"""Sensor that says in numbers which goal a frame is."""


@dataclass(frozen=True)
class Recorded:
    """Frames and actions of a recording."""

    actions: Tensor
    """(M, k * A): blocks of actions, first candidates of a planner."""
    frames: dict[str, np.ndarray]
    """Sensor that the model reads -> (G, ...), as the model takes it; the best one (`best_frame`) is the first."""
    achieved: np.ndarray | None
    """(G, g) float32: the goals that the frames are; None where the world does not say."""
    reward: float
    """The mean reward of the steps around that frame."""

    def best(self) -> dict[str, np.ndarray]:
        """The frame around which the reward was highest."""
        return self._frame(0)

    def nearest(self, desired: np.ndarray) -> dict[str, np.ndarray]:
        """The frame whose achieved goal is nearest to a desired one (g,). MismatchError when the frames have none."""
        if self.achieved is None:
            raise MismatchError("the recording has no achieved_goal to find the desired goal among; record it again")
        return self._frame(int(np.linalg.norm(self.achieved - desired, axis=1).argmin()))

    def _frame(self, index: int) -> dict[str, np.ndarray]:
        return {key: values[index] for key, values in self.frames.items()}


def keep(recordings: Recordings, run_dir: Path, num_frames: int, num_actions: int) -> Recorded:
    """Choose frames and actions, and add them to a run folder whose model is trained."""
    kept = choose(recordings, num_frames, num_actions)
    tensors = {f"frame.{key}": torch.from_numpy(np.ascontiguousarray(values)) for key, values in kept.frames.items()}
    tensors |= {"actions": kept.actions.contiguous(), "reward": torch.tensor(kept.reward)}
    tensors |= {"achieved": torch.from_numpy(np.ascontiguousarray(kept.achieved))} if kept.achieved is not None else {}
    content = safetensors.torch.save(tensors)
    write_atomic(run_dir / RECORDED, content)
    manifest = read_manifest(run_dir)
    checksums = {**manifest.checksums, RECORDED: sha256(content)}
    write_manifest(run_dir, dataclasses.replace(manifest, checksums=checksums))
    return kept


def load_recorded(run_dir: Path) -> Recorded | None:
    """What `keep` left in a run folder, or None; a file that the manifest does not name was left by another training."""
    if RECORDED not in read_manifest(run_dir).checksums:
        return None
    tensors = safetensors.torch.load_file(run_dir / RECORDED)
    frames = {name.removeprefix("frame."): values.numpy() for name, values in tensors.items() if name.startswith("frame.")}
    achieved = tensors["achieved"].numpy() if "achieved" in tensors else None
    return Recorded(tensors["actions"], frames, achieved, float(tensors["reward"]))


def choose(recordings: Recordings, num_frames: int, num_actions: int) -> Recorded:
    """The best frame of the first dataset, `num_frames` frames evenly over it, and recorded actions."""
    dataset = recordings.parts[0].dataset
    best, at, reward = best_frame(dataset)
    episodes = np.linspace(0, dataset.num_episodes - 1, min(NUM_EPISODES, dataset.num_episodes)).astype(int)
    per_episode = max(1, num_frames // len(episodes))
    taken: list[dict[str, np.ndarray]] = []
    keys = [key for key in dict.fromkeys((*recordings.keys, ACHIEVED)) if key in dataset.spec.sensors]
    for number in (best, *episodes.tolist()):
        observations = dataset.read_episode(number).observations
        length = len(observations[keys[0]])
        rows = np.unique(np.linspace(0, length - 1, min(per_episode, length)).astype(int)) if taken else [at]
        taken.append({key: observations[key][rows] for key in keys})
    found = {key: np.concatenate([part[key] for part in taken]) for key in keys}
    achieved = found.pop(ACHIEVED, None) if ACHIEVED not in recordings.keys else found.get(ACHIEVED)
    frames = recordings.framing.pictures(found, dataset.spec)
    return Recorded(recordings.recorded_actions(num_actions), frames, achieved, reward)


def best_frame(dataset: Dataset) -> tuple[int, int, float]:
    """Episode and frame with the highest mean reward of the steps around it, and that mean.

    HALF steps on either side count, as far as the episode has them: what is good for one moment may have been passed at speed,
    and cannot be a place to stay at. Of equals it is one as far as can be from the ends of its episode.
    """
    rewards = np.concatenate([values["next.reward"].reshape(-1) for _, values in dataset.frames(["next.reward"])])
    best, start = (-np.inf, 0, 0, 0), 0
    for episode, row in enumerate(dataset.episodes):
        steps = rewards[start : start + row.length - 1].astype(np.float64)  # the last frame of an episode has no action
        start += row.length
        if not len(steps):
            continue
        total, frames = np.concatenate([[0.0], np.cumsum(steps)]), np.arange(row.length)
        first, end = np.maximum(frames - HALF, 0), np.minimum(frames + HALF, len(steps))
        means = np.round((total[end] - total[first]) / (end - first), 9)  # of the steps first, ..., end - 1
        inside = np.minimum(frames, len(steps) - frames)
        frame = int(np.lexsort((-frames, inside, means))[-1])
        best = max(best, (float(means[frame]), int(inside[frame]), -episode, frame))
    return -best[2], best[3], best[0]
