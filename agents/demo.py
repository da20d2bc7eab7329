"""The whole pipeline, once through: each stage is skipped when its result is there, so that any interruption is harmless.

worldmodel demo [--out runs/demo]          # make demo
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents import strict
from agents.console import Screen, format_seconds
from agents.experiment import ExperimentConfig
from agents.film import FILM_KWARGS, film_and_look_inside
from agents.inspect import MakeEnv
from agents.recording.record import missing_episodes, record
from agents.report.write import write_report
from agents.training import stages
from agents.training.folder import held, require_free
from agents.training.measure import measure
from agents.training.preflight import require_parent, require_recording
from agents.training.recorded import RECORDED
from agents.training.recordings import open_recordings
from agents.training.runs import load_run
from worldmodel.errors import ConfigError
from worldmodel.progress import Progress
from worldmodel.train.device import resolve_device
from worldmodel.train.files import dump_json, write_atomic

TIMES = "stages.json"
"""Seconds that each stage has taken, over all calls."""


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline."""

    name: str
    """What it is called."""
    title: str
    """What it does, in words."""
    done: Callable[[], bool]
    """Whether its result is there."""
    work: Callable[[Progress], object]
    """Makes the result; called again after an interruption, it goes on."""
    results: tuple[Path, ...] = ()
    """Files that it leaves; they are removed when a stage that they are made from is run again."""
    is_source: bool = True
    """Whether the results of later stages are made from its own."""
    left_out: str = ""
    """Why there is nothing to do; empty when there is."""


def run(config: ExperimentConfig, run_dir: Path, make_env: MakeEnv, screen: Screen) -> int:
    """Run every stage that is not done yet, then show the scores, the time and the paths."""
    require_free(run_dir, besides=("data",))  # recorded already, by `worldmodel record --out RUN/data`
    require_recording(config, make_env, **FILM_KWARGS)
    if not stages.trained(config, run_dir / "data", run_dir):
        require_parent(config)
    with held(run_dir):
        remember(config, run_dir)
        run_stages(pipeline(config, run_dir, make_env), run_dir, screen)
    times = _read_times(run_dir)
    screen.scores(json.loads((run_dir / stages.EVALUATION).read_text(encoding="utf-8")))
    screen.say(f"time      {format_seconds(sum(times.values()))} (" + _list_times(times) + ")")
    screen.say(f"report    {run_dir / 'report.html'}")
    screen.say(f"video     {_video(run_dir)}")
    return 0


def run_stages(pipeline: list[Stage], run_dir: Path, screen: Screen) -> None:
    """Run the stages in order; a stage whose result is there is skipped unless one that it is made from was run.

    What was made from a stage's last result is removed before the stage is run: so it is made again in this call, or in the
    next one when this one is interrupted.
    """
    for number, stage in enumerate(pipeline, start=1):
        heading = f"[{number}/{len(pipeline)}] {stage.title}"
        if stage.left_out:
            screen.heading(f"{heading}: left out, {stage.left_out}")
            continue
        if stage.done():
            screen.heading(f"{heading}: done already")
            continue
        screen.heading(heading)
        for stale in (path for later in pipeline[number:] if stage.is_source for path in later.results):
            stale.unlink(missing_ok=True)
        started = time.monotonic()
        try:
            with screen.stage(stage.name) as progress:
                stage.work(progress)
        finally:
            times = _read_times(run_dir)
            times[stage.name] = times.get(stage.name, 0.0) + time.monotonic() - started
            write_atomic(run_dir / TIMES, dump_json(times).encode())


def pipeline(config: ExperimentConfig, run_dir: Path, make_env: MakeEnv) -> list[Stage]:
    """The stages in order."""
    data, video = run_dir / "data", _video(run_dir)
    diagnostics, evaluation = run_dir / stages.DIAGNOSTICS, run_dir / stages.EVALUATION
    labelled = {"status", "position"} <= set(config.record.labels)
    strips, views = run_dir / "figures" / "strips.npz", run_dir / "figures" / "planner.npz"

    def trained() -> bool:
        return stages.trained(config, data, run_dir)

    def score(progress: Progress) -> None:
        env = make_env(config.env, **config.evaluate.env_overrides())
        try:
            stages.score(load_run(run_dir, resolve_device(config.train.device)), config, env, progress)
        finally:
            env.close()

    def film(progress: Progress) -> None:
        trained_run = load_run(run_dir, resolve_device(config.train.device))
        start = json.loads((run_dir / stages.EVALUATION).read_text(encoding="utf-8"))["protocol"]["starts"][0]
        # the world of the evaluation, so that the episode on film is one that was scored
        env = make_env(config.env, **FILM_KWARGS, **config.evaluate.env_overrides())
        try:
            film_and_look_inside(trained_run, config, env, start, video, progress)
        finally:
            env.close()

    return [
        Stage(
            "record",
            f"record {config.record.num_episodes} episodes",
            lambda: data.exists() and not missing_episodes(data, config.record),
            lambda progress: record(functools.partial(make_env, config.env), config.record, data, progress),
        ),
        Stage("cache", "unpack its pictures", trained, lambda progress: open_recordings(data, config, progress)),
        Stage(
            "train",
            f"train the world model, {config.train.num_steps} updates",
            trained,
            lambda progress: stages.fit_model(config, data, run_dir, resume=True, progress=progress),
        ),
        Stage(
            "heads",
            "fit the heads",
            lambda: stages.with_heads(config, run_dir),
            lambda progress: stages.fit_heads_of(config, data, run_dir, progress=progress),
        )
        if labelled
        else Stage(
            "goals",
            "keep frames that can be goals, as there are no labels to fit heads on",
            lambda: stages.with_goals(run_dir),
            lambda progress: stages.keep_recorded(config, data, run_dir, progress=progress),
            results=(run_dir / RECORDED,),
        ),
        Stage(
            "measure",
            "measure model and heads",
            diagnostics.exists,
            lambda progress: measure(config, data, run_dir, progress),
            results=(diagnostics, strips),
            is_source=False,
            left_out="" if config.data.val_fraction > 0 else "data.val_fraction is 0: there are no episodes to measure on",
        ),
        Stage(
            "evaluate",
            f"evaluate {', '.join(config.evaluate.players)} on {config.evaluate.num_episodes} held-out starts",
            evaluation.exists,
            score,
            results=(evaluation,),
        ),
        Stage("film", "film an episode", video.exists, film, results=(video, views)),
        Stage("report", "write the report", lambda: False, lambda progress: write_report(run_dir, progress=progress)),
    ]


def remember(config: ExperimentConfig, run_dir: Path) -> None:
    """Keep the configuration in the run folder. ConfigError when another one was begun there."""
    path = run_dir / "config.yaml"
    if not path.exists():
        strict.dump(config, path)
    elif (before := strict.load(ExperimentConfig, path)) != config:
        changed = strict.differences(before, config)
        raise ConfigError(f"{run_dir} was begun with other settings ({'; '.join(changed)}); remove it or choose another --out")


def _video(run_dir: Path) -> Path:
    return run_dir / "videos" / "episode.mp4"


def _read_times(run_dir: Path) -> dict[str, float]:
    path = run_dir / TIMES
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _list_times(times: dict[str, float]) -> str:
    return ", ".join(f"{name} {format_seconds(seconds)}" for name, seconds in times.items())
