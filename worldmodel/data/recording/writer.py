"""Episodes into closed shards: what `add` has reported as written survives a kill at any moment.

While a dataset is being recorded, DATASET/recording/ holds a few files a shard: its frames (one row group an episode), its
video clips if it has any (likewise), and its episode rows, which are published last; what has no rows does not exist for any
reader. Each writer makes its own
shards, so writers never wait for each other. `finalize` (assemble.py) turns the shards into the dataset.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from worldmodel.data.format import statistics
from worldmodel.data.format.features import Feature, features_of, require_name, sensor_columns
from worldmodel.data.format.files import one_line, publish
from worldmodel.data.format.frames import check_episode, columns_of, digest, stats_of, to_table, variation_json
from worldmodel.data.format.locks import lock
from worldmodel.data.format.video import ClipEncoder, VideoConfig
from worldmodel.data.format.world import LOCK, agree, require_free
from worldmodel.data.recording.shards import CLIPS, FEATURES_KEY, FRAMES, RECORDING, ROWS, recorded_episodes, write_row_groups
from worldmodel.errors import ConfigError, DataError
from worldmodel.types import Episode, WorldSpec

logger = logging.getLogger(__name__)


class DatasetWriter:
    """Writes episodes of one world into one dataset; a context manager. Any number may write at once.

    Args:
        root: folder of the dataset; made when absent, appended to when it is one.
        spec: the world; a dataset holds episodes of exactly one.
        fps: frames per second; for macro-actions, one over the nominal duration of an action.
        writer_id: names the shards of this writer; two writers at once must differ.
        episodes_per_shard: episodes that are published together; a kill loses at most those that came after the last
            publication, and they were never reported as written.
        video: how large images are encoded; None is the default of VideoConfig.

    Raises:
        DataError: the folder holds something else, or another world; or it is being finalized.
    """

    def __init__(
        self,
        root: Path,
        spec: WorldSpec,
        *,
        fps: float,
        writer_id: str = "0",
        episodes_per_shard: int = 64,
        video: VideoConfig | None = None,
    ):
        if episodes_per_shard < 1:
            raise ConfigError(f"episodes_per_shard is {episodes_per_shard}; expected 1 or more")
        if not 0 < fps < float("inf"):
            raise ConfigError(f"fps is {fps}; expected a positive number of frames per second")
        require_name("writer", writer_id)
        sensor_columns(spec)
        self.root = Path(root)
        self.spec = spec
        self.fps = fps
        self.writer_id = writer_id
        self.episodes_per_shard = episodes_per_shard
        self._encoder = ClipEncoder(spec, fps, video or VideoConfig())
        self._features: dict[str, Feature] | None = None
        self._tables: list[pa.Table] = []
        self._clips: list[dict[str, bytes]] = []
        self._rows: list[dict[str, Any]] = []
        self._row_fields: list[pa.Field] = []
        self._written: set[int] = set()
        require_free(self.root)
        self._exit = contextlib.ExitStack()
        busy = f"{self.root} is being finalized by another process; record again when it has finished"
        self._exit.enter_context(lock(self.root / LOCK, exclusive=False, wait=10.0, busy=busy))
        try:
            agree(self.root, spec, fps)
            self._taken = recorded_episodes(self.root)
        except BaseException:
            self._exit.close()
            raise

    @property
    def written(self) -> frozenset[int]:
        """Indices of the episodes that this writer has made durable: no kill loses them."""
        return frozenset(self._written)

    def add(self, episode: Episode, *, episode_index: int | None = None, clips: Mapping[str, bytes] | None = None) -> None:
        """Take a complete episode; each full shard is published at once.

        Pictures that are stored as video are kept as they decode after having been encoded: statistics and digest are those
        of what will read back.

        Args:
            episode: what happened.
            episode_index: its place in the dataset, from 0. A job shared by several writers hands these out, so that
                episode k is the same whoever records it. None takes the next free one, which is right for a lone writer.
            clips: video column -> mp4, from `Dataset.clips` of a dataset of ours that the episode was read from: they are
                copied, so that nothing is lost a second time. Columns that are not in it are encoded.

        Raises:
            DataError: the episode does not fit the spec, holds NaN, or its index is taken; or the disk is full.
        """
        check_episode(episode, self.spec)
        index = max(self._taken, default=-1) + 1 if episode_index is None else int(episode_index)
        if index < 0:
            raise DataError(f"episode index {index} is negative; expected 0 or more")
        if index in self._taken:
            raise DataError(f"episode {index} is recorded already in {self.root}; see recorded_episodes")
        features = features_of(self.spec, episode.labels)
        if self._features is None:
            self._features = features
        elif features != self._features:
            differing = sorted(n for n in features.keys() | self._features.keys() if features.get(n) != self._features.get(n))
            raise DataError(f"episode {index} has other labels than the ones before it: {', '.join(differing)}")
        episode, encoded = self._encoder.encode(episode, clips or {})
        columns = columns_of(episode, self.spec)
        stats = stats_of(columns, features)
        self._row_fields = _ROW_FIELDS + statistics.fields_of(stats)
        self._rows.append(_row(episode, index, self.spec) | statistics.as_row(stats))
        self._clips.append(encoded)
        self._tables.append(to_table(columns, features, index, self.fps))
        self._taken.add(index)
        if len(self._tables) >= self.episodes_per_shard:
            self.flush()

    def flush(self) -> None:
        """Publish what has been added so far: the frames and the clips, then the episode rows."""
        if not self._tables:
            return
        folder = self.root / RECORDING
        rows = pa.Table.from_pylist(self._rows, pa.schema(self._row_fields, {FEATURES_KEY: json.dumps(self._features)}))
        # a random part in the name: no writer, not even another of the same id, ever writes over a shard
        stem = f"{self.writer_id}-{min(self._pending):06d}-{secrets.token_hex(4)}"
        publish(folder / (stem + FRAMES), lambda path: write_row_groups(path, self._tables))
        if self._encoder.columns:
            publish(
                folder / (stem + CLIPS), lambda path: write_row_groups(path, [_clips_table(clips) for clips in self._clips])
            )
        publish(folder / (stem + ROWS), lambda path: pq.write_table(rows, path))
        self._written.update(self._pending)
        self._rows, self._tables, self._clips = [], [], []

    def close(self) -> None:
        """Publish the rest. Closing twice is harmless."""
        try:
            self.flush()
        finally:
            self._exit.close()

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()  # what is complete is kept, also when the recording was interrupted
        except DataError as second:
            if error is None:
                raise
            logger.warning("could not publish the last episodes: %s", one_line(second))

    @property
    def _pending(self) -> list[int]:
        return [row["episode_index"] for row in self._rows]


def _clips_table(clips: dict[str, bytes]) -> pa.Table:
    """One row: video column -> mp4."""
    return pa.table({column: pa.array([clip], pa.large_binary()) for column, clip in clips.items()})


_ROW_FIELDS = [
    pa.field("episode_index", pa.int64()),
    pa.field("tasks", pa.list_(pa.string())),
    pa.field("length", pa.int64()),
    pa.field("seed", pa.int64()),
    pa.field("success", pa.bool_()),
    pa.field("terminated", pa.bool_()),
    pa.field("truncated", pa.bool_()),
    pa.field("return", pa.float64()),
    pa.field("sha256", pa.string()),
    pa.field("env_id", pa.string()),
    pa.field("robot", pa.string()),
    pa.field("renderer", pa.string()),
    pa.field("control_mode", pa.string()),
    pa.field("variation", pa.string()),
]


def _row(episode: Episode, index: int, spec: WorldSpec) -> dict[str, Any]:
    return {
        "episode_index": index,
        "tasks": [episode.instruction],
        "length": episode.num_actions + 1,
        "seed": int(episode.seed),
        "success": bool(episode.success),
        "terminated": bool(episode.terminated),
        "truncated": bool(episode.truncated),
        "return": float(episode.rewards.sum(dtype="float64")),
        "sha256": digest(episode),
        "env_id": spec.env_id,
        "robot": spec.robot,
        "renderer": spec.renderer,
        "control_mode": spec.control_mode,
        "variation": variation_json(episode),
    }
