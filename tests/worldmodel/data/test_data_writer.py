"""What the writer takes, refuses and keeps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tiny_world import SPEC, assert_same, make_episode, record_into

from worldmodel.data import Dataset, DatasetWriter, finalize, recorded_episodes
from worldmodel.data.format.frames import decode_pngs, encode_png
from worldmodel.errors import ConfigError, DataError, MismatchError
from worldmodel.types import WorldSpec


def test_png_is_lossless():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode_pngs([encode_png(image)], np.empty((1, 5, 7, 3), np.uint8), "here")[0], image)


def test_several_writers_give_the_same_dataset_as_one(root: Path, tmp_path: Path):
    other = tmp_path / "other"
    with (
        DatasetWriter(other, SPEC, fps=2.0, writer_id="a", episodes_per_shard=3) as a,
        DatasetWriter(other, SPEC, fps=2.0, writer_id="b") as b,
    ):
        for k in (7, 1, 0, 9, 4):
            a.add(make_episode(k), episode_index=k)
        for k in (2, 8, 3, 5, 6):
            b.add(make_episode(k), episode_index=k)
    finalize(other)
    one, two = Dataset.open(root), Dataset.open(other)
    assert one.fingerprint == two.fingerprint
    assert two.verify() == []
    for k in range(10):
        assert_same(two.read_episode(k), make_episode(k))


def test_full_shards_are_written_before_the_writer_closes(tmp_path: Path):
    writer = DatasetWriter(tmp_path, SPEC, fps=2.0, episodes_per_shard=2)
    for k in range(5):
        writer.add(make_episode(k), episode_index=k)
    assert writer.written == {0, 1, 2, 3} == recorded_episodes(tmp_path)
    writer.close()
    writer.close()
    assert writer.written == {0, 1, 2, 3, 4} == recorded_episodes(tmp_path)


def test_a_lone_writer_counts_by_itself_and_goes_on(tmp_path: Path):
    for first in (0, 2):
        with DatasetWriter(tmp_path, SPEC, fps=2.0) as writer:
            for k in (first, first + 1):
                writer.add(make_episode(k))
    finalize(tmp_path)
    assert [row.seed for row in Dataset.open(tmp_path).episodes] == [1000, 1001, 1002, 1003]


def test_an_interrupted_recording_keeps_what_is_complete(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), DatasetWriter(tmp_path, SPEC, fps=2.0) as writer:
        writer.add(make_episode(0))
        raise KeyboardInterrupt
    assert recorded_episodes(tmp_path) == {0}


def test_an_episode_is_recorded_once(root: Path):
    with DatasetWriter(root, SPEC, fps=2.0) as writer:
        writer.add(make_episode(10), episode_index=10)
        for index in (3, 10):
            with pytest.raises(DataError, match=f"episode {index} is recorded already"):
                writer.add(make_episode(index), episode_index=index)


def test_nothing_recorded_is_empty(tmp_path: Path):
    assert recorded_episodes(tmp_path / "nowhere") == set()


EPISODE = make_episode(0)


def observed(**arrays: np.ndarray) -> dict[str, np.ndarray]:
    return {**EPISODE.observations, **arrays}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": np.full((2, 2), np.nan, np.float32)}, "actions holds NaN"),
        ({"actions": EPISODE.actions.astype(np.float64)}, "actions is float64; expected float32"),
        ({"actions": EPISODE.actions[:0], "rewards": EPISODE.rewards[:0]}, "has no actions"),
        ({"actions": EPISODE.actions[:1]}, "has the shape"),
        ({"rewards": np.full(2, np.inf, np.float32)}, "rewards holds NaN or infinity"),
        ({"observations": observed(proprio=np.full((3, 2), np.nan, np.float32))}, "'proprio' holds NaN"),
        ({"observations": observed(pixels=np.zeros((3, 9, 6, 3), np.uint8))}, r"'pixels' has the shape \(3, 9, 6, 3\)"),
        ({"observations": {}}, "has the sensors"),
        ({"labels": {"status": np.zeros((2, 5), np.int64)}}, "label 'status' has the shape"),
        ({"labels": {"../x": np.zeros(3, np.int64)}}, "bad label name"),
        ({"labels": {"x": np.array(["a"] * 3)}}, "expected one of"),
        ({"seed": -1}, "expected a seed"),
    ],
)
def test_an_episode_that_does_not_fit_is_refused(tmp_path: Path, changes: dict, message: str):
    with DatasetWriter(tmp_path, SPEC, fps=2.0) as writer, pytest.raises(DataError, match=message) as caught:
        writer.add(dataclasses.replace(EPISODE, **changes))
    assert "\n" not in str(caught.value)


def test_all_episodes_have_the_same_labels(tmp_path: Path):
    with DatasetWriter(tmp_path, SPEC, fps=2.0) as writer:
        writer.add(make_episode(0))
        with pytest.raises(DataError, match=r"other labels than the ones before it: label\.done"):
            writer.add(
                dataclasses.replace(make_episode(1), labels={k: v for k, v in make_episode(1).labels.items() if k != "done"})
            )


def test_a_dataset_holds_one_world(root: Path):
    with pytest.raises(MismatchError, match="robot not the same"):
        DatasetWriter(root, dataclasses.replace(SPEC, robot="arm"), fps=2.0)
    with pytest.raises(MismatchError, match="fps not the same"):
        DatasetWriter(root, SPEC, fps=3.0)


def test_a_budget_may_be_named_as_it_was_when_the_dataset_was_begun(tmp_path: Path):
    def named(**budget: int) -> WorldSpec:
        return dataclasses.replace(SPEC, env_kwargs={"num_objects": (1, 5), **budget})

    with DatasetWriter(tmp_path, named(max_sweeps=9), fps=2.0) as writer:
        writer.add(make_episode(0))
    with DatasetWriter(tmp_path, named(max_steps=9), fps=2.0, writer_id="1") as writer:
        writer.add(make_episode(1))
    with pytest.raises(MismatchError, match="env_kwargs not the same"):
        DatasetWriter(tmp_path, named(max_steps=8), fps=2.0)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(DataError, match="holds other files"):
        DatasetWriter(tmp_path, SPEC, fps=2.0)
    with pytest.raises(DataError, match="is a file"):
        DatasetWriter(tmp_path / "thesis.tex", SPEC, fps=2.0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_settings_are_checked(tmp_path: Path):
    with pytest.raises(ConfigError, match="episodes_per_shard is 0"):
        DatasetWriter(tmp_path, SPEC, fps=2.0, episodes_per_shard=0)
    with pytest.raises(ConfigError, match="fps is 0"):
        DatasetWriter(tmp_path, SPEC, fps=0)
    with pytest.raises(DataError, match="bad writer name"):
        DatasetWriter(tmp_path, SPEC, fps=2.0, writer_id="../x")
    cameras = {key: dataclasses.replace(SPEC.sensors["pixels"]) for key in ("left", "right")}
    with pytest.raises(DataError, match="share a column"):
        DatasetWriter(tmp_path, dataclasses.replace(SPEC, sensors=cameras), fps=2.0)


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    record_into(tmp_path, range(2))

    def full(*_):
        raise OSError(28, "No space left on device")

    writer = DatasetWriter(tmp_path, SPEC, fps=2.0)
    writer.add(make_episode(2), episode_index=2)
    with monkeypatch.context() as patch:
        patch.setattr("worldmodel.data.recording.writer.write_row_groups", full)
        with pytest.raises(DataError, match=r"cannot write .* No space left on device"):
            writer.flush()
    assert recorded_episodes(tmp_path) == {0, 1}
    writer.close()  # there is space again: the episode was kept
    assert recorded_episodes(tmp_path) == {0, 1, 2}
