"""What is told of updates: means, a few words in a terminal's width, and the time that is left."""

from __future__ import annotations

import math

import pytest

from agents.console import format_fields
from tests.fakes import Clock
from worldmodel.train.rows import Pace, means, words_of


def test_means_are_over_the_updates_that_counted() -> None:
    assert means({"loss": 6.0, "grad_norm": 3.0, "count": 3.0}) == {"train/loss": 2.0, "train/grad_norm": 1.0}
    assert means({"loss": 6.0, "count": 3.0, "skipped": 2.0}) == {"train/loss": 2.0, "train/skipped": 2.0}


MEASURED = {
    "loss": 0.12345,
    "pred": 0.00035734,
    "copy": 1.0,
    "rollout": 0.00027245,
    "sigreg": 3.2123,
    "grad_norm": 2.0,
    "count": 1.0,
}
RATES = {"train/samples_per_s": 520.3, "train/data_wait_share": 0.031, "train/flops_utilisation": 0.4}


def test_the_terms_that_count_and_the_rates_fit_a_terminal() -> None:
    words = words_of(MEASURED, {"pred", "rollout", "sigreg", "inverse"}, RATES)
    text = format_fields(words)
    assert text == "loss 0.123  pred 0.00036  rollout 0.00027  sigreg 3.2  samples/s 520  waits 3%" and len(text) < 80


def test_whatever_an_objective_of_no_weights_tells_is_shown() -> None:
    assert list(words_of(MEASURED, None, {})) == ["loss", "pred", "copy", "rollout", "sigreg"]


@pytest.mark.parametrize("weighted", [None, {"pred"}])
def test_a_skipped_update_has_a_loss_that_is_no_number(weighted: set[str] | None) -> None:
    slow = {"train/samples_per_s": 0.5123, "train/data_wait_share": 1.0}
    assert words_of({"skipped": 1.0}, weighted, slow) == {"loss": "nan", "samples/s": "0.51", "waits": "100%"}


def test_the_time_left_goes_by_what_this_call_has_done() -> None:
    clock = Clock()
    clock.now = 1000.0
    pace = Pace(40, clock)
    clock.now = 1030.0
    assert pace.seconds_left(55, 100) == 90.0  # 15 updates in 30 s, 45 to go
    assert pace.seconds_left(100, 100) == 0.0 and math.isfinite(pace.seconds_left(40.001, 100))
