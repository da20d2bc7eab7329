"""What a checkpoint says of itself: everything that planning must agree on with training, and where the numbers come from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from worldmodel.errors import CheckpointError
from worldmodel.framing import Framing
from worldmodel.normalisation import MeanStd
from worldmodel.train.files import sha256
from worldmodel.train.provenance import code_commit, package_versions
from worldmodel.types import WorldSpec

SCHEMA_VERSION = 4
"""Raised whenever a key of the manifest comes, goes or changes its meaning."""

SINCE_2: dict[str, Any] = {"frame_skip": 1, "action_block": 1, "image_size": None, "normalisation": {}}
"""What the keys that came with version 2 were, unsaid, in version 1."""
SINCE_3: dict[str, Any] = {"embodiments": []}
"""What came with version 3."""
DIGEST = "digest"
"""Hash of all the other keys, which came with version 4: what was changed by hand is no longer what was trained."""


@dataclass(frozen=True)
class DataSummary:
    """What the model was trained on."""

    fingerprint: str
    """The dataset's own hash of its content."""
    num_episodes: int
    """Episodes recorded, those kept for validation included."""
    num_frames: int
    """Frames recorded."""
    train_seeds: tuple[tuple[int, int], ...]
    """Environment seeds of all those episodes as (first, last) ranges: an evaluation on one of them is no evaluation."""


@dataclass(frozen=True)
class Embodiment:
    """Another robot that the model knows."""

    spec: WorldSpec
    """Sensors, actions and units of the world that was recorded."""
    normalisation: dict[str, MeanStd]
    """As the manifest's own."""


@dataclass(frozen=True)
class Manifest:
    """manifest.json of a run folder; the agent is built from it alone."""

    spec: WorldSpec
    """Sensors, actions and units of the world that was recorded."""
    model: dict[str, Any]
    """The model's configuration."""
    heads: dict[str, Any] | None
    """The heads' configuration; None when there are none."""
    experiment: dict[str, Any]
    """The whole resolved configuration that the run was started with."""
    context_length: int
    """Frames that the predictor sees when planning, as in training."""
    frame_skip: int
    """Steps of the world between two frames."""
    action_block: int
    """Actions that the model takes as one, and that an agent executes one by one before it plans again."""
    image_size: int | None
    """Height and width of pictures as the model sees them [px]; None for those that the world shows."""
    normalisation: dict[str, MeanStd]
    """Sensor or "action" -> mean and standard deviation over the training episodes (over all of them in runs from before that
    rule); what the model scales its vectors by."""
    embodiments: tuple[Embodiment, ...]
    """Further embodiments that the model has projections of its own for, numbered from 1; `spec` is number 0."""
    data: DataSummary
    """What it was trained on."""
    step: int
    """Updates done."""
    commit: str
    """Revision of this code."""
    packages: dict[str, str]
    """Distribution -> version."""
    checksums: dict[str, str]
    """File of the checkpoint -> SHA-256 of its bytes; filled in when the checkpoint is written."""
    evaluations: tuple[dict[str, Any], ...]
    """Results, each with its protocol and the protocol's hash; the latest last."""
    schema_version: int = SCHEMA_VERSION
    """Which keys there are."""

    @property
    def framing(self) -> Framing:
        """Which frames the model sees, and how many actions lie between them."""
        return Framing(self.frame_skip, self.image_size)

    def to_json(self) -> str:
        """As strict JSON text, sealed by its digest."""
        values = json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))  # the digest is of what is read back
        return json.dumps(values | {DIGEST: digest_of(values)}, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str) -> Manifest:
        """The inverse of `to_json`.

        CheckpointError, naming `source`, for a missing, unknown or mistyped key, and for values that it was not written with.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise CheckpointError(f"{source} is damaged: it is no JSON ({error})") from None
        version = values.get("schema_version") if isinstance(values, dict) else None
        if version in (1, 2, 3):
            since = (SINCE_3 if version < 3 else {}) | (SINCE_2 if version < 2 else {})
            values = since | values | {"schema_version": SCHEMA_VERSION}
        elif version == SCHEMA_VERSION:
            sealed = values.pop(DIGEST, None)
            if sealed != digest_of(values):
                raise CheckpointError(
                    f"{source} was changed since it was written: its content has not the digest that it states; restore it, or "
                    "train again: what a model was trained with cannot be edited"
                )
        else:
            known = f"this code reads versions 1 to {SCHEMA_VERSION}"
            raise CheckpointError(f"{source} has schema version {version!r}, {known}: use the code that wrote it")
        try:
            manifest = _ADAPTER.validate_json(json.dumps(values), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            raise CheckpointError(f"{source}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        # A key that the classes do not know is lost on the way back: comparing finds it at any depth.
        unknown = _first_unknown(values, json.loads(json.dumps(dataclasses.asdict(manifest))))
        if unknown:
            raise CheckpointError(f"{source}: unknown key {unknown!r}; it was written by other code than this")
        if manifest.frame_skip < 1 or manifest.action_block != manifest.frame_skip:
            raise CheckpointError(
                f"{source}: action_block is {manifest.action_block} and frame_skip {manifest.frame_skip}; expected the same "
                "number, 1 or more: a block is the actions between two frames"
            )
        return manifest


def digest_of(values: Mapping[str, Any]) -> str:
    """SHA-256 of plain values, whatever the order of their keys and the white space between them."""
    return sha256(json.dumps(values, sort_keys=True).encode())


def new_manifest(
    spec: WorldSpec,
    *,
    model: dict[str, Any],
    heads: dict[str, Any] | None,
    experiment: dict[str, Any],
    context_length: int,
    data: DataSummary,
    step: int,
    framing: Framing = Framing(),  # noqa: B008 (frozen)
    normalisation: Mapping[str, MeanStd] | None = None,
    embodiments: Iterable[Embodiment] = (),
) -> Manifest:
    """A manifest of this moment: revision and versions are looked up, checksums come with saving, evaluations later."""
    return Manifest(
        spec=spec,
        model=model,
        heads=heads,
        experiment=experiment,
        context_length=context_length,
        frame_skip=framing.frame_skip,
        action_block=framing.action_block,
        image_size=framing.image_size,
        normalisation=dict(normalisation or {}),
        embodiments=tuple(embodiments),
        data=data,
        step=step,
        commit=code_commit(),
        packages=package_versions(),
        checksums={},
        evaluations=(),
    )


def seed_ranges(seeds: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Seeds as sorted (first, last) ranges, both ends included: {1, 2, 3, 7} -> ((1, 3), (7, 7))."""
    ranges: list[tuple[int, int]] = []
    for seed in sorted(set(seeds)):
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], seed)
        else:
            ranges.append((seed, seed))
    return tuple(ranges)


def _first_unknown(got: Any, known: Any, path: str = "") -> str | None:
    """The dotted path of the first key that is in `got` and not in `known`."""
    if isinstance(got, dict) and isinstance(known, dict):
        pairs = [(str(key), value, known.get(key, _ABSENT)) for key, value in got.items()]
    elif isinstance(got, list) and isinstance(known, list):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(got, known, strict=True))]
    else:
        return None
    for name, value, other in pairs:
        here = f"{path}.{name}" if path else name
        if other is _ABSENT:
            return here
        deeper = _first_unknown(value, other, here)
        if deeper:
            return deeper
    return None


_ABSENT = object()
_ADAPTER: TypeAdapter[Manifest] = TypeAdapter(Manifest)
