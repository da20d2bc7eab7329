"""A LeRobotDataset v3.0 dataset built by hand to the public schema, with pyarrow, Pillow and PyAV alone.

Source of the schema: huggingface/lerobot, src/lerobot/datasets (lerobot_dataset.py, video_utils.py, compute_stats.py).
Five episodes in two data files of two chunks, two tasks, two cameras as video and one as images, a row for each frame.
"""

from __future__ import annotations

import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

FPS = 10
LENGTHS = (5, 3, 7, 2, 4)
TASKS = ("put the cup down", "öffne die Tür")
DATA_FILES = ((0, 0), (0, 0), (0, 1), (1, 0), (1, 0))
"""(chunk, file) of each episode's rows."""
VIDEO_FILES = ((0, 0), (0, 0), (0, 0), (0, 1), (0, 1))
"""(chunk, file) of each episode's frames."""
HEIGHT, WIDTH = 48, 64
VIDEOS = ("observation.images.front", "observation.images.side")
WRIST = "observation.images.wrist"

FEATURES: dict[str, dict[str, Any]] = {
    **{
        name: {
            "dtype": "video",
            "shape": [HEIGHT, WIDTH, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": HEIGHT,
                "video.width": WIDTH,
                "video.codec": "h264",
                "video.pix_fmt": "yuv420p",
                "video.is_depth_map": False,
                "video.fps": FPS,
                "video.channels": 3,
                "has_audio": False,
            },
        }
        for name in VIDEOS
    },
    WRIST: {"dtype": "image", "shape": [3, 6, 8], "names": ["channels", "height", "width"]},
    "observation.state": {"dtype": "float32", "shape": [3], "names": {"motors": ["shoulder", "elbow", "gripper"]}},
    "observation.environment_state": {"dtype": "float32", "shape": [2], "names": None},
    "observation.force": {"dtype": "float64", "shape": [1], "names": None},
    "observation.touch": {"dtype": "uint8", "shape": [2, 3], "names": None},
    "observation.note": {"dtype": "string", "shape": [1], "names": None},
    "action": {"dtype": "float32", "shape": [2], "names": ["dx", "dy"]},
    "next.reward": {"dtype": "float32", "shape": [1], "names": None},
    "next.done": {"dtype": "bool", "shape": [1], "names": None},
    "next.success": {"dtype": "bool", "shape": [1], "names": None},
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    "frame_index": {"dtype": "int64", "shape": [1], "names": None},
    "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    "index": {"dtype": "int64", "shape": [1], "names": None},
    "task_index": {"dtype": "int64", "shape": [1], "names": None},
}


def values_of(k: int) -> dict[str, np.ndarray]:
    """Column -> (T, ...) of episode `k`, every one of which can be told from every other."""
    rng, length = np.random.default_rng(k), LENGTHS[k]
    return {
        WRIST: rng.integers(0, 256, (length, 6, 8, 3), dtype=np.uint8),
        "observation.state": rng.normal(size=(length, 3)).astype(np.float32),
        "observation.environment_state": rng.normal(size=(length, 2)).astype(np.float32),
        "observation.force": rng.normal(size=length).astype(np.float32).astype(np.float64),
        "observation.touch": rng.integers(0, 256, (length, 2, 3), dtype=np.uint8),
        "observation.note": np.array(["-"] * length),
        "action": rng.uniform(-2, 2, (length, 2)).astype(np.float32),
        "next.reward": rng.normal(size=length).astype(np.float32),
        "next.done": np.arange(length) == length - 1,
        "next.success": (np.arange(length) == length - 1) & (k == 2),
        "timestamp": (np.arange(length) / FPS).astype(np.float32),
        "frame_index": np.arange(length),
        "episode_index": np.full(length, k),
        "index": sum(LENGTHS[:k]) + np.arange(length),
        "task_index": np.full(length, k % 2),
    }


