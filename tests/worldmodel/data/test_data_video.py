"""Large images as video, and every other sensor: what reads back, where it lies, and what damage looks like."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_world import assert_same
from video_world import FPS, SPEC, make_episode, record_into

from worldmodel.data import Dataset, DatasetWriter, VideoConfig, finalize, recorded_episodes
from worldmodel.data.format.frames import digest
from worldmodel.data.format.video import encode_clip
from worldmodel.data.format.video_reader import VideoReader, decode_clip
from worldmodel.data.recording import assemble, joining
from worldmodel.data.recording import writer as writer_module
from worldmodel.errors import DataError

FRONT = "observation.images.front"
FILE = f"videos/{FRONT}/chunk-000/file-000.mp4"
CAMERAS = ("front", "side")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("video") / "data"
    finalize(record_into(root, range(7)))
    return root


@pytest.fixture
def root(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "data"))


def assert_close(got: np.ndarray, expected: np.ndarray) -> None:
    """The same picture but for what H.264 loses: neither another frame, nor another episode, nor another camera."""
    assert got.shape == expected.shape and got.dtype == np.uint8
    assert np.abs(got.astype(int)[..., 2] - expected[..., 2]).mean() < 3


def test_every_sensor_reads_back(recorded: Path):
    dataset = Dataset.open(recorded)
    assert dataset.spec.sensors == SPEC.sensors
    assert dataset.verify() == []
    for k in (5, 0, 6, 3):
        got, expected = dataset.read_episode(k), make_episode(k)
        for camera in CAMERAS:
            assert_close(got.observations[camera], expected.observations[camera])
        seen = {camera: got.observations[camera] for camera in CAMERAS}
        assert_same(got, dataclasses.replace(expected, observations={**expected.observations, **seen}))
        assert got.variation == expected.variation


def test_the_digest_is_that_of_what_reads_back(recorded: Path):
    dataset = Dataset.open(recorded)
    for k in range(7):
        assert digest(dataset.read_episode(k)) == dataset.episodes[k].sha256


def test_frames_are_those_of_the_episodes(recorded: Path):
    dataset = Dataset.open(recorded)
    for chosen in (dataset, dataset.select([5, 1, 2])):
        expected = [chosen.read_episode(i).observations["front"] for i in range(chosen.num_episodes)]
        batches = [values[FRONT] for _, values in chosen.frames([FRONT], batch_size=4)]
        assert max(map(len, batches)) <= 4
        np.testing.assert_array_equal(np.concatenate(batches), np.concatenate(expected))


def test_info_and_places_are_lerobots(recorded: Path):
    info = json.loads((recorded / "meta/info.json").read_text())
    assert info["video_path"] == "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    assert info["features"][FRONT] == {
        "dtype": "video",
        "shape": [64, 112, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": 64,
            "video.width": 112,
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False,
            "video.fps": 12.5,
            "video.channels": 3,
            "has_audio": False,
        },
    }
    assert info["features"]["observation.images.wrist"]["dtype"] == "image"
    assert info["features"]["observation.depth"] == {"dtype": "uint16", "shape": [24, 32], "names": None}
    assert FRONT not in pq.read_schema(recorded / "data/chunk-000/file-000.parquet").names
    rows = pq.read_table(recorded / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    start = 0
    for k, row in enumerate(rows):
        end = start + make_episode(k).num_actions + 1
        for camera in CAMERAS:
            place = f"videos/observation.images.{camera}/"
            assert (row[place + "chunk_index"], row[place + "file_index"]) == (0, 0)
            assert row[place + "from_timestamp"] == pytest.approx(start / FPS)
            assert row[place + "to_timestamp"] == pytest.approx(end / FPS)
        start = end
        assert np.shape(row[f"stats/{FRONT}/mean"]) == (3, 1, 1)
        assert np.shape(row["stats/observation.depth/mean"]) == (1, 1)  # large: summarised as a whole
        assert np.shape(row["stats/observation.touch/mean"]) == (2, 3)
        assert (row["env_id"], row["robot"], row["control_mode"]) == ("tests/Cameras-v0", "gantry", "delta")
        assert json.loads(row["variation"]) == make_episode(k).variation


def test_pyarrow_and_pyav_alone_find_every_frame(recorded: Path):
    """The public schema: file from the row's chunk and file index, frame t at from_timestamp + t / fps."""
    info = json.loads((recorded / "meta/info.json").read_text())
    data = pq.read_table(recorded / "data/chunk-000/file-000.parquet").to_pylist()
    dataset = Dataset.open(recorded)
    for k, row in enumerate(pq.read_table(recorded / "meta/episodes/chunk-000/file-000.parquet").to_pylist()):
        episode, rows = dataset.read_episode(k), data[row["dataset_from_index"] : row["dataset_to_index"]]
        for camera in CAMERAS:
            key = f"observation.images.{camera}"
            numbers = {name: row[f"videos/{key}/{name}"] for name in ("chunk_index", "file_index")}
            with av.open(str(recorded / info["video_path"].format(video_key=key, **numbers))) as container:
                stream = container.streams.video[0]
                assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", Fraction(25, 2))
                shown = {frame.time: frame.to_ndarray(format="rgb24") for frame in container.decode(stream)}
            assert len(shown) == dataset.num_frames
            for t in range(row["length"]):
                time = row[f"videos/{key}/from_timestamp"] + rows[t]["timestamp"]
                (picture,) = (image for at, image in shown.items() if abs(at - time) < 1e-4)  # LeRobot's tolerance
                np.testing.assert_array_equal(episode.observations[camera][t], picture)
        for t in range(row["length"]):
            assert rows[t]["observation.depth"] == episode.observations["depth"][t].tolist()
            assert rows[t]["observation.touch"] == episode.observations["touch"][t].tolist()
            assert rows[t]["observation.audio"] == episode.observations["audio"][t].tolist()
            assert rows[t]["observation.state"] == episode.observations["proprio"][t].tolist()


