"""InfoNCE from recorded text: windows say what each episode was asked to do, and the objective learns from it."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents import strict
from agents.experiment import ExperimentConfig
from agents.recording.record import RecordConfig, record
from agents.training import stages
from agents.training.recordings import open_recordings
from tests.fakes import LineWorld
from worldmodel.data import Dataset
from worldmodel.data.loading.instructed import InstructedWindows
from worldmodel.errors import DataError
from worldmodel.nn.tokenizers import encode_text
from worldmodel.objectives import InfoNCEConfig
from worldmodel.objectives.contrastive import InfoNCE, embedding_of
from worldmodel.progress import NoProgress
from worldmodel.train.logging import read_metrics


class Sorting(LineWorld):
    """The same line, and other words."""

    instruction = "sort the line, Ünicode too"


def config(coef: float = 0.5, **data: Any) -> ExperimentConfig:
    values = {
        "data": {"val_fraction": 0.25, **data},
        "model": {
            "encoder": {"widths": [8, 8], "stem_stride": 2, "grid": 2, "token_dim": 4},
            "predictor": {"width": 16, "depth": 1, "num_heads": 2, "cond_dim": 8, "action_width": 8},
        },
        "objective": {"contrastive_coef": coef, "contrastive": {"width": 8}},
        "train": {"num_steps": 4, "batch_size": 8, "num_frames": 3, "val_batches": 1, "log_every": 1, "device": "cpu"},
        "logging": {"wandb": "disabled"},
    }
    return strict.build(ExperimentConfig, values)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("asked")
    for seed, (name, world) in enumerate((("clear", LineWorld), ("sort", Sorting))):
        settings = RecordConfig(num_episodes=16, seed=seed, workers=1, aimed=0.0, random=1.0, expert=0.0)
        record(partial(world, 3, 6), settings, root / name)
    return root / "clear", root / "sort"


@pytest.mark.parametrize("settings", [{}, {"source": "stream"}], ids=["cache", "stream"])
def test_each_window_says_what_its_episode_was_asked(data: tuple[Path, Path], settings: dict[str, Any]) -> None:
    recordings = open_recordings(data, config(**settings))
    windows, tasks = recordings.windows(3), [Dataset.open(path).episodes[0].instruction for path in data]
    assert tasks == ["clear the line", "sort the line, Ünicode too"]
    last = windows.num_windows - 1
    text = windows.batch(np.array([0, last, 1])).labels["instruction"]
    for row, task in zip(text, (tasks[0], tasks[1], tasks[0]), strict=True):
        assert torch.equal(row, torch.from_numpy(encode_text(task, 256)))
    batch = recordings.batches(3, 8, 0).next()  # streamed windows still know the order in which they are cheap to read
    assert {"instruction", "status"} <= batch.labels.keys()


def test_windows_without_the_objective_carry_no_text(data: tuple[Path, Path]) -> None:
    windows = open_recordings(data[0], config(0.0)).windows(3)
    assert not isinstance(windows, InstructedWindows) and "instruction" not in windows.batch(np.arange(2)).labels


def test_the_objective_learns_from_recorded_text(data: tuple[Path, Path], tmp_path: Path) -> None:
    stages.fit_model(config(), data, tmp_path, resume=False, progress=NoProgress())
    rows = read_metrics(tmp_path)
    assert all(0 < row["train/contrastive"] < 5 for row in rows) and "val/contrastive" in rows[-1]


def test_words_find_the_windows_that_they_go_with() -> None:
    torch.manual_seed(0)
    texts = torch.stack([torch.from_numpy(encode_text(t, 64)) for t in ("push the red cup", "open the drawer", "wait")])
    z = torch.randn(30, 2, 3, 5)
    which = torch.arange(30) % 3
    z[:, 1, 0, :3] += 3 * torch.nn.functional.one_hot(which, 3)
    term = InfoNCE(InfoNCEConfig(width=8), 3, 5)
    optimiser, history = torch.optim.Adam(term.parameters(), 1e-2), []
    for _ in range(60):
        optimiser.zero_grad()
        loss = term(z, texts[which])
        loss.backward()
        optimiser.step()
        history.append(float(loss.detach()))
    assert history[-1] < np.log(10) + 0.2 < history[0]  # the ten windows of one instruction stay each other's equals


def test_what_is_no_text_and_what_is_no_embedding_is_told(data: tuple[Path, Path]) -> None:
    window = open_recordings(data[0], config()).windows(3).batch(np.arange(4))
    with pytest.raises(DataError, match=r"'instruction' is uint8 of shape \(4, 256\); expected an embedding \(B, 384\)"):
        embedding_of(window, InfoNCEConfig(embedding_dim=384))
    embedded = dataclasses.replace(window, labels={"instruction": torch.zeros(4, 384)})
    with pytest.raises(DataError, match=r"'instruction' is float32 .* expected text \(B, L\) uint8"):
        embedding_of(embedded, InfoNCEConfig())
