"""A folder of films, with no table, with one for each, and with one for all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from import_sources import episode_of, imported, write_film

from worldmodel.data.importers import ImportMap, MappedImporter, Rates, open_source
from worldmodel.data.importers.bounds import NO_ACTION
from worldmodel.errors import DataError

LENGTHS = {"take_2": 5, "take_10": 4}
"""Films in their natural order, and their frames."""


@pytest.fixture
def films(tmp_path: Path) -> dict[str, np.ndarray]:
    """Decoded frames of the films in tmp_path/films."""
    return {name: write_film(tmp_path / f"films/{name}.mp4", n, seed=n) for name, n in LENGTHS.items()}


def table_of(length: int, seed: int) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {"dx": rng.normal(size=length).tolist(), "dy": rng.normal(size=length).tolist(), "reward": list(range(length))}


def write_csv(path: Path, columns: dict[str, list]) -> None:
    rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(rows) + "\n")


def test_films_alone_are_a_world_without_actions(tmp_path: Path, films: dict[str, np.ndarray]):
    dataset = imported(tmp_path / "films", tmp_path / "out")
    assert dataset.spec.action == NO_ACTION and dataset.spec.control_mode == "none"
    assert dataset.fps == 10
    for k, frames in enumerate(films.values()):
        episode = dataset.read_episode(k)
        np.testing.assert_array_equal(episode.observations["pixels"], frames, strict=True)
        np.testing.assert_array_equal(episode.actions, np.zeros((len(frames) - 1, 1), np.float32), strict=True)


@pytest.mark.parametrize("rows", [0, -1])
def test_a_table_a_film(tmp_path: Path, films: dict[str, np.ndarray], rows: int):
    tables = {name: table_of(len(frames) + rows, seed=k) for k, (name, frames) in enumerate(films.items())}
    for name, columns in tables.items():
        write_csv(tmp_path / f"films/{name}.csv", columns)
    dataset = imported(tmp_path / "films", tmp_path / "out")
    assert dataset.spec.action.names == ("dx", "dy")
    for k, (name, frames) in enumerate(films.items()):
        episode = dataset.read_episode(k)
        steps = len(frames) - 1
        expected = np.array([tables[name]["dx"][:steps], tables[name]["dy"][:steps]], np.float32).T
        np.testing.assert_array_equal(episode.actions, expected, strict=True)
        np.testing.assert_array_equal(episode.rewards, np.arange(steps, dtype=np.float32), strict=True)
        np.testing.assert_array_equal(episode.observations["pixels"], frames)


@pytest.mark.parametrize("column", ["video", "episode"])
def test_one_table_for_all(tmp_path: Path, films: dict[str, np.ndarray], column: str):
    owner, action, frame = [], [], []
    for k, (name, frames) in enumerate(films.items()):
        n = len(frames)
        owner += [name if column == "video" else k] * n
        action += [[k + t, -t] for t in range(n)][::-1]
        frame += list(range(n))[::-1]  # the rows lie backwards: the column `frame` puts them in order
    table = pa.table({column: owner, "target": pa.array(action, pa.list_(pa.float32())), "frame": frame})
    pq.write_table(table, tmp_path / "films/actions.parquet")
    importer = MappedImporter(open_source(tmp_path / "films"))
    for k, (frames, episode) in enumerate(zip(films.values(), importer.episodes(0), strict=True)):
        steps = np.arange(len(frames) - 1, dtype=np.float32)
        np.testing.assert_array_equal(episode.actions, np.stack([k + steps, -steps], axis=1), strict=True)


def test_frames_are_dropped_and_resized_while_decoding(tmp_path: Path, films: dict[str, np.ndarray]):
    mapping = ImportMap(rates=Rates(fps=5), image_size=(16, 24))
    episode = episode_of(tmp_path / "films", 0, mapping)
    assert episode.observations["pixels"].shape == (3, 16, 24, 3)
    halved = films["take_2"][::2].reshape(3, 16, 2, 24, 2, 3).mean(axis=(2, 4))
    assert np.abs(episode.observations["pixels"].astype(float) - halved).mean() < 2


def test_what_does_not_fit_is_one_line(tmp_path: Path, films: dict[str, np.ndarray]):
    write_csv(tmp_path / "films/take_2.csv", table_of(5, 0))
    with pytest.raises(DataError, match="none for 'take_10'"):
        open_source(tmp_path / "films")
    write_csv(tmp_path / "films/take_10.csv", table_of(9, 0))
    importer = MappedImporter(open_source(tmp_path / "films"))
    with pytest.raises(DataError, match=r"episode 1: field 'video' has 4 rows; expected 9 or 10"):
        list(importer.episodes(0))
    (tmp_path / "films/take_2.mp4").write_bytes(b"no film")
    with pytest.raises(DataError, match=r"take_2.mp4 cannot be decoded"):
        open_source(tmp_path / "films")


def test_a_table_that_nobody_can_deal_out(tmp_path: Path, films: dict[str, np.ndarray]):
    write_csv(tmp_path / "films/actions.csv", table_of(9, 0))
    with pytest.raises(DataError, match="no column 'video' or 'episode'"):
        open_source(tmp_path / "films")
    write_csv(tmp_path / "films/actions.csv", {"video": ["take_2.mp4", "take_3"], "dx": [0, 1]})
    with pytest.raises(DataError, match="'take_3', which is no film"):
        open_source(tmp_path / "films")


def test_films_of_different_sizes_need_one_in_the_map(tmp_path: Path, films: dict[str, np.ndarray]):
    write_film(tmp_path / "films/take_11.mp4", 3, size=(16, 16))
    importer = MappedImporter(open_source(tmp_path / "films"))
    with pytest.raises(DataError, match=r"episode 2: field 'video': picture 0 has the shape \(16, 16, 3\).*image_size"):
        list(importer.episodes(0))
    assert episode_of(tmp_path / "films", 2, ImportMap(image_size=(8, 8))).observations["pixels"].shape == (3, 8, 8, 3)
