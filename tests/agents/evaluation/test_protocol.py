"""Seeds, hashes and intervals."""

from __future__ import annotations

import dataclasses
from itertools import islice

import numpy as np
import pytest
from scipy.stats import binomtest

from agents.evaluation.protocol import (
    EvaluationProtocol,
    canonical_json,
    evaluation_seeds,
    recording_seed,
    require_held_out,
    versions,
    wilson,
)
from agents.recording.record import RecordConfig
from worldmodel.errors import ConfigError, MismatchError

PROTOCOL = EvaluationProtocol(
    env_id="line-v0",
    env_kwargs={"num_objects": 2, "max_sweeps": 4},
    seed=0,
    starts=(5, 9),
    budget=None,
    robot="none",
    renderer="none",
    versions={"torch": "2.13.0"},
)


@pytest.mark.parametrize(("successes", "n"), [(8, 10), (50, 100), (0, 10), (10, 10), (194, 200), (1, 1), (0, 1)])
def test_wilson_intervals(successes: int, n: int) -> None:
    interval, reference = wilson(successes, n), binomtest(successes, n).proportion_ci(method="wilson")
    assert (interval.low, interval.high) == pytest.approx((reference.low, reference.high), abs=1e-12)
    assert interval.to_json() == {"rate": successes / n, "low": interval.low, "high": interval.high}


def test_a_wilson_interval_by_hand() -> None:
    """z = 2, 3 of 4: the centre is (3/4 + 4/8) / 2 = 5/8, the half width (2/2) sqrt(3/64 + 4/64) = sqrt(7) / 8."""
    interval = wilson(3, 4, z=2.0)
    assert (interval.low, interval.high) == pytest.approx(((5 - 7**0.5) / 8, (5 + 7**0.5) / 8))
    assert wilson(0, 7).low == 0 and wilson(7, 7).high == 1  # exactly, where rounding would miss


def test_wilson_refuses_nonsense() -> None:
    for successes, n in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="expected 0 <= successes <= n"):
            wilson(successes, n)


def test_recording_and_evaluation_never_share_a_seed() -> None:
    evaluated = set(islice(evaluation_seeds(0), 2000)) | set(islice(evaluation_seeds(7), 2000))
    assert max(evaluated) < 1_000_000 == recording_seed(0, 0)
    assert recording_seed(0, 99_999) < recording_seed(1, 0)
    with pytest.raises(ConfigError, match="another seed"):
        recording_seed(0, 100_000)
    with pytest.raises(ConfigError):
        RecordConfig(num_episodes=100_001)


def test_evaluation_seeds_extend_and_depend_on_the_seed() -> None:
    ten, twenty = list(islice(evaluation_seeds(3), 10)), list(islice(evaluation_seeds(3), 20))
    assert twenty[:10] == ten and len(set(twenty)) == 20
    assert list(islice(evaluation_seeds(4), 10)) != ten


def test_a_start_that_was_trained_on_is_refused() -> None:
    require_held_out([4, 8], [(5, 7), (9, 9)])
    for seed in (5, 7, 9):
        with pytest.raises(MismatchError, match=f"seed {seed} for one"):
            require_held_out([4, seed], [(5, 7), (9, 9)])


def test_the_hash_changes_with_any_field() -> None:
    changes = {
        "env_id": "line-v1",
        "env_kwargs": {"num_objects": 3, "max_sweeps": 4},
        "seed": 1,
        "starts": (5, 8),
        "budget": 3,
        "robot": "arm",
        "renderer": "llvmpipe",
        "versions": {"torch": "2.13.1"},
        "version": 2,
    }
    assert set(changes) == {field.name for field in dataclasses.fields(EvaluationProtocol)}
    hashes = {PROTOCOL.hash} | {dataclasses.replace(PROTOCOL, **{name: value}).hash for name, value in changes.items()}
    assert len(hashes) == 1 + len(changes)
    assert len(PROTOCOL.hash) == 12 and set(PROTOCOL.hash) <= set("0123456789abcdef")
    assert PROTOCOL.to_json()["hash"] == PROTOCOL.hash


def test_the_hash_is_of_the_meaning_and_not_of_the_spelling() -> None:
    other = dataclasses.replace(PROTOCOL, env_kwargs={"max_sweeps": np.int64(4), "num_objects": 2})
    assert other.hash == PROTOCOL.hash
    assert canonical_json({"b": (1, 2), "a": None}) == '{"a":null,"b":[1,2]}'
    with pytest.raises(TypeError, match="plain JSON"):
        canonical_json({"a": object()})


def test_versions_name_what_shapes_the_numbers() -> None:
    assert {"python", "torch", "mujoco", "gymnasium", "numpy"} <= set(versions())
