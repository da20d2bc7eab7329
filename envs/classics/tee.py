"""The T of PushT: its shape, the area that two of them share, and how far points are from one. Lengths in px.

Shape and inertia are those of Diffusion Policy's environment: a bar of 120 x 30 and a stem of 30 x 90 below its middle. A
pose is (x, y, angle): where the middle of the bar's outer edge is, x right, y down, and how far it is turned clockwise [rad].
The centre of gravity is 45 below that point, as published (each part weighs the same), and the squared radius of gyration is
3000, which is what the published moment of inertia comes to.
"""

from __future__ import annotations

import numpy as np

PARTS = (((0.0, 15.0), (60.0, 15.0)), ((0.0, 75.0), (15.0, 45.0)))
"""Bar and stem in the T's own frame: centre (x, y), half-sizes (x, y)."""
CENTRE = np.array([0.0, 45.0])
"""Centre of gravity in the T's own frame."""
GYRATION2 = 3000.0
"""Squared radius of gyration about it [px^2]."""
AREA = sum(4 * half[0] * half[1] for _, half in PARTS)


def rotation(angle: float) -> np.ndarray:
    """(2, 2): from the T's own frame to the picture's."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def centre_of(pose: np.ndarray) -> np.ndarray:
    """Centre of gravity (2,) of a pose (3,)."""
    return pose[:2] + rotation(pose[2]) @ CENTRE


def pose_at(centre: np.ndarray, angle: float) -> np.ndarray:
    """The pose (3,) whose centre of gravity is `centre` (2,)."""
    return np.array([*(centre - rotation(angle) @ CENTRE), angle])


def distance_to(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Distance (...) of points (..., 2) from the outline of a T at a pose (3,); zero or less inside."""
    local = (points - pose[:2]) @ rotation(pose[2])
    distances = []
    for centre, half in PARTS:
        gap = np.abs(local - centre) - half
        distances.append(np.linalg.norm(np.maximum(gap, 0), axis=-1) + np.minimum(gap.max(-1), 0))
    return np.minimum(*distances)


def coverage(pose: np.ndarray, goal: np.ndarray) -> float:
    """Share of a T at pose `goal` (3,) that one at `pose` (3,) covers."""
    ours, theirs = (corners(p) for p in (pose, goal))
    return sum(_shared_area(a, b) for a in ours for b in theirs) / AREA


def corners(pose: np.ndarray) -> list[np.ndarray]:
    """(4, 2) of each part, in the order in which the angle grows."""
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return [pose[:2] + (np.array(centre) + signs * half) @ rotation(pose[2]).T for centre, half in PARTS]


def _shared_area(polygon: np.ndarray, other: np.ndarray) -> float:
    """Area that two convex polygons share: one clipped by each edge of the other (Sutherland and Hodgman 1974)."""
    for start, end in zip(other, np.roll(other, -1, axis=0), strict=True):
        edge = end - start
        side = edge[0] * (polygon[:, 1] - start[1]) - edge[1] * (polygon[:, 0] - start[0])
        kept = []
        for i, (here, there) in enumerate(zip(polygon, np.roll(polygon, -1, axis=0), strict=True)):
            now, after = side[i], side[(i + 1) % len(side)]
            if now >= 0:
                kept.append(here)
            if now * after < 0:
                kept.append(here + (there - here) * now / (now - after))
        if len(kept) < 3:
            return 0.0
        polygon = np.array(kept)
    x, y = polygon.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
