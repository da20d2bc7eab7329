"""The batch that a training stops on can be found again, also in a mixture of datasets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import safetensors.torch
import torch

from worldmodel.train.nonfinite import replay, stop_on
from worldmodel.train.parallel import Learner
from worldmodel.types import Window


def window(dataset: list[int] | None) -> Window:
    episodes, zeros = torch.tensor([3, 8, 3]), torch.zeros(3, dtype=torch.int64)
    of = None if dataset is None else torch.tensor(dataset)
    return Window({"x": torch.ones(3, 2)}, torch.ones(3, 1, 2), {}, episodes, zeros, dataset=of)


def test_which_dataset_an_episode_is_of_is_told(tmp_path: Path) -> None:
    error = stop_on(window([1, 0, 0]), 5, {"loss": float("nan")}, tmp_path)
    assert "loss is nan; the batch holds episodes 3, 8 of dataset 0, episodes 3 of dataset 1 and is kept" in str(error)
    assert json.loads((tmp_path / "nonfinite/step-5.json").read_text())["dataset"] == [1, 0, 0]
    assert safetensors.torch.load_file(tmp_path / "nonfinite/step-5.safetensors")["dataset"].tolist() == [1, 0, 0]


def test_a_single_dataset_needs_no_number(tmp_path: Path) -> None:
    error = stop_on(window(None), 6, {"loss": float("inf")}, tmp_path)
    assert "the batch holds episodes 3, 8 and is kept" in str(error)
    assert "dataset" not in json.loads((tmp_path / "nonfinite/step-6.json").read_text())


def test_frames_are_as_far_apart_as_they_were(tmp_path: Path) -> None:
    model, kept = torch.nn.Linear(2, 1), dataclasses.replace(window(None), frame_skip=4)

    def far(model, window, generator):
        return model(window.observations["x"]).mean() * window.frame_skip, {}

    generators = {"generator.objective": torch.Generator().get_state(), "generator.torch": torch.get_rng_state()}
    stop_on(kept, 7, {"loss": float("nan")}, tmp_path, state=Learner(model, far).state_dict() | generators)
    again = replay(tmp_path / "nonfinite/step-7.safetensors", torch.nn.Linear(2, 1), far)
    assert again["loss"] == far(model, kept, None)[0].item()
