"""LeRobotDataset v3.0, through the project's own reader: datasets of ours, and those that others wrote."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from worldmodel.data.dataset import Dataset
from worldmodel.data.format.features import INFO, LABEL, VERSION, sensor_columns
from worldmodel.data.format.files import read_json
from worldmodel.data.importers.base import LAST_LEFT_OUT, SourceEpisode, SourceField, SourceInfo
from worldmodel.errors import DataError

KIND = "lerobot-v3"


def is_lerobot_v3(path: Path) -> bool:
    """The folder says that it is such a dataset."""
    return (path / INFO).is_file() and read_json(path / INFO).get("codebase_version") == VERSION


class LeRobotV3:
    """A v3.0 dataset; fields have the names of its columns. A `Source`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dataset = Dataset.open(root)
        self.columns = sensor_columns(self.dataset.spec)

    def describe(self) -> SourceInfo:
        """The dataset's world, column by column."""
        spec = self.dataset.spec
        fields: dict[str, SourceField] = {}
        for key, sensor in spec.sensors.items():
            role = "image" if sensor.kind == "image" else "vector"
            fields[self.columns[key]] = SourceField(
                role, key, sensor.shape, sensor.dtype, sensor.names, camera=sensor.camera, privileged=sensor.privileged
            )
        low, high = spec.action.low, spec.action.high
        fields["action"] = SourceField("action", "action", (spec.action.dim,), "float32", spec.action.names, low=low, high=high)
        fields["next.reward"] = SourceField("reward", "reward", (), "float32")
        for name in self.dataset.label_names:
            column = LABEL + name
            dtype = self.dataset.features[column]["dtype"]
            fields[column] = SourceField("label", name, self.dataset.shape_of(column), dtype)
        taken = {*fields, "action_is_pad", "next.done", "next.success", "timestamp"}
        taken |= {"frame_index", "episode_index", "index", "task_index"}
        return SourceInfo(
            name=self.root.name,
            fields=fields,
            num_episodes=self.dataset.num_episodes,
            identity={"kind": KIND, "fingerprint": self.dataset.fingerprint},
            fps=self.dataset.fps,
            env_id=spec.env_id,
            env_kwargs=spec.env_kwargs,
            robot=spec.robot,
            control_mode=spec.control_mode,
            renderer=spec.renderer,
            action=spec.action,
            notes=() if self.dataset.layout.ours else (LAST_LEFT_OUT,),
            left_out=tuple(name for name in self.dataset.features if name not in taken),
        )

    def read(self, k: int, fields: Collection[str]) -> SourceEpisode:
        """Episode `k`, of which only these columns are read."""
        try:
            values = self.dataset.read_columns(k, sorted(fields))
        except DataError as error:
            raise DataError(f"{self.root.name}: episode {k}: {error}") from error
        row = self.dataset.episodes[k]
        return SourceEpisode(
            values={name: values[name][:-1] if name in ("action", "next.reward") else values[name] for name in fields},
            num_steps=row.length - 1,
            terminated=row.terminated,
            truncated=row.truncated,
            success=row.success,
            seed=row.seed,
            instruction=row.instruction,
            variation=row.variation,
        )

    def clips(self, k: int, fields: Collection[str]) -> dict[str, bytes]:
        """Films of a dataset of ours; those of others may be cut in another way."""
        return self.dataset.clips(k, fields)
