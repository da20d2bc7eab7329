"""Datasets at a URL, on fsspec's memory and local filesystems: what is fetched, when, and what is believed."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from foreign_v3 import build, values_of
from fsspec.implementations.memory import MemoryFileSystem
from tiny_world import SPEC, assert_same, make_episode

from worldmodel.data import Dataset, DatasetWriter, FrameCache, finalize
from worldmodel.data.remote import RemoteFolder, default_place, url_of
from worldmodel.errors import DataError, MissingExtraError

DATA = "data/chunk-000/file-000.parquet"


@pytest.fixture
def memory(root: Path) -> Iterator[MemoryFileSystem]:
    """A memory filesystem that holds the dataset at memory://shelf/tiny."""
    fs = fsspec.filesystem("memory")
    fs.put(str(root), "/shelf/tiny", recursive=True)
    yield fs
    fs.rm("/shelf", recursive=True)


def kept(local: Path) -> set[str]:
    files = (path.relative_to(local) for path in local.rglob("*") if path.is_file())
    return {str(path) for path in files if not any(part.startswith(".") for part in path.parts)}


@pytest.mark.parametrize("protocol", ["memory", "file"])
def test_a_remote_dataset_is_the_same(protocol: str, memory: MemoryFileSystem, root: Path, dataset: Dataset, tmp_path: Path):
    url = "memory://shelf/tiny" if protocol == "memory" else f"file://{root}"
    remote = Dataset.open(url, local=tmp_path / "local")
    assert remote.fingerprint == dataset.fingerprint
    assert all(name.startswith("meta/") for name in kept(tmp_path / "local"))  # frames are fetched when they are read
    assert remote.summary() == dataset.summary()
    for k in (3, 9):
        assert_same(remote.read_episode(k), make_episode(k))
    assert DATA in kept(tmp_path / "local")
    assert_same(remote.select([4]).read_episode(0), make_episode(4))
    assert remote.verify() == []
    cache = FrameCache.build(remote, ("pixels",), tmp_path / "cache")
    expected = np.concatenate([make_episode(k).observations["pixels"] for k in range(10)])
    np.testing.assert_array_equal(cache.arrays["pixels"], expected)


