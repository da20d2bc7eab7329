"""The best model of a training: kept when it is the best, sent now and then and at the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from agents.training.best import BEST, SEND_EVERY, Best
from tests.fakes import Clock
from tests.worldmodel.train.train_fakes import FakeModel, a_manifest
from worldmodel.train.checkpoint import read_manifest, save_model
from worldmodel.train.logging import JsonlLogger
from worldmodel.train.manifest import Manifest


class Told(JsonlLogger):
    """Keeps the updates of the models that it is handed."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir)
        self.published: list[tuple[int, list[str], tuple[str, ...]]] = []

    def publish_model(self, directory: Path, files: Sequence[str], aliases: Sequence[str] = ("latest",)) -> None:
        self.published.append((read_manifest(directory).step, list(files), tuple(aliases)))


def save(folder: Path, step: int) -> Manifest:
    return save_model(folder, FakeModel(), None, dataclasses.replace(a_manifest(), step=step))


def sent(step: int) -> tuple[int, list[str], tuple[str, ...]]:
    return step, ["manifest.json", "model.safetensors"], ("best",)


def test_what_is_the_best_is_kept_at_once_and_sent_every_few_minutes(tmp_path: Path) -> None:
    clock, logger = Clock(), Told(tmp_path)
    kept = Best(tmp_path, save, logger, clock)
    logger.start(0)
    told = []
    for step, loss, minutes in ((10, 3.0, 1), (20, 2.0, 6), (30, 2.5, 7), (40, 1.0, 8), (50, 1.5, 12), (60, 1.2, 30)):
        clock.now = 60.0 * minutes
        logger.log(step, {"val/loss": loss})
        kept(step)
        told.append((read_manifest(tmp_path / BEST).step, len(logger.published)))
    assert SEND_EVERY == 300
    assert told == [(10, 0), (20, 1), (20, 1), (40, 1), (40, 2), (40, 2)]
    kept.finish()
    assert logger.published == [sent(20), sent(40)]


@pytest.mark.parametrize(("losses", "wanted"), [((3.0, 1.0, 2.0), [sent(1)]), ((3.0, 2.0, 1.0), []), ((), [])])
def test_at_the_end_the_best_is_sent_unless_it_is_the_last(
    tmp_path: Path, losses: tuple[float, ...], wanted: list[object]
) -> None:
    logger = Told(tmp_path)
    kept = Best(tmp_path, save, logger, Clock())
    logger.start(0)
    for step, loss in enumerate(losses):
        logger.log(step, {"val/loss": loss})
        kept(step)
    kept.finish()
    kept.finish()
    assert logger.published == wanted


def test_what_a_killed_training_has_kept_is_sent_by_the_one_that_goes_on(tmp_path: Path) -> None:
    logger = Told(tmp_path)
    logger.start(0)
    first = Best(tmp_path, save, logger, Clock())
    for step, loss in ((1, 1.0), (2, 2.0)):
        logger.log(step, {"val/loss": loss})
        first(step)
    second = Best(tmp_path, save, logger, Clock())
    logger.start(2)
    logger.log(3, {"val/loss": 1.5})
    second(3)
    second.finish()
    assert logger.published == [sent(1)]