def test_a_clip_without_its_rows_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    record_into(tmp_path, range(3))
    real = writer_module.publish

    def crash(path: Path, content):
        if path.name.endswith(".episodes.parquet"):
            raise RuntimeError("killed here")
        real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(writer_module, "publish", crash)
        with pytest.raises(RuntimeError):
            record_into(tmp_path, range(3, 6), shard=9)
    assert len(list((tmp_path / "recording").glob("*.clips.parquet"))) == 2
    assert recorded_episodes(tmp_path) == {0, 1, 2}
    finalize(tmp_path)
    dataset = Dataset.open(tmp_path)
    assert dataset.verify() == []
    assert [digest(dataset.read_episode(k)) for k in range(3)] == [row.sha256 for row in dataset.episodes]
    assert not (tmp_path / "recording").exists()


def test_the_card_tells_what_is_video(recorded: Path):
    assert "`observation.images.front`, `observation.images.side`: H.264 video" in (recorded / "README.md").read_text()


def test_statistics_of_large_arrays(recorded: Path):
    depth = np.concatenate([make_episode(k).observations["depth"] for k in range(7)]).astype(np.float64)
    stats = Dataset.open(recorded).stats["observation.depth"]
    assert stats["mean"].shape == (1, 1)
    for name in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(stats[name].item(), getattr(depth, name)())


