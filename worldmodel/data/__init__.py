"""Episodes on disk and on their way to training, in the order in which they travel:

    writer.py     episodes -> closed shards, by any number of writers at once
    assemble.py   shards -> one dataset in the LeRobotDataset v3.0 layout, with its card (card.py)
    dataset.py    a dataset opened, read and verified, or some episodes of one
    cache.py      its frames as memory-mapped arrays
    index.py      which windows of frames there are, split into train and val
    windows.py    batches of them from those arrays
    stream.py     the same from the shards, for data larger than a cache may be
    sampler.py    which windows make the next batch
    mixture.py    several datasets as one source, drawn by weight
    batches.py    batch after batch, for training

features.py is the table's schema, frames.py turns episodes into rows and back, video.py turns large pictures into clips and
video_reader.py turns them back, statistics.py summarises features and files.py is what keeps a crash harmless. foreign.py reads
datasets that other programs wrote, and remote.py fetches those that lie elsewhere.
"""

from __future__ import annotations

from worldmodel.data.assemble import finalize
from worldmodel.data.batches import Batches, BatchSource
from worldmodel.data.cache import FrameCache
from worldmodel.data.dataset import Dataset
from worldmodel.data.episodes_table import EpisodeRow
from worldmodel.data.index import WindowIndex, in_validation
from worldmodel.data.mixture import JoinedWindows, MixtureSampler
from worldmodel.data.sampler import ShuffledSampler
from worldmodel.data.shards import recorded_episodes
from worldmodel.data.stream import StreamedWindows
from worldmodel.data.video import VideoConfig
from worldmodel.data.windows import Windows
from worldmodel.data.world import require_free
from worldmodel.data.writer import DatasetWriter

__all__ = [
    "BatchSource",
    "Batches",
    "Dataset",
    "DatasetWriter",
    "EpisodeRow",
    "FrameCache",
    "JoinedWindows",
    "MixtureSampler",
    "ShuffledSampler",
    "StreamedWindows",
    "VideoConfig",
    "WindowIndex",
    "Windows",
    "finalize",
    "in_validation",
    "recorded_episodes",
    "require_free",
]
