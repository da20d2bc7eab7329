"""Windows that say what was asked of the robot: each episode's task in words, as the label `instruction`.

B batch   L bytes   E episodes
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from worldmodel.data.loading.batches import Preparing, WindowSource
from worldmodel.types import Window

INSTRUCTION = "instruction"
"""Name of the label: UTF-8 bytes (B, L) uint8, zeros behind them, as worldmodel.nn.tokenizers.instruction reads them."""
LENGTH = 256
"""L, the same for all datasets; what is longer is cut, since 16 words are read."""


class InstructedWindows:
    """The windows of a source, each with its episode's instruction among the labels.

    Args:
        windows: the source.
        instructions: (E,) the task in words of each episode that `windows` counts.

    Attributes:
        windows: the source itself.
    """

    def __init__(self, windows: WindowSource, instructions: Sequence[str]):
        self.windows = windows
        # a dataset has few tasks and many episodes: bytes are kept once a task
        tasks = {task: number for number, task in enumerate(dict.fromkeys(instructions))}
        self._bytes = np.zeros((len(tasks), LENGTH), np.uint8)
        for row, task in zip(self._bytes, tasks, strict=True):
            raw = task.encode()[:LENGTH]
            row[: len(raw)] = list(raw)
        self._task = np.array([tasks[task] for task in instructions], np.int64)

    @property
    def num_windows(self) -> int:
        """As many as the source has."""
        return self.windows.num_windows

    def batch(self, indices: np.ndarray) -> Window:
        """The windows at `indices` (B,)."""
        window = self.windows.batch(indices)
        text = torch.from_numpy(self._bytes[self._task[window.episode_index.numpy()]])
        return dataclasses.replace(window, labels={**window.labels, INSTRUCTION: text})

    def prepare(self, indices: np.ndarray) -> None:
        """Begin to read the windows, where the source can."""
        if isinstance(self.windows, Preparing):
            self.windows.prepare(indices)
