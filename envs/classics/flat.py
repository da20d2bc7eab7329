"""Flat worlds as MjSpec: the frame is the picture's, x right, y down and z away from the viewer; colours have no shade."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco

BOX, PLANE, SPHERE, CYLINDER = (
    mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CYLINDER
)  # fmt: skip
DRAWN, HIDDEN = 1, 4
"""Groups of geoms: pictures show the first only."""
FILM_MARGIN = 1.04
"""How much more than the square of an observation a film shows."""


def new_spec(timestep: float) -> mujoco.MjSpec:
    """An empty scene with the project's fast visual settings and no gravity; `timestep` in seconds."""
    spec = mujoco.MjSpec()
    spec.option.timestep = timestep
    spec.option.gravity = [0, 0, 0]
    spec.compiler.degree = False
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 1024
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    return spec


def flat_spec(side: float, timestep: float, background: Sequence[float]) -> mujoco.MjSpec:
    """A square of `side` metres, its corner at the origin, seen exactly from above: no perspective, no shade."""
    spec = new_spec(timestep)
    head = spec.visual.headlight
    head.ambient, head.diffuse, head.specular = [1, 1, 1], [0, 0, 0], [0, 0, 0]
    spec.visual.map.znear = 0.01
    spec.visual.quality.numslices = 24
    for name, extent in (("overhead", side), ("film", FILM_MARGIN * side)):
        camera = spec.worldbody.add_camera(name=name, pos=[side / 2, side / 2, -side], quat=[0, 1, 0, 0])
        camera.proj, camera.fovy = mujoco.mjtProjection.mjPROJ_ORTHOGRAPHIC, extent
    draw(spec.worldbody, BOX, [side / 2, side / 2, 0.11 * side], [2 * side, 2 * side, 0.01 * side], background)
    return spec


def draw(
    body: mujoco.MjsBody, kind: mujoco.mjtGeom, pos: Sequence[float], size: Sequence[float], rgb: Sequence[float]
) -> mujoco.MjsGeom:
    """A geom that is seen and not felt; colour in [0, 255]."""
    rgba = [*(channel / 255 for channel in rgb), 1]
    return body.add_geom(type=kind, pos=pos, size=size, rgba=rgba, group=DRAWN, contype=0, conaffinity=0, mass=0)