def test_files_are_fetched_once(memory: MemoryFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fetched: list[str] = []
    real = RemoteFolder._fetch

    def note(self: RemoteFolder, relative: str, path: Path) -> None:
        fetched.append(relative)
        real(self, relative, path)

    monkeypatch.setattr(RemoteFolder, "_fetch", note)
    for _ in range(2):
        dataset = Dataset.open("memory://shelf/tiny", local=tmp_path)
        for k in range(10):
            dataset.read_episode(k)
    assert fetched.count(DATA) == 1
    assert fetched[fetched.index("meta/info.json") - 1].startswith("meta/")
    assert fetched.count("meta/info.json") == 2  # meta is what may have changed


def test_a_changed_source_is_fetched_again(memory: MemoryFileSystem, tmp_path: Path):
    Dataset.open("memory://shelf/tiny", local=tmp_path / "local").read_episode(0)
    finalize(record_from(tmp_path / "other", 20))
    memory.rm("/shelf/tiny", recursive=True)
    memory.put(str(tmp_path / "other"), "/shelf/tiny", recursive=True)
    dataset = Dataset.open("memory://shelf/tiny", local=tmp_path / "local")
    assert dataset.num_episodes == 3
    assert_same(dataset.read_episode(0), make_episode(20))


def record_from(root: Path, first: int) -> Path:
    with DatasetWriter(root, SPEC, fps=2.0) as writer:
        for k in range(first, first + 3):
            writer.add(make_episode(k))
    return root


def test_a_dataset_that_others_wrote(tmp_path: Path):
    build(tmp_path / "data")
    url, local = f"file://{tmp_path / 'data'}", tmp_path / "local"
    remote = Dataset.open(url, local=local)
    expected = Dataset.open(tmp_path / "data").read_episode(3)
    assert_same(remote.read_episode(3), expected)
    assert remote.verify() == []
    build(tmp_path / "again", without=("next.reward",))  # without checksums, the source's size and time are compared
    shutil.copy(tmp_path / "again" / DATA, tmp_path / "data" / DATA)
    episode = Dataset.open(url, local=local)
    with pytest.raises(DataError, match=r"no column 'next\.reward'"):
        episode.read_episode(0)
    np.testing.assert_array_equal(expected.actions, values_of(3)["action"][:-1])


def test_what_arrives_damaged_is_not_kept(memory: MemoryFileSystem, tmp_path: Path):
    content = bytearray(memory.cat_file(f"/shelf/tiny/{DATA}"))
    content[len(content) // 2] ^= 1
    memory.pipe(f"/shelf/tiny/{DATA}", bytes(content))
    dataset = Dataset.open("memory://shelf/tiny", local=tmp_path)
    with pytest.raises(DataError, match=r"memory://shelf/tiny/data.* its checksum differs"):
        dataset.read_episode(0)
    assert DATA not in kept(tmp_path)
    assert any("its checksum differs" in line for line in dataset.verify())
    assert not list(tmp_path.rglob("*.part"))


def test_what_is_missing_is_one_line(memory: MemoryFileSystem, tmp_path: Path):
    memory.rm(f"/shelf/tiny/{DATA}")
    dataset = Dataset.open("memory://shelf/tiny", local=tmp_path)
    with pytest.raises(DataError, match=r"memory://shelf/tiny/data/chunk-000/file-000\.parquet is missing"):
        dataset.read_episode(0)
    for url in ("memory://nowhere", f"file://{tmp_path}/nowhere"):
        with pytest.raises(DataError, match=r"meta/info\.json is missing|meta is missing"):
            Dataset.open(url, local=tmp_path / "other")


def test_urls_that_cannot_be_opened(tmp_path: Path):
    with pytest.raises(DataError, match="Protocol not known"):
        Dataset.open("nonsense://a/b", local=tmp_path)
    with pytest.raises((MissingExtraError, DataError)) as caught:
        Dataset.open("gs://user:secret@bucket/data", local=tmp_path)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://bucket/data", "gs://bucket/data", "gcs://bucket/data", "hf://datasets/a/b"])
def test_a_package_that_is_missing_is_told_with_its_extra(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    extra = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["optional-dependencies"][
        "remote"
    ]

    def without(url: str) -> None:
        raise ImportError("no such module")

    monkeypatch.setattr(fsspec.core, "url_to_fs", without)
    with pytest.raises(
        MissingExtraError, match=rf"^cannot open {url}: (\w+) is not installed: .*'worldmodel\[remote\]'$"
    ) as caught:
        Dataset.open(url, local=tmp_path)
    assert any(str(caught.value).split()[3] in requirement for requirement in extra)
    with pytest.raises(MissingExtraError, match=r"^cannot open sftp://host/data: no such module$"):
        Dataset.open("sftp://host/data", local=tmp_path)


@pytest.mark.parametrize("pattern", ["../{chunk_index}/{file_index}", "/etc/passwd"])
def test_a_remote_dataset_cannot_name_files_outside(memory: MemoryFileSystem, tmp_path: Path, pattern: str):
    text = memory.cat_file("/shelf/tiny/meta/info.json").decode()
    memory.pipe(
        "/shelf/tiny/meta/info.json",
        text.replace("data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet", pattern).encode(),
    )
    with pytest.raises(DataError, match="leads out of the dataset"):
        Dataset.open("memory://shelf/tiny", local=tmp_path / "local")
    assert {path.name for path in tmp_path.iterdir()} <= {"local", "data"}


def test_what_is_a_url(tmp_path: Path):
    assert url_of("s3://bucket/data") == "s3://bucket/data"
    assert url_of(Path("s3://bucket/data")) == "s3://bucket/data"  # a Path loses a slash, the command line makes Paths
    assert url_of(Path("file:///a/b")) == "file:///a/b"
    assert url_of("data/full") is url_of(tmp_path) is url_of("C:/data") is None


def test_the_place_is_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = default_place("memory://shelf/tiny/")
    assert place.parent == tmp_path / "worldmodel" / "remote"
    assert place.name.startswith("tiny-")
    assert default_place("memory://a/tiny") != default_place("memory://b/tiny")


def test_a_view_may_name_a_url(memory: MemoryFileSystem, dataset: Dataset, tmp_path: Path):
    values = {"schema_version": 1, "dataset": "memory://shelf/tiny", "filter": "", "episodes": [5]}
    (tmp_path / "view.json").write_text(json.dumps({**values, "fingerprint": dataset.fingerprint}))
    assert_same(Dataset.open(tmp_path / "view.json", local=tmp_path / "local").read_episode(0), make_episode(5))


def test_a_folder_of_somebody_is_not_filled(memory: MemoryFileSystem, dataset: Dataset, tmp_path: Path):
    theirs = tmp_path / "theirs"
    (theirs / "meta").mkdir(parents=True)
    (theirs / "meta/notes.json").write_text("mine")
    with pytest.raises(DataError, match="holds another dataset; choose a new folder to keep memory://shelf/tiny in"):
        Dataset.open("memory://shelf/tiny", local=theirs)
    assert [path.name for path in theirs.rglob("*")] == ["meta", "notes.json"]
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        assert Dataset.open("memory://shelf/tiny", local=tmp_path / "empty").fingerprint == dataset.fingerprint
