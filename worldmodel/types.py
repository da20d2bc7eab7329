"""Typed values that travel between the stages, and the protocols that the stages meet.

Axis letters, used in every file of this project:

    B batch (or environments)   T time (frames)     H horizon (actions ahead)   N candidates
    K tokens a frame            D latent width      A action dimension          O object slots
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Protocol

import numpy as np
from torch import Tensor

from worldmodel.errors import MismatchError

Observation = dict[str, Tensor]
"""Modality name -> (B, T, ...). Pixels stay uint8 (B, T, height, width, 3) until the encoder."""

Latent = Tensor
"""(B, T, K, D): K tokens a frame of width D. Planners never look inside one; costs and heads do."""


@dataclass(frozen=True)
class SensorSpec:
    """What one entry of an observation is."""

    shape: tuple[int, ...]
    """Shape of one frame: (height, width, 3) for an image, (P,) for a vector."""
    dtype: Literal["uint8", "uint16", "float32"]
    """Element type as recorded."""
    kind: Literal["image", "vector"]
    """How it is stored and tokenized."""
    privileged: bool = False
    """True for the simulator's own state: an encoder that asks for it is refused."""
    names: tuple[str, ...] = ()
    """Names of the elements of a vector, with units in brackets where they have one."""
    camera: str = ""
    """Name of the camera of an image."""


@dataclass(frozen=True)
class ActionSpec:
    """What one action is: numbers in [low, high], one name each."""

    names: tuple[str, ...]
    """One name an element, such as start_x."""
    low: tuple[float, ...]
    """Lower bound of each element."""
    high: tuple[float, ...]
    """Upper bound of each element."""
    points: tuple[tuple[int, int], ...] = ()
    """Pairs of elements that are points on the table, (index of x, index of y), in the order in which they are visited."""
    image_from_action: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    """Camera calibration: the 2 x 3 affine map from such a point to image coordinates (right, down), both in [-1, 1]."""

    @property
    def dim(self) -> int:
        """Number of elements, A."""
        return len(self.names)


@dataclass(frozen=True)
class WorldSpec:
    """Everything about a world that training and planning must agree on; stored in every dataset and every manifest."""

    env_id: str
    """Gymnasium id, with its namespace."""
    env_kwargs: dict[str, Any]
    """Keyword arguments of gymnasium.make that shape what is observed and done."""
    sensors: dict[str, SensorSpec]
    """Observation key -> what it is."""
    action: ActionSpec
    """What one action is."""
    control_mode: str
    """Such as sweep: what one action makes the robot do."""
    robot: str
    """Name of the robot."""
    renderer: str = ""
    """What drew the pixels (GL vendor and renderer); pixels differ between renderers. Never a reason to refuse."""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> WorldSpec:
        """The inverse of `to_dict`; tuples come back as tuples."""
        sensors = {
            key: SensorSpec(**{**s, "shape": tuple(s["shape"]), "names": tuple(s.get("names", ()))})
            for key, s in values["sensors"].items()
        }
        a = values["action"]
        affine = a.get("image_from_action")
        action = ActionSpec(
            names=tuple(a["names"]),
            low=tuple(a["low"]),
            high=tuple(a["high"]),
            points=tuple((int(i), int(j)) for i, j in a.get("points", ())),
            image_from_action=(tuple(affine[0]), tuple(affine[1])) if affine is not None else None,
        )
        known = {f.name for f in fields(cls)}
        return cls(**{**{k: v for k, v in values.items() if k in known}, "sensors": sensors, "action": action})

    def differences(self, other: WorldSpec, sensors: tuple[str, ...] | None = None) -> list[str]:
        """One line for each way in which `other` does not fit this spec.

        `sensors` restricts the comparison to the keys that a model reads. The robot, the renderer and the environment's
        keyword arguments may differ: a model is meant to be tried on another robot, with more objects, or elsewhere.
        """
        lines = []
        for key in sensors if sensors is not None else tuple(self.sensors):
            if key not in other.sensors:
                lines.append(f"sensor {key!r} is missing")
                continue
            if key not in self.sensors:
                lines.append(f"sensor {key!r}: none expected, one got")
                continue
            ours, theirs = self.sensors[key], other.sensors[key]
            for name in ("shape", "dtype", "kind", "names", "camera"):
                if getattr(ours, name) != getattr(theirs, name):
                    lines.append(f"sensor {key!r} {name}: {getattr(ours, name)} expected, {getattr(theirs, name)} got")
        for name in ("names", "low", "high", "points"):
            if getattr(self.action, name) != getattr(other.action, name):
                lines.append(f"action {name}: {getattr(self.action, name)} expected, {getattr(other.action, name)} got")
        ours_affine, theirs_affine = self.action.image_from_action, other.action.image_from_action
        if ours_affine is None or theirs_affine is None:
            same_camera = ours_affine is theirs_affine
        else:
            same_camera = np.allclose(ours_affine, theirs_affine, atol=1e-3)
        if not same_camera:
            lines.append(f"camera calibration: {ours_affine} expected, {theirs_affine} got")
        if self.control_mode != other.control_mode:
            lines.append(f"control mode: {self.control_mode!r} expected, {other.control_mode!r} got")
        return lines

    def require_fit(self, other: WorldSpec, what: str, sensors: tuple[str, ...] | None = None) -> None:
        """Raise MismatchError naming every difference, or return."""
        lines = self.differences(other, sensors)
        if lines:
            raise MismatchError(f"{what} does not fit: " + "; ".join(lines))


