"""Episodes on disk and on their way to training, in the order in which they travel:

    recording/    episodes -> closed shards, by any number of writers at once -> one dataset
    format/       its files: the LeRobotDataset v3.0 layout
    dataset.py    a dataset opened, read and verified, or some episodes of one (view.py), or one at a URL (remote.py)
    loading/      its frames as memory-mapped arrays or as a stream, cut into windows, shuffled into batches
    curation/     which of its episodes are good: conditions, signs of quality, views
    upkeep/       repair and merge
    importers/    other formats -> a dataset
    exporters/    a dataset -> other formats
"""

from __future__ import annotations

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.episode_row import EpisodeRow
from worldmodel.data.format.video import VideoConfig
from worldmodel.data.format.world import require_free
from worldmodel.data.loading.batches import Batches, BatchSource
from worldmodel.data.loading.cache import FrameCache
from worldmodel.data.loading.index import WindowIndex, in_validation
from worldmodel.data.loading.mixture import JoinedWindows, MixtureSampler
from worldmodel.data.loading.sampler import ShuffledSampler
from worldmodel.data.loading.stream import StreamedWindows
from worldmodel.data.loading.windows import Windows
from worldmodel.data.recording.assemble import finalize
from worldmodel.data.recording.shards import recorded_episodes
from worldmodel.data.recording.writer import DatasetWriter

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
