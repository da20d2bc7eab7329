"""The scripted pusher of PushT: choose where to push, go round the T to there, push as far as it helps, look again.

A frictionless push by s px with inward normal n, at a point whose arm about the centre of gravity is r, moves a body without
inertia by xi s, where w = (n, r x n) is the wrench, M = diag(1, 1, rho^2) and xi = M^-1 w / (w' M^-1 w). In the norm |e|_M of
the pose error e, the best length of a push is s = e'w, and it takes (e'w)^2 / (w' M^-1 w) off |e|^2. Lengths in px.
"""

from __future__ import annotations

import numpy as np

from envs.classics import tee

SIDE, RADIUS = 512.0, 15.0
"""Side of the workspace, radius of the agent [px]."""
OUTLINE = np.array([(-60, 0), (60, 0), (60, 30), (15, 30), (15, 120), (-15, 120), (-15, 30), (-60, 30)], float)
SPACING, CORNER = 5.0, 3.0
"""Between two places to push at, and between such a place and a corner [px]."""
STAND_OFF, CLEARANCE = 9.0, 2.0
"""Gaps between agent and T: where a push begins, and the least on the way there [px]."""
LONGEST = 50.0
"""A push is chosen for what its first so many px do [px]."""
STRIDE = 60.0
"""How far ahead the agent aims while it travels [px]; more is faster and cuts corners."""
FAIR, WAY = 0.35, 100.0
"""Share of what the best push takes off that another must; way that one is worth which takes off twice as much [px]."""
FINE, GOOD = (0.6, 4.0), (4.0, 9.0)
"""|e|_M at which pushing ends, and at which it begins again [px]: where the T alone counts, and where the agent does too."""
CELL = 8.0
"""Cells in which ways round the T are sought [px]."""


