"""Tiny sources of every format, built by hand from arrays that are known exactly."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from worldmodel.data import Dataset
from worldmodel.data.importers import ImportMap, MappedImporter, import_into, open_source
from worldmodel.types import Episode

TASKS = ("push the cube", "lift the cube")


def imported(source: Path, out: Path, mapping: ImportMap | None = None) -> Dataset:
    """The source imported and opened."""
    import_into(MappedImporter(open_source(source), mapping), out)
    dataset = Dataset.open(out)
    assert dataset.verify() == []
    return dataset


def episode_of(source: Path, k: int = 0, mapping: ImportMap | None = None) -> Episode:
    """Episode `k` of the source as it would be written."""
    return next(MappedImporter(open_source(source), mapping).episodes(k))


def pixels(seed: int, length: int, height: int = 12, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (length, height, width, 3), dtype=np.uint8)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write_film(path: Path, length: int, seed: int = 0, size: tuple[int, int] = (32, 48), fps: int = 10) -> np.ndarray:
    """A film of smooth pictures; returns what PyAV decodes of it, (length, height, width, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = size
    ramp = np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 40, height)[:, None, None]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for t in range(length):
            image = np.broadcast_to((ramp + 3 * t + 10 * seed) % 256, (height, width, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode())
    return decoded(path)


def decoded(path: Path) -> np.ndarray:
    """What PyAV makes of a film; the encoder does not give the same file every time."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def lerobot_rows(k: int, length: int) -> dict[str, np.ndarray]:
    """Columns of episode `k`."""
    rng = np.random.default_rng(100 + k)
    return {
        "observation.images.top": pixels(200 + k, length),
        "observation.state": rng.normal(size=(length, 3)).astype(np.float32),
        "action": rng.uniform(-1, 1, (length, 2)).astype(np.float32),
        "next.reward": rng.normal(size=length).astype(np.float32),
        "next.done": np.arange(length) == length - 1,
        "next.success": (np.arange(length) == length - 1) & (k % 2 == 0),
        "phase": rng.integers(0, 5, length),
    }


def make_lerobot_v2(root: Path, lengths: Sequence[int] = (5, 7, 4), *, film: bool = False, in_table: bool = True) -> Path:
    """A v2.1 dataset with pictures in the table or beside it, and, if asked for, a film of a second camera."""
    features: dict[str, Any] = {
        "observation.images.top": {"dtype": "image", "shape": [12, 16, 3], "names": ["height", "width", "channels"]},
        "observation.state": {"dtype": "float32", "shape": [3], "names": {"motors": ["x", "y", "z"]}},
        "action": {"dtype": "float32", "shape": [2], "names": ["dx", "dy"]},
        "next.reward": {"dtype": "float32", "shape": [1], "names": None},
        "next.done": {"dtype": "bool", "shape": [1], "names": None},
        "next.success": {"dtype": "bool", "shape": [1], "names": None},
        "phase": {"dtype": "int64", "shape": [1], "names": None},
        "note": {"dtype": "string", "shape": [1], "names": None},
    }
    if film:
        features["observation.images.wrist"] = {
            "dtype": "video",
            "shape": [3, 32, 48],
            "names": ["channels", "height", "width"],
        }
    bookkeeping = dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64")
    for name, dtype in ({"timestamp": "float32"} | bookkeeping).items():
        features[name] = {"dtype": dtype, "shape": [1], "names": None}
    info = {
        "codebase_version": "v2.1",
        "robot_type": "so100",
        "total_episodes": len(lengths),
        "total_frames": sum(lengths),
        "total_tasks": len(TASKS),
        "total_chunks": 1,
        "chunks_size": 1000,
        "fps": 10,
        "splits": {"train": f"0:{len(lengths)}"},
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": features,
    }
    (root / "meta").mkdir(parents=True)
    (root / "meta/info.json").write_text(json.dumps(info))
    lines(root / "meta/tasks.jsonl", [{"task_index": i, "task": task} for i, task in enumerate(TASKS)])
    lines(
        root / "meta/episodes.jsonl",
        [{"episode_index": k, "tasks": [TASKS[k % 2]], "length": n} for k, n in enumerate(lengths)],
    )
    stats, first = [], 0
    for k, length in enumerate(lengths):
        columns = lerobot_rows(k, length)
        action = columns["action"]
        stats.append({"episode_index": k, "stats": {"action": {"min": action.min(0).tolist(), "max": action.max(0).tolist()}}})
        cells = []
        for t, image in enumerate(columns.pop("observation.images.top")):
            relative = f"images/observation.images.top/episode_{k:06d}/frame_{t:06d}.png"
            if not in_table:
                (root / relative).parent.mkdir(parents=True, exist_ok=True)
                (root / relative).write_bytes(png(image))
            cells.append({"bytes": png(image) if in_table else None, "path": relative})
        picture = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        table: dict[str, Any] = {"observation.images.top": pa.array(cells, picture)}
        table |= {name: pa.array(values.tolist()) if values.ndim > 1 else pa.array(values) for name, values in columns.items()}
        for name in ("observation.state", "action"):
            table[name] = table[name].cast(pa.list_(pa.float32()))
        table |= {"note": pa.array(["x"] * length), "timestamp": pa.array(np.arange(length, dtype=np.float32) / 10)}
        table |= {"frame_index": pa.array(np.arange(length)), "episode_index": pa.array(np.full(length, k))}
        table |= {"index": pa.array(first + np.arange(length)), "task_index": pa.array(np.full(length, k % 2))}
        path = root / f"data/chunk-000/episode_{k:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), path)
        if film:
            write_film(root / f"videos/chunk-000/observation.images.wrist/episode_{k:06d}.mp4", length, seed=k)
        first += length
    lines(root / "meta/episodes_stats.jsonl", stats)
    return root


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def demo_arrays(k: int, length: int) -> dict[str, np.ndarray]:
    """Arrays of demonstration `k`."""
    rng = np.random.default_rng(300 + k)
    return {
        "obs/eye_image": pixels(400 + k, length),
        "obs/eef_pos": rng.normal(size=(length, 3)),
        "obs/object": rng.normal(size=(length, 4)),
        "next_obs/eye_image": pixels(500 + k, length),
        "next_obs/eef_pos": rng.normal(size=(length, 3)),
        "next_obs/object": rng.normal(size=(length, 4)),
        "actions": rng.uniform(-1, 1, (length, 2)),
        "rewards": rng.normal(size=length),
        "dones": np.arange(length) == length - 1,
        "states": rng.normal(size=(length, 6)),
    }


def make_robomimic(path: Path, lengths: Sequence[int] = (4, 6), *, next_obs: bool = False) -> Path:
    args = {"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": 20, "robots": ["Panda"]}}
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps(args)
        for k, length in reversed(list(enumerate(lengths))):  # the order in the file is not the order of the numbers
            demo = data.create_group(f"demo_{k * 9}")
            demo.attrs["ep_meta"] = json.dumps({"lang": TASKS[k % 2]})
            for name, values in demo_arrays(k, length).items():
                if next_obs or not name.startswith("next_obs/"):
                    demo[name] = values
        file["mask/train"] = np.array([b"demo_0"])
    return path


def make_d4rl(path: Path, *, next_obs: bool = False) -> Path:
    """Three episodes of 4 (terminal), 3 (timeout) and 2 (the file ends) steps, and one of a single step."""
    rng = np.random.default_rng(0)
    n = 10
    with h5py.File(path, "w") as file:
        file["observations"] = rng.normal(size=(n, 3)).astype(np.float32)
        file["actions"] = rng.uniform(-1, 1, (n, 2)).astype(np.float32)
        file["rewards"] = rng.normal(size=n).astype(np.float32)
        file["terminals"] = np.isin(np.arange(n), [3, 4])
        file["timeouts"] = np.isin(np.arange(n), [7])
        file["infos/qpos"] = rng.normal(size=(n, 2))
        file["metadata/algorithm"] = np.bytes_("sac")
        if next_obs:
            file["next_observations"] = rng.normal(size=(n, 3)).astype(np.float32)
    return path
