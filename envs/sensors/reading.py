"""Sensors of a tabletop: any subset of cameras, depth, object ids, touch and vectors, read only where they are asked for.

pixels, side, wrist                                             pictures, uint8 (height, width, 3)
depth, side_depth, wrist_depth                                  distance along the optical axis, float32 (height, width) [m]
segmentation, side_segmentation, wrist_segmentation             what a pixel shows, uint8 (height, width): see depth.py
touch                                                           contact forces, float32 (2 a pad,) [N]
proprio, state                                                  vectors that the environment fills in
instruction                                                     what is asked, its UTF-8 bytes, uint8 (128,)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np
from gymnasium.spaces import Box, Dict

from envs.instructions.grammar import TEXT_BYTES
from envs.names import require_known
from envs.sensors.depth import MAX_DEPTH, GeometryCamera, segment_names
from envs.sensors.rendering import Camera, Canvases, Renderers

PICTURES = {"pixels": "overhead", "side": "side", "wrist": "wrist"}
"""Observation key of a picture -> its camera."""
DEPTHS = {"depth": "overhead", "side_depth": "side", "wrist_depth": "wrist"}
SEGMENTATIONS = {"segmentation": "overhead", "side_segmentation": "side", "wrist_segmentation": "wrist"}
VECTORS = ("proprio", "state", "touch")
WORDS = "instruction"
KEYS = (*PICTURES, *DEPTHS, *SEGMENTATIONS, *VECTORS, WORDS)
DEFAULT = ("pixels", "proprio", "state")
BOUND = 10.0
"""Elements of proprio and state are clipped to this, to either side."""
MAX_FORCE = 1000.0
"""Contact forces are clipped to this [N]."""
MIN_SIZE, MAX_SIZE = 8, 480
"""Of either side of a picture [px]."""

Blur = Callable[[str, np.ndarray], np.ndarray]
"""What a sensor makes of a true reading: (kind/key, values) -> values."""
Vector = Callable[[], np.ndarray]


@dataclass(frozen=True)
class SensorsConfig:
    """What is observed, and how large."""

    observations: tuple[str, ...] = DEFAULT
    """Keys of the observation, in its order."""
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Camera -> height and width of what it sees [px]."""

    @classmethod
    def of(cls, observations: Sequence[str] | None, cameras: Mapping[str, Any] | None, image_size: int) -> SensorsConfig:
        """From keyword values: `cameras` gives a camera's size, or (height, width), where it is not `image_size`.

        ValueError names a wrong one.
        """
        keys = DEFAULT if observations is None else observations
        if isinstance(keys, str) or not isinstance(keys, Sequence) or not keys:
            raise ValueError(f"observations must be a list of sensors, got {keys!r}; available: {', '.join(KEYS)}")
        for key in keys:
            require_known("sensor in observations", key, KEYS)
        if len(set(keys)) < len(keys):
            raise ValueError(f"observations names a sensor twice: {', '.join(keys)}")
        for name in cameras or {}:
            require_known("camera in cameras", name, PICTURES.values())
        given = dict.fromkeys(PICTURES.values(), image_size) | dict(cameras or {})
        return cls(tuple(keys), {name: _size(name, size) for name, size in given.items()})

    def kwargs(self, image_size: int) -> dict[str, Any]:
        """The keyword values that differ from their defaults, as plain JSON values."""
        other = {name: list(size) for name, size in self.sizes.items() if size != (image_size, image_size)}
        asked = {"observations": list(self.observations)} if self.observations != DEFAULT else {}
        return asked | ({"cameras": other} if other else {})


def _size(camera: str, size: Any) -> tuple[int, int]:
    pair = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, Sequence) else ()
    if len(pair) != 2 or not all(isinstance(side, int) and MIN_SIZE <= side <= MAX_SIZE for side in pair):
        what = "image_size" if camera == "overhead" and isinstance(size, int) else f"the size of camera {camera}"
        raise ValueError(f"{what} must lie in {MIN_SIZE}..{MAX_SIZE}, or be a pair (height, width) of such, got {size!r}")
    return pair


def _require_cameras(model: mujoco.MjModel, config: SensorsConfig) -> None:
    there = [model.camera(i).name for i in range(model.ncam)]
    for key in config.observations:
        camera = (PICTURES | DEPTHS | SEGMENTATIONS).get(key)
        if camera is not None and camera not in there:
            raise ValueError(f"this robot has no {camera} camera; leave {key} out of observations")