class Pusher:
    """Remembers which push it is at and the way to it; `target` is called once a step."""

    def __init__(self) -> None:
        self.contact: int | None = None
        self.done = False
        self.way: list[np.ndarray] = []
        self._way_of: tuple[np.ndarray, np.ndarray] | None = None

    def target(self, state: np.ndarray, goal: np.ndarray, *, park: bool) -> np.ndarray:
        """Where the agent should go now, (2,) [px]; with `park` it goes to its place in the goal when the T is in its own."""
        agent, pose = state[:2], state[2:5]
        error = pose_error(pose, goal[2:5])
        size = float(np.sqrt(error @ (METRIC * error)))
        self.done = size < (GOOD if park else FINE)[int(self.done)]
        if self.done:
            self.contact = None
            return self._travel(agent, goal[:2], pose) if park else way_off(agent, pose)
        normals = NORMALS @ tee.rotation(pose[2]).T
        points = pose[:2] + POINTS @ tee.rotation(pose[2]).T
        length, after = push_effects(error, normals)  # (N,) each
        begin = points - (RADIUS + STAND_OFF) * normals
        if self.contact is None or not self._still_good(length, after, size):
            distance = np.linalg.norm(begin - agent, axis=1)
            inside = np.all((begin > 0) & (begin < SIDE), axis=1)
            fair = inside & (size - after > FAIR * (size - after[inside].min()))
            self.contact = int(np.argmax(np.where(fair, (size - after) / (WAY + distance), -1)))
        point, normal = points[self.contact], normals[self.contact]
        gap = (point - agent) @ normal - RADIUS
        aside = np.linalg.norm(agent - point + normal * ((point - agent) @ normal))
        if -RADIUS < gap < STAND_OFF + 4 and aside < 4:
            return point - (RADIUS - np.clip(length[self.contact] + 0.3, 0, LONGEST)) * normal
        return self._travel(agent, begin[self.contact], pose)

    def _still_good(self, length: np.ndarray, after: np.ndarray, size: float) -> bool:
        """Whether the chosen push still takes off a fair share of what the best would."""
        assert self.contact is not None
        gained, best = size - after[self.contact], size - after.min()
        return bool(length[self.contact] > 0.25 and gained > FAIR * best)

    def _travel(self, agent: np.ndarray, end: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """The next point (2,) on the way to `end`, which is sought again when the end or the T has moved."""
        if self._way_of is None or max(np.abs(self._way_of[0] - end).max(), np.abs(self._way_of[1] - pose)[:2].max()) > 2:
            self.way, self._way_of = way_round(agent, end, pose), (end, pose)
        self.way[-1] = end
        while len(self.way) > 1 and np.linalg.norm(self.way[0] - agent) < CELL:
            del self.way[0]
        gap = self.way[0] - agent
        return agent + gap * min(1.0, STRIDE / max(float(np.linalg.norm(gap)), 1e-9))


def pose_error(pose: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """(3,): way of the centre of gravity [px] and turn [rad] from a pose (3,) to another."""
    turn = (goal[2] - pose[2] + np.pi) % (2 * np.pi) - np.pi
    return np.array([*(tee.centre_of(goal) - tee.centre_of(pose)), turn])


def push_effects(error: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best length of a push at each place (N,) [px], and |e|_M after it or after its first `LONGEST` px (N,)."""
    along = normals @ error[:2] + ARMS * error[2]  # e'w
    resistance = 1 + ARMS**2 / tee.GYRATION2  # w' M^-1 w
    length = np.clip(along, 0, LONGEST)
    after2 = error @ (METRIC * error) + (length**2 - 2 * length * along) / resistance
    return along, np.sqrt(np.maximum(after2, 0))


def way_off(agent: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Where the agent should go to touch the T no more: (2,)."""
    away = agent - tee.centre_of(pose)
    return agent if tee.distance_to(agent, pose) > RADIUS + STAND_OFF else agent + STAND_OFF * away / np.linalg.norm(away)


def way_round(agent: np.ndarray, end: np.ndarray, pose: np.ndarray) -> list[np.ndarray]:
    """Points (2,) from `agent` to `end` between which the agent does not touch the T."""
    if _free(agent, end, pose):
        return [end]
    field = _steps_to(end, pose)
    row, column = _nearest(agent, np.isfinite(field))
    cells = [CELLS[row, column]]
    while field[row, column] > 0:
        rows, columns = slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2)
        window = field[rows, columns]
        down, right = np.unravel_index(np.argmin(window), window.shape)
        row, column = int(down) + rows.start, int(right) + columns.start
        cells.append(CELLS[row, column])
    # straighten: from each corner of the way to the farthest cell that can be seen from it
    way, here, at = [], agent, 0
    while at < len(cells):
        seen = [i for i in range(at, len(cells)) if _free(here, cells[i], pose)]
        at = max(seen, default=at)
        here = cells[at]
        way.append(here)
        at += 1
    return [*way, end]


def _free(start: np.ndarray, end: np.ndarray, pose: np.ndarray) -> bool:
    """Whether the agent can go straight; where it stands already too near, it may go away from the T."""
    ways = start + np.linspace(0, 1, 25)[:, None] * (end - start)
    distance = tee.distance_to(ways, pose)
    least = np.minimum(RADIUS + CLEARANCE, distance[0] + np.linspace(0, 1, 25) * 0.5 * np.linalg.norm(end - start))
    return bool(np.all(distance >= least - 1e-6))


def _steps_to(end: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Steps of king's moves (rows, columns) from each cell to that of `end`, infinite where the agent would touch the T."""
    free = tee.distance_to(CELLS, pose) > RADIUS + CLEARANCE
    field = np.full(free.shape, np.inf)
    field[_nearest(end, free)] = 0
    padded = np.full((len(field) + 2, len(field) + 2), np.inf)
    while True:
        padded[1:-1, 1:-1] = field
        straight = np.minimum.reduce([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]) + 1
        oblique = np.minimum.reduce([padded[:-2, :-2], padded[2:, 2:], padded[2:, :-2], padded[:-2, 2:]]) + np.sqrt(2)
        better = np.where(free, np.minimum(field, np.minimum(straight, oblique)), np.inf)
        if np.array_equal(better, field):
            return field
        field = better


def _nearest(point: np.ndarray, among: np.ndarray) -> tuple[int, int]:
    """Row and column of the cell nearest to `point` where `among` (rows, columns) is True."""
    cell = np.argmin(np.linalg.norm(CELLS - point, axis=-1) + np.where(among, 0, 1e6))
    row, column = np.unravel_index(cell, among.shape)
    return int(row), int(column)


def _places() -> tuple[np.ndarray, np.ndarray]:
    """Places to push at (N, 2) and their inward normals (N, 2) in the T's own frame: those that the agent fits to."""
    points, normals = [], []
    for start, end in zip(OUTLINE, np.roll(OUTLINE, -1, axis=0), strict=True):
        along = (end - start) / np.linalg.norm(end - start)
        inward = np.array([-along[1], along[0]])
        for t in np.arange(CORNER, np.linalg.norm(end - start) - CORNER + 1e-9, SPACING):
            point = start + t * along
            if tee.distance_to(point - (RADIUS + CLEARANCE) * inward, np.zeros(3)) > RADIUS + CLEARANCE - 1e-6:
                points.append(point)
                normals.append(inward)
    return np.array(points), np.array(normals)


POINTS, NORMALS = _places()
ARMS = (POINTS - tee.CENTRE)[:, 0] * NORMALS[:, 1] - (POINTS - tee.CENTRE)[:, 1] * NORMALS[:, 0]
"""r x n of each place [px]."""
METRIC = np.array([1.0, 1.0, tee.GYRATION2])
_LINE = np.arange(CELL / 2, SIDE, CELL)
CELLS = np.stack(np.meshgrid(_LINE, _LINE, indexing="xy"), axis=-1)
"""(rows, columns, 2) centres of the cells [px]."""
