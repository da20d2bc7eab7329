"""The factors of variation, and what each draws in training and held out.

Nominal values lie in the training ranges, or next to them. Names and order are what recorded episodes and seeds go by: new
factors are added at the end.
"""

from __future__ import annotations

from envs.variations.ranges import Choice, Quantity, Range

OBSERVING_CAMERAS = ("overhead", "side", "wrist")
"""Cameras whose pose varies, in the order of a quantity per camera."""
MAX_DISTRACTORS = 4

_SIGNED = ((-0.06, -0.035), (0.035, 0.06))
_TURNED = ((-4.5, -2.5), (2.5, 4.5))

FACTORS: dict[str, dict[str, Quantity]] = {
    "object_colours": {
        # Around the slots' own hues, or between them: red, blue, green, yellow, violet; pink, turquoise, lime, orange, indigo.
        "hue_shift": Range("turns", ((-0.03, 0.03),), ((-0.095, -0.075),), per="slot"),
        "saturation": Range("share", ((0.75, 1.0),), ((0.55, 0.70),), per="slot"),
        "brightness": Range("share", ((0.70, 0.95),), ((0.45, 0.62),), per="slot"),
    },
    "object_shapes": {"kind": Choice(("cup", "can", "bowl", "box"), ("plate", "bottle", "pebble"), per="slot")},
    "object_sizes": {"scale": Range("", ((0.9, 1.1),), ((0.72, 0.82), (1.15, 1.22)), per="slot")},
    "masses": {"scale": Range("", ((0.7, 1.4),), ((0.3, 0.55), (1.8, 2.5)), per="slot")},
    "friction": {"scale": Range("", ((0.8, 1.25),), ((0.5, 0.7), (1.35, 1.6)))},
    "surfaces": {
        "table_pattern": Choice(("plain", "wood", "checks"), ("stripes", "dots", "marble")),
        "table_hue": Range("turns", ((0.05, 0.14),), ((0.45, 0.70),)),
        "table_brightness": Range("share", ((0.65, 0.85),), ((0.35, 0.55),)),
        "floor_pattern": Choice(("plain", "wood", "checks"), ("stripes", "dots", "marble")),
        "floor_brightness": Range("share", ((0.45, 0.65),), ((0.15, 0.30), (0.80, 0.95))),
    },
    "light": {
        "azimuth": Range("deg", ((-180.0, 60.0),), ((75.0, 165.0),)),
        "elevation": Range("deg", ((50.0, 80.0),), ((20.0, 40.0),)),
        "lamp": Range("", ((0.6, 1.15),), ((1.4, 1.8),)),
        "ambient": Range("", ((0.8, 1.05),), ((0.4, 0.65),)),
    },
    "camera": {
        # In the camera's own frame: right, up, and back from what it looks at.
        "shift_x": Range("m", ((-0.02, 0.02),), _SIGNED, per="camera"),
        "shift_y": Range("m", ((-0.02, 0.02),), _SIGNED, per="camera"),
        "shift_z": Range("m", ((-0.02, 0.02),), _SIGNED, per="camera"),
        "turn_x": Range("deg", ((-1.5, 1.5),), _TURNED, per="camera"),
        "turn_y": Range("deg", ((-1.5, 1.5),), _TURNED, per="camera"),
        "turn_z": Range("deg", ((-1.5, 1.5),), _TURNED, per="camera"),
    },
    "table_size": {
        # The edge towards the bin stays where it is.
        "half_width": Range("m", ((0.285, 0.315),), ((0.250, 0.270), (0.330, 0.350))),
        "near_edge": Range("m", ((0.285, 0.315),), ((0.250, 0.270), (0.330, 0.350))),
    },
    "distractors": {
        "number": Range("", ((1, 2),), ((3, MAX_DISTRACTORS),), whole=True),
        "kind": Choice(("sponge", "coaster"), ("fork", "candle"), per="distractor"),
        "brightness": Range("share", ((0.42, 0.62),), ((0.06, 0.24),), per="distractor"),
    },
    "sensor_noise": {
        # Standard deviations of Gaussian noise, fresh in every frame.
        "pixels": Range("levels of 255", ((0.0, 4.0),), ((8.0, 14.0),)),
        "depth": Range("m", ((0.0, 0.003),), ((0.006, 0.012),)),
        "proprio": Range("its own units", ((0.0, 0.002),), ((0.004, 0.008),)),
    },
    "action_delay": {"steps": Range("steps", ((0, 1),), ((2, 3),), whole=True)},
}
"""Factor -> its quantities. In an episode's record, quantity `q` of factor `f` is called f_q."""
