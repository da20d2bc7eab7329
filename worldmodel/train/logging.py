"""Where the curves go: a JSONL file in the run folder, always, and Weights & Biases when asked.

    with open_logger(config, run_dir, experiment) as logger:
        logger.start(step=0)
        logger.log(20, {"train/loss": 0.5})

metrics.jsonl has one strict JSON object a line: {"step": 20, "time": seconds since 1970, "train/loss": 0.5}. A value that
is no finite number is null there.
"""

from __future__ import annotations

import json
import math
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol

from worldmodel.errors import MissingExtraError, WorldModelError
from worldmodel.train.files import write_atomic

METRICS = "metrics.jsonl"
WANDB_ID = Path("training") / "wandb_id"
"""The W&B run that this run folder belongs to, kept with the state to resume from."""


@dataclass(frozen=True)
class LoggingConfig:
    """What is told to whom besides metrics.jsonl."""

    wandb: Literal["disabled", "offline", "online"] = "disabled"
    """Weights & Biases: not even imported, written to the run folder for `wandb sync`, or sent as it goes."""
    project: str = "worldmodel"
    """W&B project."""
    name: str = ""
    """W&B display name; empty for the run folder's name."""
    group: str = ""
    """W&B group, such as the experiment that several seeds belong to; empty for none."""


class Logger(Protocol):
    """Told what was measured."""

    def start(self, step: int) -> None:
        """A run begins (0), or goes on after `step` updates: what was told of later ones is forgotten."""
        ...

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One row of metrics after `step` updates, all of it in one call."""
        ...

    def log_file(self, step: int, name: str, path: Path) -> None:
        """A picture or a film, by its encoded file."""
        ...

    def summarise(self, values: Mapping[str, Any]) -> None:
        """Numbers of the whole run, such as a success rate."""
        ...

    def publish_model(self, directory: Path, files: Sequence[str], aliases: Sequence[str] = ("latest",)) -> None:
        """The checkpoint, for whoever keeps checkpoints."""
        ...

    def close(self) -> None:
        """Everything is told."""
        ...


class JsonlLogger:
    """Appends rows to metrics.jsonl. Files and models lie in the run folder already."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / METRICS

    def start(self, step: int) -> None:
        """Drop the rows after `step`, so that a resumed run does not draw them twice."""
        kept = [line for line, row in _whole_rows(self._path) if row["step"] <= step and step > 0]
        write_atomic(self._path, "".join(kept).encode())

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append one row."""
        finite = {key: value if math.isfinite(value) else None for key, value in values.items()}
        line = json.dumps({"step": step, "time": time.time(), **finite}, allow_nan=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def log_file(self, step: int, name: str, path: Path) -> None:
        """Nothing: the file is where it belongs."""

    def summarise(self, values: Mapping[str, Any]) -> None:
        """Nothing: evaluation.json and the manifest hold the results."""

    def publish_model(self, directory: Path, files: Sequence[str], aliases: Sequence[str] = ("latest",)) -> None:
        """Nothing: the checkpoint is where it belongs."""

    def close(self) -> None:
        """Nothing is open between rows."""


class WandbLogger:
    """The same rows, with pictures, films and the checkpoint, as one W&B run under RUN/wandb."""

    def __init__(self, config: LoggingConfig, run_dir: Path, experiment: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError:
            raise MissingExtraError("logging.wandb needs the package wandb: pip install wandb, or set it to disabled") from None
        self._wandb: Any = wandb
        self._config, self._run_dir, self._experiment = config, run_dir, dict(experiment)
        self._run: Any = None

    def start(self, step: int) -> None:
        """A new W&B run, or the one that this folder's training began, or the one that a sweep's agent has given an id."""
        self.close()
        id_path = self._run_dir / WANDB_ID
        given = os.environ.get("WANDB_RUN_ID")  # by the agent of a sweep
        if given or step == 0 or not id_path.exists():
            write_atomic(id_path, (given or uuid.uuid4().hex[:12]).encode())
        try:
            self._run = self._wandb.init(
                id=id_path.read_text(encoding="utf-8"),
                resume="allow",
                mode=self._config.wandb,
                dir=str(self._run_dir),
                project=self._config.project,
                name=self._config.name or self._run_dir.resolve().name,
                group=self._config.group or None,
                config=self._experiment,
                settings=self._wandb.Settings(silent=True, console="off", save_code=False),
            )
        except self._wandb.errors.Error as error:
            why = " ".join(str(error).split())
            raise WorldModelError(f"W&B did not start: {why}; mend it, or set logging.wandb to offline or disabled") from error
        # Our own axis: W&B's internal step refuses rows of a step that a resumed run passes again.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One row of history."""
        self._run.log({"step": step, **values})

    def log_file(self, step: int, name: str, path: Path) -> None:
        """A picture or a film (mp4, gif, webm)."""
        film = path.suffix.lower() in (".mp4", ".gif", ".webm")
        kind = self._wandb.Video if film else self._wandb.Image
        self._run.log({"step": step, name: kind(str(path))})

    def summarise(self, values: Mapping[str, Any]) -> None:
        """Numbers in the run's summary."""
        self._run.summary.update(dict(values))

    def publish_model(self, directory: Path, files: Sequence[str], aliases: Sequence[str] = ("latest",)) -> None:
        """The checkpoint as an artifact of type model."""
        artifact = self._wandb.Artifact(f"model-{self._run.id}", type="model")
        for name in files:
            artifact.add_file(str(directory / name), name=name)
        self._run.log_artifact(artifact, aliases=list(aliases))

    def close(self) -> None:
        """Finish the W&B run."""
        if self._run is not None:
            self._run.finish()
            self._run = None


