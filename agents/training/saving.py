"""A trained model as a run folder, which every command opens.

save_run(Path("runs/mine"), model, recordings, config, step=1000)
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from torch import nn

from agents import strict
from agents.experiment import ExperimentConfig
from agents.training.recordings import Recordings
from worldmodel.errors import ConfigError
from worldmodel.jepa import JEPA
from worldmodel.train.checkpoint import save_model
from worldmodel.train.manifest import DataSummary, Embodiment, Manifest, new_manifest, seed_ranges


def save_run(
    run_dir: Path,
    model: JEPA,
    recordings: Recordings,
    config: ExperimentConfig,
    step: int,
    *,
    target: nn.Module | None = None,
    seen: Collection[int] = (),
) -> Manifest:
    """Write the model, without heads, with the manifest of what it has learned from; `step` updates were made.

    `target` is the slow copy of the encoder, of an objective that has one. `seen` are seeds of episodes that the model learned
    from besides these recordings: no evaluation uses those either. Raises ConfigError for a model of another world than was
    recorded.
    """
    if [body.spec for body in model.bodies] != [recordings.framing.spec(world) for world in recordings.worlds]:
        raise ConfigError("the model was built for another world than was recorded; build it from recordings.bodies()")
    first, *others = model.bodies
    manifest = new_manifest(
        recordings.world,
        model=strict.to_plain(model.config),
        heads=None,
        experiment=strict.to_plain(config),
        context_length=model.config.context_length,
        data=DataSummary(
            recordings.fingerprint, recordings.num_episodes, recordings.num_frames, seed_ranges(recordings.seeds | set(seen))
        ),
        step=step,
        framing=recordings.framing,
        normalisation=first.normalisation,
        embodiments=[
            Embodiment(world, dict(body.normalisation)) for world, body in zip(recordings.worlds[1:], others, strict=True)
        ],
    )
    manifest = save_model(run_dir, model, None, manifest, target=target)
    strict.dump(config, run_dir / "config.yaml")
    return manifest