def test_several_writers_and_files_give_the_same_episodes(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(assemble, "VIDEO_MB", 0.004)
    with DatasetWriter(tmp_path, SPEC, fps=FPS, writer_id="a") as a, DatasetWriter(tmp_path, SPEC, fps=FPS) as b:
        for k in range(7):
            (a, b)[k % 2].add(make_episode(k), episode_index=k)
    finalize(tmp_path)
    assert len(list((tmp_path / "videos").rglob("*.mp4"))) > 4
    one, several = Dataset.open(recorded), Dataset.open(tmp_path)
    assert several.verify() == []
    assert several.fingerprint == one.fingerprint
    for k in range(7):
        assert_same(several.read_episode(k), one.read_episode(k))


def test_appending_keeps_the_old_videos(root: Path):
    before = (root / FILE).read_bytes()
    finalize(record_into(root, range(7, 9)))
    dataset = Dataset.open(root)
    assert (root / FILE).read_bytes() == before
    assert dataset.verify() == []
    assert len(dataset.video_files) == 4
    for camera in CAMERAS:
        assert_close(dataset.read_episode(8).observations[camera], make_episode(8).observations[camera])


def test_clips_are_copied_without_a_second_loss(recorded: Path, tmp_path: Path):
    dataset = Dataset.open(recorded)
    with DatasetWriter(tmp_path, SPEC, fps=FPS, video=VideoConfig(crf=51)) as writer:
        for k in (4, 2):
            writer.add(dataset.read_episode(k), clips=dataset.clips(k))
    finalize(tmp_path)
    copy = Dataset.open(tmp_path)
    for i, k in enumerate((4, 2)):
        assert copy.episodes[i].sha256 == dataset.episodes[k].sha256
        assert_same(copy.read_episode(i), dataset.read_episode(k))


def test_a_crash_while_videos_are_joined_is_mended(root: Path, monkeypatch: pytest.MonkeyPatch):
    record_into(root, range(7, 9))
    real = joining.publish

    def crash(path: Path, content):
        if "side" in str(path):
            raise RuntimeError("killed here")
        real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(joining, "publish", crash)
        with pytest.raises(RuntimeError):
            finalize(root)
    assert Dataset.open(root).num_episodes == 7
    assert recorded_episodes(root) == set(range(9))
    finalize(root)
    assert Dataset.open(root).verify() == []
    assert len(list((root / "videos").rglob("*.mp4"))) == 4


def test_encoding_is_repeatable_and_quality_is_a_setting():
    images = make_episode(3).observations["front"]
    good = encode_clip(images, FPS, VideoConfig())
    assert encode_clip(images, FPS, VideoConfig()) == good
    assert len(encode_clip(images, FPS, VideoConfig(crf=40))) < len(good)


def test_odd_sizes_are_kept_without_loss(tmp_path: Path):
    odd = dataclasses.replace(SPEC.sensors["front"], shape=(63, 111, 3))
    spec = dataclasses.replace(SPEC, sensors={"front": odd})
    episode = make_episode(1)
    episode = dataclasses.replace(episode, observations={"front": episode.observations["front"][:, :63, :111]})
    with DatasetWriter(tmp_path, spec, fps=FPS) as writer:
        writer.add(episode)
    finalize(tmp_path)
    dataset = Dataset.open(tmp_path)
    assert dataset.features[FRONT]["dtype"] == "image"
    assert_same(dataset.read_episode(0), episode)


def test_a_variation_must_be_plain(tmp_path: Path):
    with DatasetWriter(tmp_path, SPEC, fps=FPS) as writer, pytest.raises(DataError, match="no plain JSON"):
        writer.add(dataclasses.replace(make_episode(0), variation={"light": float("nan")}))


def test_frames_are_chosen_by_time():
    images = make_episode(1).observations["front"]
    clip = encode_clip(images, FPS, VideoConfig(gop=4))
    whole = decode_clip(clip, len(images), images.shape[1:], FPS)
    with VideoReader(clip, images.shape[1:], FPS, "clip") as reader:
        for chosen in ([5, 6], [0, 1, 5], [6], [3], [2, 4]):
            np.testing.assert_array_equal(reader.read(np.array(chosen) / FPS), whole[chosen])
        with pytest.raises(DataError, match=r"no frame at 0\.12 s"):
            reader.read(np.array([1.5]) / FPS)
    with VideoReader(clip, images.shape[1:], FPS, "clip") as reader, pytest.raises(DataError, match=r"ends before 0\.56 s"):
        reader.read(np.array([6, 7]) / FPS)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def link_out(root: Path) -> None:
    shutil.move(root / FILE, root.parent / "elsewhere.mp4")
    os.symlink(root.parent / "elsewhere.mp4", root / FILE)


def other_clip(root: Path, **changes) -> None:
    images = make_episode(1).observations["front"]
    height = changes.get("height", images.shape[1])
    (root / FILE).write_bytes(encode_clip(np.repeat(images, 20, axis=0)[:, :height], changes.get("fps", FPS), VideoConfig()))


def edit_info(root: Path, **changes) -> None:
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(info | changes))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda root: (root / FILE).unlink(), "is missing"),
    "truncated": (lambda root: truncate(root / FILE), "is damaged"),
    "empty": (lambda root: (root / FILE).write_bytes(b""), "is damaged"),
    "no video": (lambda root: (root / FILE).write_text("hello" * 1000), "is damaged"),
    "other size": (lambda root: other_clip(root, height=32), "is 32 x 112 pixels; expected 64 x 112"),
    "other rate": (lambda root: other_clip(root, fps=3.1), "no frame at"),
    "a folder": (lambda root: ((root / FILE).unlink(), (root / FILE).mkdir()), "is missing"),
    "symbolic link out": (link_out, "leads out of the dataset"),
    "path traversal": (lambda root: edit_info(root, video_path="../{video_key}/{chunk_index}/{file_index}"), "leads out"),
    "bad pattern": (lambda root: edit_info(root, video_path="{key}"), "video_path is"),
    "no pattern": (lambda root: edit_info(root, video_path=None), "video_path is None"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_line(root: Path, damage: str):
    spoil, message = DAMAGE[damage]
    spoil(root)
    with pytest.raises(DataError, match=message) as caught:
        Dataset.open(root).read_episode(6)
    assert "\n" not in str(caught.value)


def test_verify_sees_a_changed_video(root: Path):
    content = bytearray((root / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (root / FILE).write_bytes(content)
    assert f"{FILE} is not what was written: its checksum differs" in Dataset.open(root).verify()


def test_verify_sees_a_video_cut_short(root: Path):
    images = make_episode(1).observations["front"]
    (root / FILE).write_bytes(encode_clip(images, FPS, VideoConfig()))
    total = Dataset.open(root).num_frames
    assert f"{FILE} is damaged: it has 7 frames; expected {total}" in Dataset.open(root).verify()
