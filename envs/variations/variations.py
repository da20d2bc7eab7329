"""Variations: what differs from episode to episode besides the task, each factor with random numbers of its own.

An episode's values come from the state of the environment's generator at its reset, which they leave where it is: the
same seed is the same table with and without them, and one factor's draw does not depend on which others are on.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np

from envs.names import require_known
from envs.table.objects import TableObject
from envs.table.scene import MAX_OBJECTS, TABLE_HALF
from envs.variations import looks, things
from envs.variations.factors import FACTORS, MAX_DISTRACTORS, OBSERVING_CAMERAS
from envs.variations.ranges import SPLITS, Split

COUNTS = {"episode": None, "slot": MAX_OBJECTS, "camera": len(OBSERVING_CAMERAS), "distractor": MAX_DISTRACTORS}
"""How many values a quantity has."""
CHANGED = (
    *("geom_matid", "geom_rgba", "geom_size", "geom_pos", "geom_rbound", "geom_aabb", "geom_friction"),
    *("light_pos", "light_dir", "light_diffuse", "cam_pos", "cam_quat"),
)
"""Fields of the model that an episode's values change, besides those of its objects."""


@dataclass(frozen=True)
class VariationsConfig:
    """Which factors vary, and how far."""

    factors: tuple[str, ...] = ()
    """Names of FACTORS, or "all"; an empty tuple varies nothing."""
    split: Split = "train"
    """Draw what training sees, or only what it never sees."""

    @classmethod
    def of(cls, given: VariationsConfig | Mapping[str, Any] | None, delay: bool = True) -> VariationsConfig:
        """From keyword values, such as a configuration file has them; ValueError names a wrong one.

        Without `delay`, action_delay is none of "all" factors, and refused when it is named.
        """
        if isinstance(given, VariationsConfig):
            given = {"factors": given.factors, "split": given.split}
        if given is None:
            return cls()
        if not isinstance(given, Mapping):
            raise ValueError(f"variations must be a dict with factors and split, got {given!r}")
        for key in given:
            require_known("key of variations", key, ("factors", "split"))
        factors = given.get("factors", ())
        if factors == "all":
            factors = tuple(name for name in FACTORS if delay or name != "action_delay")
        if isinstance(factors, str) or not isinstance(factors, Sequence):
            raise ValueError(f'variations.factors must be a list of names, or "all", got {factors!r}')
        if "action_delay" in factors and not delay:
            raise ValueError("action_delay does nothing to a whole skill; it needs another control mode, such as ee_delta")
        return cls(tuple(factors), given.get("split", "train"))

    def kwargs(self) -> dict[str, Any]:
        """The keyword value, as plain JSON values; empty where nothing varies."""
        return {"variations": {"factors": list(self.factors), "split": self.split}} if self.factors else {}

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown factor or split, or a factor that is named twice."""
        for name in self.factors:
            require_known("factor of variation", name, FACTORS)
        require_known("split of variations", self.split, SPLITS)
        if len(set(self.factors)) < len(self.factors):
            raise ValueError(f"variations.factors names one twice: {', '.join(self.factors)}")


class Variations:
    """The factors of variation of one environment, and their values in this episode."""

    def __init__(self, config: VariationsConfig) -> None:
        self.config = config
        self.values: dict[str, Any] = {}
        """Of this episode, as plain JSON values: "variation_split", and FACTOR_QUANTITY -> its value; empty without factors."""
        self._factor: dict[str, dict[str, Any]] = {}
        self._entropy = 0
        self._queue: deque[np.ndarray] = deque()
        self._nominal: dict[str, np.ndarray] = {}

    def __contains__(self, factor: str) -> bool:
        return factor in self.config.factors

    def add_to(self, spec: mujoco.MjSpec) -> None:
        """Add what the factors need to a scene that is not compiled yet."""
        if "surfaces" in self:
            looks.add_patterns(spec)
        if "distractors" in self:
            things.add_distractors(spec)
        if "object_shapes" in self or "object_sizes" in self:
            for slot in range(MAX_OBJECTS):
                spec.geom(f"object{slot}").size = np.full(3, things.BOUND)

    def begin(self, model: mujoco.MjModel, rng: np.random.Generator, seed: int | None = None) -> None:
        """Draw this episode's values, and change the model by those that are not its objects'.

        They come from `seed`, or else from the state of `rng`, which is left as it is. ValueError for a seed that is none.
        """
        if seed is not None and (not isinstance(seed, int | np.integer) or seed < 0):
            raise ValueError(f"variation_seed must be a whole number of at least 0, got {seed!r}")
        if not self.config.factors:
            return
        self._entropy = _peek(rng) if seed is None else int(seed)
        split = self.config.split
        self._factor = {
            name: {key: q.draw(self._rng(name, key), split, COUNTS[q.per]) for key, q in FACTORS[name].items()}
            for name in self.config.factors
        }
        if "distractors" in self:
            drawn = self._factor["distractors"]
            drawn |= {key: drawn[key][: drawn["number"]] for key in ("kind", "brightness")}
        self.values = {"variation_split": split}
        for name, quantities in self._factor.items():
            self.values |= {f"{name}_{key}": value for key, value in quantities.items()}
        self._restore(model)
        for name, change in CHANGES.items():
            if name in self:
                change(model, self._factor[name])

    def alter(self, objects: list[TableObject]) -> list[TableObject]:
        """The objects of this episode as its factors have them."""
        return [self._alter(thing) for thing in objects]

    def stand(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Stand the distractors on the table, clear of what else was placed there."""
        if "distractors" not in self:
            return
        drawn, table = self._factor["distractors"], self._factor.get("table_size", {})
        edges = (table.get(key, TABLE_HALF) for key in ("half_width", "near_edge"))
        distractors = things.Distractors(drawn["kind"], drawn["brightness"], *edges)
        things.shape_distractors(model, distractors)
        places = things.stand_distractors(model, data, distractors, self._rng("distractors", "places"))
        self.values["distractors_place"] = places

    def blur(self, name: str, values: np.ndarray, frame: int) -> np.ndarray:
        """What a sensor of kind pixels, depth or proprio reads in a frame of this episode, noise included."""
        std = self._factor.get("sensor_noise", {}).get(name.rpartition("/")[0] or name)
        if not std:
            return values
        noise = self._rng("sensor_noise", name, frame).normal(0, std, values.shape)
        if values.dtype == np.uint8:
            return np.clip(np.rint(values + noise), 0, 255).astype(np.uint8)
        return (values + noise).astype(values.dtype)

    def late(self, action: np.ndarray, still: np.ndarray) -> np.ndarray:
        """The action that reaches the robot when the agent sends this one: `still` before the first has come."""
        steps = self._factor.get("action_delay", {}).get("steps", 0)
        if steps == 0:
            return action
        self._queue.append(np.array(action))
        return self._queue.popleft() if len(self._queue) > steps else still

    # ---- inside ----

    def _rng(self, *path: str | int) -> np.random.Generator:
        """The generator of a part of a factor in this episode."""
        first, *rest = path
        place = [list(FACTORS).index(str(first)), *(zlib.crc32(str(part).encode()) for part in rest)]
        return np.random.default_rng(np.random.SeedSequence([self._entropy, *place]))

    def _restore(self, model: mujoco.MjModel) -> None:
        """Put the model back to what it was before the first episode."""
        self._queue.clear()
        fields = {name: getattr(model, name) for name in CHANGED}
        fields |= {f"headlight.{name}": getattr(model.vis.headlight, name) for name in ("ambient", "diffuse")}
        self._nominal = self._nominal or {name: np.array(field) for name, field in fields.items()}
        for name, field in fields.items():
            field[:] = self._nominal[name]

    def _alter(self, thing: TableObject) -> TableObject:
        drawn, slot = self._factor, thing.slot
        if "object_shapes" in drawn:
            thing = things.reshape(thing, drawn["object_shapes"]["kind"][slot])
        if "object_sizes" in drawn:
            thing = replace(thing, half=thing.half * drawn["object_sizes"]["scale"][slot])
        if "masses" in drawn:
            thing = replace(thing, mass=thing.mass * drawn["masses"]["scale"][slot])
        if "object_colours" in drawn:
            colour = {key: values[slot] for key, values in drawn["object_colours"].items()}
            thing = things.recolour(thing, **colour, held_out=self.config.split == "held_out")
        return thing


def _peek(rng: np.random.Generator) -> int:
    """The number that a generator would draw next."""
    copy = np.random.Generator(type(rng.bit_generator)())
    copy.bit_generator.state = rng.bit_generator.state
    return int(copy.integers(2**63))


CHANGES = {
    "friction": things.scale_friction,
    "surfaces": looks.cover,
    "light": looks.light,
    "camera": looks.move_cameras,
    "table_size": looks.resize_table,
}
"""Factor -> what writes its values into the model."""
