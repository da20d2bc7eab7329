"""What a trained model is worth before it acts, on validation episodes: for the report, and for whoever tunes it."""

from __future__ import annotations

import dataclasses
import logging
import math
from pathlib import Path

import torch

from agents.experiment import ExperimentConfig
from agents.report import imagine_strips, save_diagnostics, save_strips, strip_sheet
from agents.report.draw import png_bytes
from agents.training.health import HealthReport, health_of
from agents.training.recordings import AnyWindows, Recordings, open_recordings
from agents.training.runs import Run, load_run
from agents.training.sources import Sources
from agents.training.stages import IMAGINED, require_same_data, told
from worldmodel.diagnostics import probe
from worldmodel.errors import CheckpointError, ConfigError, DataError
from worldmodel.heads import fit_heads
from worldmodel.progress import NoProgress, Progress
from worldmodel.train.device import resolve_device
from worldmodel.train.files import write_atomic
from worldmodel.train.logging import read_metrics

HORIZON = 4
"""Sweeps ahead that objects are found and pictures imagined, where the episodes are long enough."""
NUM_STRIPS = 6
"""Imagined episodes that are kept for the report."""
NUM_PROBED = 1000
"""Labelled frames that the probe is scored on, at most."""

logger = logging.getLogger(__name__)


def measure(config: ExperimentConfig, data: Sources, run_dir: Path, progress: Progress | None = None) -> dict[str, float]:
    """Write RUN/diagnostics.json and the strips of imagination beside reality; what the progress head finds of objects.

    All numbers are logged too, as measure/NAME, and the first strip as a picture.
    A run of recordings without labels has no heads: nothing is found of objects then, and there are no strips.
    Raises CheckpointError while the heads are not fitted, ConfigError when no episode was kept for validation.
    """
    progress = progress or NoProgress()
    progress.update(0, 3, measuring="objects")
    run = load_run(run_dir, resolve_device(config.train.device))
    if run.heads is None and run.recorded is None:
        raise CheckpointError(f"{run_dir} has no heads yet; finish its training first")
    recordings = open_recordings(data, config, progress)
    require_same_data(run, recordings, run_dir)
    windows, horizon = longest_windows(recordings, HORIZON)
    generator = torch.Generator().manual_seed(config.train.seed)

    # what the head reads off seen and imagined latents
    num_frames = min(NUM_PROBED, windows.num_windows)
    found: dict[str, float] = {}
    if run.heads is not None:
        found = probe(run.model, run.heads.progress, windows, generator, num_frames, max_steps=min(2, horizon))
    progress.update(1, 3, measuring="drift")

    # whether the latent, the predictor and the planner's costs are sound, and how fast imagination drifts
    health = health_of(run, recordings, generator, windows)
    progress.update(2, 3, measuring="pictures")

    if config.heads.picture_steps > 0:  # a decoder that nobody has fitted draws noise
        draw_strips(run, recordings, run_dir, horizon)
    measures: dict[str, float | str] = {"parameters": run.model.num_parameters, **health.measures}
    lines = list(health.alarms)
    for number, world in enumerate(recordings.worlds[1:], start=1):
        try:
            others, alarming = measures_of(run, recordings, number, generator)
        except DataError as error:
            logger.warning("%s: embodiment %d (%s) is not measured: %s", run_dir, number, world.robot, error)
            continue
        measures |= {f"embodiment_{number}_{name}": value for name, value in others.items()}
        lines += [f"embodiment {number} ({world.robot}): {line}" for line in alarming]
    for line in lines:
        logger.warning("%s: %s", run_dir, line)
    if config.measure.num_probe_frames > 0 and run.heads is not None:
        measures |= probe_of_many(run, config, recordings, windows, horizon, num_frames, progress)
    save_diagnostics(
        run_dir,
        horizon=health.horizon,
        num_windows=health.num_windows,
        probe=found,
        num_frames=num_frames,
        measures=measures,
        surprise=health.surprise,
        alarms=lines,
    )
    tell(run, config, numbers_of(health, found, measures) | {"alarms": float(len(lines))})
    progress.update(3, 3)
    return found


def measures_of(
    run: Run, recordings: Recordings, embodiment: int, generator: torch.Generator
) -> tuple[dict[str, float | str], list[str]]:
    """The numbers of a further embodiment, and what is alarming of it. DataError where it has no validation windows."""
    windows, horizon = longest_windows(recordings, HORIZON, embodiment)
    found: dict[str, float] = {}
    if run.heads is not None:
        num_frames = min(NUM_PROBED, windows.num_windows)
        found = probe(run.model, run.heads.progress, windows, generator, num_frames, max_steps=min(2, horizon))
    errors = {name: value for name, value in found.items() if name.startswith("position_cm") and not math.isnan(value)}
    health = health_of(run, recordings, generator, windows, embodiment)
    return {**health.measures, **errors}, health.alarms