@dataclass(frozen=True)
class Episode:
    """One recorded interaction of T actions and T + 1 observations, as numpy arrays."""

    observations: dict[str, np.ndarray]
    """Sensor key -> (T + 1, ...)."""
    actions: np.ndarray
    """(T, A) float32."""
    rewards: np.ndarray
    """(T,) float32."""
    terminated: bool
    """The last step ended the task (Gymnasium's meaning)."""
    truncated: bool
    """The last step ran out of budget (Gymnasium's meaning)."""
    success: bool
    """The task's own success rule held at the end."""
    seed: int
    """Seed of the environment's reset: the same seed is the same episode whoever records it."""
    instruction: str
    """The task in words."""
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    """Privileged label name -> (T + 1, ...): what heads and probes are fitted on, never the encoder."""
    variation: dict[str, Any] = field(default_factory=dict)
    """Factor of variation -> its value in this episode, as plain JSON values; empty when nothing is varied."""

    @property
    def num_actions(self) -> int:
        """T."""
        return len(self.actions)


@dataclass(frozen=True)
class Window:
    """A batch of T frames and the T - 1 actions, or blocks of actions, between them; never crosses an episode."""

    observations: Observation
    """Sensor key -> (B, T, ...)."""
    actions: Tensor
    """(B, T - 1, A)."""
    labels: dict[str, Tensor]
    """Label name -> (B, T, ...); empty unless asked for."""
    episode_index: Tensor
    """(B,) int64: which episode of its dataset, or of the view that was opened: the i of `Dataset.read_episode(i)`."""
    frame_index: Tensor
    """(B,) int64: place of the first frame in its episode."""
    embodiment: int = 0
    """Which sensors and actions these are, where several datasets are mixed; a batch is of one."""
    dataset: Tensor | None = None
    """(B,) int64: which of the mixed datasets each is from, in the order in which they were named; None for a single one."""
    frame_skip: int = 1
    """Recorded frames from one frame to the next."""


class WorldModel(Protocol):
    """What a planner needs to know of a model."""

    def encode(self, obs: Observation) -> Latent:
        """Latents of observed frames, (B, T, K, D)."""
        ...

    def rollout(self, context: Latent, actions: Tensor) -> Latent:
        """Latents after each action: context (B, T, K, D), actions (B, N, H, A) -> (B, N, H, K, D)."""
        ...


class Cost(Protocol):
    """What a planner makes small."""

    def __call__(self, rollout: Latent, actions: Tensor) -> Tensor:
        """Cost of each candidate: (B, N, H, K, D), (B, N, H, A) -> (B, N)."""
        ...
