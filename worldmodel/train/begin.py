"""Training on from another run: its weights, wherever this model has the same ones.

    pretrain on films (masked prediction) -> train.init_from: that run -> learn what actions do, the encoder frozen or not

What the encoder shares with the other one is taken over: weights of the same name and shape, and, since places come first in
a latent, the normalisation of those that both have. The predictor comes along when all of it fits. In a model of several
embodiments each begins with what the other run, of one, has; or, of the same ones in the same order, with its own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from typing import Literal

import torch
from torch import Tensor

from worldmodel.errors import CheckpointError
from worldmodel.jepa import JEPA
from worldmodel.normalisation import MeanStd
from worldmodel.train.checkpoint import Checkpoint
from worldmodel.train.manifest import Manifest

logger = logging.getLogger(__name__)

ENCODER, PREDICTOR, NORM = "encoder.", "predictor.", "encoder.norm."


def begin_from(model: JEPA, checkpoint: Checkpoint, which: Literal["online", "target"] = "online") -> None:
    """Put the weights of a run into `model`: the encoder that was trained there, or the EMA target that followed it.

    CheckpointError when the run had no target, when it is of several embodiments that are not the model's, when it shares
    nothing with the model, when pictures are seen by another encoder, or when a frozen encoder would keep weights that nobody
    has trained.
    """
    run_dir, theirs, own = checkpoint.source, checkpoint.model, model.state_dict()
    _require_same_bodies(model, checkpoint.manifest, str(run_dir))
    if which == "target":
        if checkpoint.target is None:
            raise CheckpointError(f"{run_dir} has no EMA target; leave train.init_encoder at online")
        theirs = theirs | {f"{ENCODER}{name}": value for name, value in checkpoint.target.items()}
    source = {name: name if name in theirs else re.sub(r"\.bodies\.\d+", "", name) for name in own}
    found = {name: _fitted(name, theirs[source[name]], value) for name, value in own.items() if source[name] in theirs}
    taken = {name: value for name, value in found.items() if value is not None}
    normalised = checkpoint.manifest.model.get("encoder", {}).get("norm", "place")
    if normalised != model.config.encoder.norm:  # another one's numbers, though some would fit
        taken = {name: value for name, value in taken.items() if not name.startswith(NORM)}
    predictor = [name for name in own if name.startswith(PREDICTOR)]
    whole = all(name in taken for name in predictor)
    if not whole:
        taken = {name: value for name, value in taken.items() if not name.startswith(PREDICTOR)}
    new = [name for name in own if name.startswith(ENCODER) and name not in taken]
    misfits = [
        name for name in new if name in theirs and not name.startswith(NORM)
    ]  # another robot's vectors are no misfit: they have a tokenizer anew
    if misfits or not any(name.startswith(ENCODER) and not name.startswith(NORM) for name in taken):
        shapes = [f"{n}: {tuple(own[n].shape)} expected, {tuple(theirs[n].shape)} got" for n in misfits[:3]]
        raise CheckpointError(
            f"{run_dir} has another encoder ({'; '.join(shapes) or 'no weights in common'}); use the same model.encoder"
        )
    if new and model.config.encoder.frozen:
        raise CheckpointError(
            f"model.encoder.frozen is true, and {run_dir} has no weights for {', '.join(new[:3])}; use the same sensors, or "
            "leave the encoder free"
        )
    model.load_state_dict(own | taken)
    kept = "encoder and predictor" if whole else "encoder"
    logger.info("beginning with the %s of %s (%d of %d tensors)", kept, run_dir, len(taken), len(own))


def scaled_as(parent: Manifest, normalisation: Mapping[str, MeanStd], embodiment: int = 0) -> dict[str, MeanStd]:
    """The normalisation with the other run's in place of those that it has: its weights were trained on vectors scaled so.

    That of the same embodiment, where the other run is of several.
    """
    known = parent.normalisation
    if 0 < embodiment <= len(parent.embodiments):
        known = parent.embodiments[embodiment - 1].normalisation
    return {
        key: theirs if (theirs := known.get(key)) and len(theirs.mean) == len(own.mean) else own
        for key, own in normalisation.items()
    }


def seen_before(parent: Manifest, env_ids: Collection[str]) -> set[int]:
    """Seeds of these environments that the other run has seen, as any of its robots: no evaluation uses those either."""
    if not {parent.spec.env_id, *(body.spec.env_id for body in parent.embodiments)} & set(env_ids):
        return set()
    return {seed for first, last in parent.data.train_seeds for seed in range(first, last + 1)}


def _require_same_bodies(model: JEPA, parent: Manifest, run_dir: str) -> None:
    """Raise CheckpointError where a number would mean another robot: one's weights would be taken for the other's."""
    known = [parent.framing.spec(world) for world in (parent.spec, *(body.spec for body in parent.embodiments))]
    ours = [body.spec for body in model.bodies]
    if len(known) == 1:
        return
    alike = len(known) == len(ours) and all(
        one.robot == other.robot and not one.differences(other, tuple(k for k in model.config.sensors if k in one.sensors))
        for one, other in zip(known, ours, strict=True)
    )
    if not alike:
        there, here = (", ".join(f"{s.robot} ({s.control_mode})" for s in specs) for specs in (known, ours))
        raise CheckpointError(
            f"{run_dir} is of the embodiments {there}, this model of {here}; name the same datasets in that order, or begin "
            "with a run of one embodiment"
        )


def _fitted(name: str, value: Tensor, own: Tensor) -> Tensor | None:
    """The value for a weight of this model; None where it does not fit."""
    if value.shape == own.shape:
        return value
    if name.startswith(NORM) and value.ndim == own.ndim == 1:  # of (place, channel): fewer or more places
        shared = min(len(value), len(own))
        return torch.cat([value[:shared].to(own), own[shared:]])
    return None