def picture(camera: str, k: int, t: int) -> np.ndarray:
    """A smooth picture that tells camera, episode and frame, (HEIGHT, WIDTH, 3) uint8."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    level = 20 + 40 * k + 9 * t
    return np.stack([x * 3, y * 4, np.full_like(x, level if camera == VIDEOS[0] else 255 - level)], -1).astype(np.uint8)


def encode(path: Path, pictures: list[np.ndarray], options: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS), options=options)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for image in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def decode(path: Path) -> list[np.ndarray]:
    with av.open(str(path), "r") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _column(values: np.ndarray, name: str) -> pa.Array:
    if name == WRIST:
        rows = []
        for image in values:
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "PNG")
            rows.append({"bytes": buffer.getvalue(), "path": None})
        return pa.array(rows, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    return pa.array(values.tolist(), pa.array(values[0:1].tolist()).type) if values.ndim < 2 else _lists(values)


def _lists(values: np.ndarray) -> pa.Array:
    kind: pa.DataType = pa.from_numpy_dtype(values.dtype)
    for _ in values.shape[1:]:
        kind = pa.list_(kind)
    return pa.array(values.tolist(), kind)


def _stats(values: np.ndarray) -> dict[str, Any]:
    axes, values = (0, values) if values.ndim > 1 else (0, values[:, None])
    return {
        "min": values.min(axis=axes).tolist(),
        "max": values.max(axis=axes).tolist(),
        "mean": values.mean(axis=axes).tolist(),
        "std": values.astype(np.float64).std(axis=axes).tolist(),
        "count": [len(values)],
        "q01": np.quantile(values.astype(np.float64), 0.01, axis=axes).tolist(),
    }


def build(root: Path, *, without: tuple[str, ...] = (), features: dict[str, Any] | None = None) -> Path:
    """Write the dataset, leaving out some columns or replacing features."""
    described = {name: feature for name, feature in {**FEATURES, **(features or {})}.items() if name not in without}
    episodes = [{name: v for name, v in values_of(k).items() if name not in without} for k in range(len(LENGTHS))]
    types = {"observation.force": pa.float64(), "timestamp": pa.float32(), "next.reward": pa.float32()}
    for place in sorted(set(DATA_FILES)):
        chosen = [episodes[k] for k in range(len(LENGTHS)) if DATA_FILES[k] == place]
        columns = {}
        for name in episodes[0]:
            column = pa.chunked_array([_column(values[name], name) for values in chosen])
            columns[name] = column.cast(types[name]) if name in types else column
        path = root / "data/chunk-{:03d}/file-{:03d}.parquet".format(*place)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)  # one row group for several episodes

    places: dict[str, list[dict[str, Any]]] = {name: [] for name in VIDEOS}
    for name in VIDEOS:
        if name in without:
            continue
        for place in sorted(set(VIDEO_FILES)):
            shown: list[np.ndarray] = []
            for k in range(len(LENGTHS)):
                if VIDEO_FILES[k] == place:
                    start = len(shown) / FPS
                    shown += [picture(name, k, t) for t in range(LENGTHS[k])]
                    numbers = {"chunk_index": place[0], "file_index": place[1]}
                    places[name].append({**numbers, "from_timestamp": start, "to_timestamp": len(shown) / FPS})
            path = root / "videos" / name / "chunk-{:03d}/file-{:03d}.mp4".format(*place)
            encode(path, shown, {"g": "6", "bf": "2", "crf": "20"})

    rows: list[dict[str, Any]] = []
    for k, values in enumerate(episodes):
        row: dict[str, Any] = {
            "episode_index": k,
            "tasks": [TASKS[k % 2]],
            "length": LENGTHS[k],
            "data/chunk_index": DATA_FILES[k][0],
            "data/file_index": DATA_FILES[k][1],
            "dataset_from_index": sum(LENGTHS[:k]),
            "dataset_to_index": sum(LENGTHS[: k + 1]),
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": k // 3,
        }
        for name in VIDEOS:
            if name not in without:
                row |= {f"videos/{name}/{key}": value for key, value in places[name][k].items()}
        for name, column in values.items():
            if name not in (WRIST, "observation.note"):
                row |= {f"stats/{name}/{key}": value for key, value in _stats(column).items()}
        rows.append(row)
    for number, part in enumerate((rows[:3], rows[3:])):
        path = root / f"meta/episodes/chunk-000/file-{number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(part), path)

    # pandas.DataFrame({"task_index": ...}, index=TASKS).to_parquet(): an index without a name
    described_index = {"index_columns": ["__index_level_0__"], "columns": [], "column_indexes": [], "pandas_version": "2.2.0"}
    tasks = pa.table({"task_index": list(range(len(TASKS))), "__index_level_0__": list(TASKS)})
    pq.write_table(tasks.replace_schema_metadata({"pandas": json.dumps(described_index)}), root / "meta/tasks.parquet")
    together = {n: np.concatenate([values[n] for values in episodes]) for n in episodes[0]}
    stats = {name: _stats(v) for name, v in together.items() if name not in (WRIST, "observation.note")}
    (root / "meta/stats.json").write_text(json.dumps(stats))
    info = {
        "codebase_version": "v3.0",
        "robot_type": "so100",
        "total_episodes": len(LENGTHS),
        "total_frames": sum(LENGTHS),
        "total_tasks": len(TASKS),
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 500,
        "fps": FPS,
        "splits": {"train": f"0:{len(LENGTHS)}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": described,
    }
    (root / "meta/info.json").write_text(json.dumps(info))
    return root
