"""What is exported comes back, apart from what the export says it cannot hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import video_world
from import_sources import imported
from tiny_world import SPEC, assert_same, make_episode

from worldmodel.data import Dataset, DatasetWriter, finalize
from worldmodel.data.exporters import LeRobot, MinariStore, export
from worldmodel.data.importers import ImportMap, MappedImporter, Rates, Unit, open_source
from worldmodel.types import SensorSpec

LARGE = replace(
    SPEC,
    sensors={
        "pixels": SensorSpec((112, 128, 3), "uint8", "image", camera="overhead"),
        "wrist": SensorSpec((8, 8, 3), "uint8", "image"),
    },
)


def record_large(root: Path) -> Dataset:
    """Two episodes whose large pictures are stored as video."""
    with DatasetWriter(root, LARGE, fps=2.0) as writer:
        for k in range(2):
            episode = make_episode(k)
            length = episode.num_actions + 1
            ramp = np.linspace(0, 255, 112)[:, None, None] * np.ones((length, 1, 128, 3))
            wrist = np.random.default_rng(k).integers(0, 256, (length, 8, 8, 3), dtype=np.uint8)
            pictures = {"pixels": ramp.astype(np.uint8), "wrist": wrist}
            writer.add(replace(episode, observations=pictures, variation={"light": k}))
    finalize(root)
    return Dataset.open(root)


def test_through_minari(tmp_path: Path, root: Path):
    export(Dataset.open(root), MinariStore(), tmp_path / "minari")
    mapping = ImportMap(
        rates=Rates(source_fps=2), privileged=("state",), robot="gantry", units={"observations/proprio": Unit(unit="m")}
    )
    dataset = imported(tmp_path / "minari", tmp_path / "back", mapping)
    assert dataset.spec.action.low == SPEC.action.low and dataset.spec.sensors["state"].privileged
    for k in range(10):
        assert_same(dataset.read_episode(k), make_episode(k))


def test_through_the_public_schema_of_lerobot(tmp_path: Path, root: Path):
    export(Dataset.open(root), LeRobot(), tmp_path / "lerobot")
    dataset = imported(tmp_path / "lerobot", tmp_path / "back")
    for k in range(10):
        got, expected = dataset.read_episode(k), make_episode(k)
        kept = expected.num_actions  # the last frame has no row there
        np.testing.assert_array_equal(got.observations["pixels"], expected.observations["pixels"][:kept], strict=True)
        np.testing.assert_array_equal(got.observations["proprio"], expected.observations["proprio"][:kept], strict=True)
        np.testing.assert_array_equal(got.actions, expected.actions[: kept - 1], strict=True)
        assert got.instruction == expected.instruction


def test_films_of_ours_are_copied_not_encoded_again(tmp_path: Path):
    before = record_large(tmp_path / "large")
    dataset = imported(tmp_path / "large", tmp_path / "back")
    assert dataset.fingerprint == before.fingerprint
    assert dataset.read_episode(1).variation == {"light": 1}
    renamed = imported(tmp_path / "large", tmp_path / "renamed", ImportMap(names={"observation.images.overhead": "eye"}))
    expected = before.read_episode(1).observations["pixels"]
    np.testing.assert_array_equal(renamed.read_episode(1).observations["eye"], expected)


def test_a_smaller_picture_is_not_a_copy(tmp_path: Path):
    record_large(tmp_path / "large")
    importer = MappedImporter(open_source(tmp_path / "large"), ImportMap(image_size=(56, 64)))
    assert importer.clips(0) == {}
    assert next(importer.episodes(0)).observations["pixels"].shape[1:] == (56, 64, 3)


def test_a_camera_that_is_dropped_is_not_even_opened(tmp_path: Path):
    source = video_world.record_into(tmp_path / "films", range(2))
    finalize(source)
    for film in (source / "videos/observation.images.side").rglob("*.mp4"):
        film.unlink()
    dataset = imported(source, tmp_path / "out", ImportMap(names={"observation.images.side": "drop"}))
    assert "side" not in dataset.spec.sensors and dataset.num_episodes == 2
    np.testing.assert_array_equal(
        dataset.read_episode(1).observations["wrist"], video_world.make_episode(1).observations["wrist"]
    )