class Loggers:
    """Several loggers as one; leaving the `with` closes them."""

    def __init__(self, *loggers: Logger) -> None:
        self._loggers = loggers

    def __enter__(self) -> Loggers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self, step: int) -> None:
        """Start each."""
        for logger in self._loggers:
            logger.start(step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Tell each."""
        for logger in self._loggers:
            logger.log(step, values)

    def log_file(self, step: int, name: str, path: Path) -> None:
        """Show each."""
        for logger in self._loggers:
            logger.log_file(step, name, path)

    def summarise(self, values: Mapping[str, Any]) -> None:
        """Tell each."""
        for logger in self._loggers:
            logger.summarise(values)

    def publish_model(self, directory: Path, files: Sequence[str], aliases: Sequence[str] = ("latest",)) -> None:
        """Hand each the checkpoint."""
        for logger in self._loggers:
            logger.publish_model(directory, files, aliases)

    def close(self) -> None:
        """Close each."""
        for logger in self._loggers:
            logger.close()


def open_logger(config: LoggingConfig, run_dir: Path, experiment: Mapping[str, Any]) -> Loggers:
    """The loggers that `config` asks for; `experiment` is the resolved configuration that W&B shows."""
    if config.wandb == "disabled":
        return Loggers(JsonlLogger(run_dir))
    return Loggers(JsonlLogger(run_dir), WandbLogger(config, run_dir, experiment))


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """Rows of metrics.jsonl in order; an unfinished last line is left out. Empty when there is no such file."""
    return [row for _, row in _whole_rows(run_dir / METRICS)]


def best_so_far(run_dir: Path) -> bool:
    """Whether no earlier validation had a smaller loss than the last one; False where there was none."""
    losses = [row["val/loss"] for row in read_metrics(run_dir) if row.get("val/loss") is not None]
    return bool(losses) and losses[-1] == min(losses)


def aliases(run_dir: Path) -> tuple[str, ...]:
    """What the checkpoint of a finished training is called: latest, and best where no earlier validation had a smaller loss."""
    return ("latest", "best") if best_so_far(run_dir) else ("latest",)


def _whole_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Each line with its row, up to the first line that a crash left unfinished."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):  # what is no text is no JSON
        try:
            rows.append((line, json.loads(line)))
        except json.JSONDecodeError:
            break
        if not line.endswith("\n"):
            rows.pop()
    return rows