class Sensors:
    """Reads the sensors of one scene."""

    def __init__(self, model: mujoco.MjModel, config: SensorsConfig, names: Mapping[str, Sequence[str]]) -> None:
        """`names` are those of the elements of proprio and state, with units in brackets.

        ValueError for a camera that the robot does not have.
        """
        self.config = config
        _require_cameras(model, config)
        wanted, sizes = config.observations, config.sizes
        drawing, measuring = Canvases(), Renderers(model)  # two kinds, because they are set up in different ways
        self._cameras = {key: Camera(model, PICTURES[key], sizes[PICTURES[key]], drawing) for key in wanted if key in PICTURES}
        ranged = {key: (DEPTHS | SEGMENTATIONS)[key] for key in wanted if key in DEPTHS or key in SEGMENTATIONS}
        self._geometry = {
            camera: GeometryCamera(model, camera, sizes[camera], measuring) for camera in sorted(set(ranged.values()))
        }
        pads = [model.sensor(i) for i in range(model.nsensor) if model.sensor_type[i] == int(mujoco.mjtSensor.mjSENS_TOUCH)]
        self._pads = np.array([int(pad.adr[0]) for pad in pads])
        self._peak = np.zeros(len(pads))
        touch = [f"{pad.name}_{when} [N]" for pad in pads for when in ("now", "peak")]
        self._names = {**{key: tuple(value) for key, value in names.items()}, "touch": tuple(touch)}
        self._segments = segment_names(model)
        self.watches_touch = "touch" in wanted
        """Whether `feel` wants to be called after every tick."""

    @property
    def renderer_name(self) -> str:
        """Who draws, empty where nothing is drawn."""
        cameras = (*self._cameras.values(), *self._geometry.values())
        return cameras[0].renderer_name if cameras else ""

    @property
    def space(self) -> Dict:
        """What an observation lies in."""
        boxes = {}
        for key, sensor in self.describe().items():
            shape, dtype = tuple(sensor["shape"]), np.dtype(sensor["dtype"])
            low, high = {"image": (0, 255)}.get(sensor["kind"], (-BOUND, BOUND))
            if key in DEPTHS:
                low, high = 0.0, MAX_DEPTH
            elif key in SEGMENTATIONS:
                low, high = 0, len(self._segments) - 1
            elif key == WORDS:
                low, high = 0, 255
            elif key == "touch":
                low, high = 0.0, MAX_FORCE
            boxes[key] = Box(np.full(shape, low, dtype), np.full(shape, high, dtype), dtype=dtype.type)
        return Dict(boxes)

    def describe(self) -> dict[str, dict[str, Any]]:
        """Key -> shape, dtype, kind, camera and names of the elements with units, as plain JSON values."""
        return {key: self._describe(key) for key in self.config.observations}

    def calibrate(self, action: dict[str, Any]) -> dict[str, Any]:
        """A control mode's description, its `image_from_action` as the overhead picture is: one that is wider sees more."""
        height, width = self.config.sizes["overhead"]
        if "image_from_action" not in action or height == width:
            return action
        across, down = action["image_from_action"]
        return action | {"image_from_action": [[value * height / width for value in across], down]}

    def rest(self) -> None:
        """Forget what was felt: called when an action begins."""
        self._peak[:] = 0

    def feel(self, data: mujoco.MjData) -> None:
        """Keep the largest force at each pad: called after every tick where `watches_touch`."""
        np.maximum(self._peak, data.sensordata[self._pads], out=self._peak)

    def observe(self, data: mujoco.MjData, vectors: Mapping[str, Vector], blur: Blur | None = None) -> dict[str, np.ndarray]:
        """One observation; `vectors` computes proprio and state, `blur` adds what noise the sensors have."""
        seen: dict[str, np.ndarray] = {}
        geometry = {name: camera.render(data, *self._wanted(name)) for name, camera in self._geometry.items()}
        for key in self.config.observations:
            if key == WORDS:
                seen[key] = vectors[key]()
                continue
            if key in PICTURES:
                kind, values = "pixels", self._cameras[key].render(data)
            elif key in DEPTHS:
                kind, values = "depth", geometry[DEPTHS[key]][0]
            elif key in SEGMENTATIONS:
                kind, values = "segmentation", geometry[SEGMENTATIONS[key]][1]
            elif key == "touch":
                now = data.sensordata[self._pads]
                kind, values = key, np.stack([now, np.maximum(now, self._peak)], axis=1).ravel().astype(np.float32)
            else:
                kind, values = key, np.asarray(vectors[key](), np.float32)
            seen[key] = values if blur is None else blur(f"{kind}/{key}", values)
            if key == "touch" or key in DEPTHS:
                seen[key] = np.clip(seen[key], 0, MAX_FORCE if key == "touch" else MAX_DEPTH)
            elif key in VECTORS:
                seen[key] = np.minimum(np.maximum(seen[key], -BOUND), BOUND)  # np.clip takes four times as long
        return seen

    def close(self) -> None:
        """Free the renderers; closing twice is harmless."""
        for camera in (*self._cameras.values(), *self._geometry.values()):
            camera.close()

    # ---- inside ----

    def _wanted(self, camera: str) -> tuple[bool, bool]:
        keys = self.config.observations
        return any(DEPTHS.get(key) == camera for key in keys), any(SEGMENTATIONS.get(key) == camera for key in keys)

    def _describe(self, key: str) -> dict[str, Any]:
        if key in VECTORS:
            names = list(self._names[key])
            sensor: dict[str, Any] = {"shape": [len(names)], "dtype": "float32", "kind": "vector", "names": names}
            return sensor | ({"privileged": True} if key == "state" else {})
        if key == WORDS:
            return {"shape": [TEXT_BYTES], "dtype": "uint8", "kind": "vector"}
        camera = (PICTURES | DEPTHS | SEGMENTATIONS)[key]
        size = list(self.config.sizes[camera])
        if key in PICTURES:
            return {"shape": [*size, 3], "dtype": "uint8", "kind": "image", "camera": camera}
        if key in DEPTHS:
            return {"shape": size, "dtype": "float32", "kind": "vector", "camera": camera, "names": ["depth [m]"]}
        return {
            "shape": size, "dtype": "uint8", "kind": "vector", "camera": camera, "privileged": True,
            "names": list(self._segments),
        }  # fmt: skip