def numbers_of(health: HealthReport, found: dict[str, float], measures: dict[str, float | str]) -> dict[str, float]:
    """Everything that was measured as one number each: errors and the scale of surprise by the actions ahead, and the rest."""
    ahead = {f"horizon_{name}": values for name, values in dataclasses.asdict(health.horizon).items()}
    if health.surprise is not None:
        ahead |= {"surprise_mean": health.surprise.mean, "surprise_std": health.surprise.std}
    numbers = {f"{name}_{h}": value for name, values in ahead.items() for h, value in enumerate(values, start=1)}
    return numbers | found | {name: float(value) for name, value in measures.items() if not isinstance(value, str)}


def tell(run: Run, config: ExperimentConfig, numbers: dict[str, float]) -> None:
    """Log finite numbers as measure/NAME and the picture of imagination; nothing where the last row of them says the same."""
    row = {f"measure/{name}": value for name, value in numbers.items() if math.isfinite(value)}
    before = [logged for logged in read_metrics(run.directory) if "measure/alarms" in logged]
    step = run.manifest.step
    if before and before[-1].items() >= ({"step": step} | row).items():
        return
    with told(run.directory, run.manifest, config.logging) as logger:
        logger.log(step, row)
        if (path := run.directory / IMAGINED).is_file():
            logger.log_file(step, "measure/imagined", path)


def draw_strips(run: Run, recordings: Recordings, run_dir: Path, horizon: int) -> None:
    """Imagination beside reality, of the first embodiment that sees what the picture head draws."""
    if run.model.encoder.image is None or run.heads is None:
        return
    number = next(n for n, world in enumerate(recordings.worlds) if run.model.picture in world.sensors)
    if number > 0:
        horizon = longest_windows(recordings, HORIZON, number)[1]
    run.model.embody(number)
    strips = imagine_strips(
        run.model,
        run.heads.picture.draw,
        recordings.validation_episodes(NUM_STRIPS, horizon, number),
        horizon=horizon,
        sensors=tuple(key for key in run.model.config.sensors if key in recordings.worlds[number].sensors),
        picture=run.model.picture,
        device=run.device,
    )
    save_strips(run_dir, strips, run.model.spec.action)
    write_atomic(run_dir / IMAGINED, png_bytes(strip_sheet(strips[0], run.model.spec.action)))


def probe_of_many(
    run: Run,
    config: ExperimentConfig,
    recordings: Recordings,
    windows: AnyWindows,
    horizon: int,
    num_frames: int,
    progress: Progress,
) -> dict[str, float | str]:
    """What a probe finds that is fitted on many more labels than the agent's head may have: what the latent holds.

    It has the head's form and is fitted on training episodes; `windows` are of validation episodes.
    """
    length = config.heads.max_steps_ahead + 1
    train = recordings.windows(length)
    many = dataclasses.replace(
        config.heads, num_labelled_frames=config.measure.num_probe_frames, num_unlabelled_frames=0, picture_steps=0
    )
    generator = torch.Generator().manual_seed(config.train.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        fitted = fit_heads(run.model, train, many, generator, progress)
    found = probe(run.model, fitted.progress, windows, generator, num_frames, max_steps=min(2, horizon))
    # where no object is left on the table so far ahead, there is no error to tell
    known = {name: value for name, value in found.items() if not math.isnan(value)}
    named = {f"probe_{name}": value for name, value in known.items() if name.startswith("position_cm")}
    return {"probe_labelled_frames": fitted.num_labelled_frames, **named}


def longest_windows(recordings: Recordings, horizon: int, embodiment: int = 0) -> tuple[AnyWindows, int]:
    """Labelled validation windows of `horizon` actions, or of the most that the episodes have, and how many that are."""
    if recordings.config.val_fraction <= 0:
        raise ConfigError("data.val_fraction is 0: a model is measured on episodes that it was not trained on; raise it")
    for actions in range(horizon, 1, -1):
        try:
            return recordings.windows(actions + 1, "val", stride=1, embodiment=embodiment), actions
        except DataError:
            continue  # the episodes are shorter
    return recordings.windows(2, "val", stride=1, embodiment=embodiment), 1
