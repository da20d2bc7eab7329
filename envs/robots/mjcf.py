"""A serial arm read from an MJCF file: its joints, masses and looks, in the numbers that MuJoCo compiles them to.

What the file has besides is left out: its hand and whatever else moves beyond the arm, keyframes, actuators, sensors, lights,
textures, and the shapes that are there for collisions alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import mujoco
import numpy as np

from envs.robots.screws import Screws
from envs.robots.thinning import Mesh, thinned

SITES = ("attachment_site", "pinch_site", "ee_site", "end_effector", "flange")
"""Sites at which an arm may end, their z away from it; the first that is there. MuJoCo Menagerie's arms have one of two."""
BODIES = ("attachment", "flange", "tool0", "hand")
"""Bodies at which it may end where there is no such site."""
NUM_JOINTS = (6, 7)
DRAWN = 3
"""Geoms in groups from this one on are not drawn unless asked for: they are there for collisions."""
MESH_CELL = 0.006
"""Vertices of a mesh nearer than about this become one [m]: two or three pixels of a film picture."""
FREE_RANGE = 2 * np.pi
"""Way to either side of a joint without limits [rad]."""


@dataclass(frozen=True)
class Look:
    """A geom that is drawn."""

    kind: mujoco.mjtGeom
    size: np.ndarray
    pos: np.ndarray
    quat: np.ndarray
    rgba: np.ndarray
    mesh: Mesh | None


@dataclass(frozen=True)
class Link:
    """A body of the arm, with one of its joints or none."""

    parent: int
    """Index of the link that it hangs on; -1 for the base."""
    pos: np.ndarray
    quat: np.ndarray
    mass: float
    ipos: np.ndarray
    iquat: np.ndarray
    inertia: np.ndarray
    joint: int | None
    """Index of its joint in the arm."""
    axis: np.ndarray
    anchor: np.ndarray
    """(3,) of the joint in the link's frame; zeros without one."""
    looks: list[Look] = field(default_factory=list)


@dataclass(frozen=True)
class ArmModel:
    """A serial arm."""

    links: list[Link]
    """Parents before children."""
    screws: Screws
    """In the file's world."""
    end: tuple[int, np.ndarray, np.ndarray]
    """Link, position [m] and quaternion of the flange."""
    lower: np.ndarray
    upper: np.ndarray
    """(J,) ends of the joints' ways [rad]."""
    armature: np.ndarray
    """(J,) that the file gives [kg m^2]."""
    max_torque: np.ndarray
    """(J,) that the file gives, nan where it gives none [N m]."""


@lru_cache(maxsize=8)
def read(path: Path) -> ArmModel:
    """The arm in a file, read once a process. ValueError in one line for a file that has none."""
    try:
        model = mujoco.MjModel.from_xml_path(str(path))
        return _arm(model)
    except ValueError as error:
        raise ValueError(f"{path} is no arm that can be used here: {' '.join(str(error).split())}") from error


def _arm(model: mujoco.MjModel) -> ArmModel:
    end, end_pos, end_quat = _end(model)
    chain = [end]
    while model.body_parentid[chain[0]] != 0:
        chain.insert(0, int(model.body_parentid[chain[0]]))
    joints = [int(model.body_jntadr[body]) + i for body in chain for i in range(model.body_jntnum[body])]
    _require_serial(model, chain, joints)
    bodies = [body for body in range(1, model.nbody) if body in chain or _is_fixed_part(model, body, chain)]

    data = mujoco.MjData(model)
    data.qpos[model.jnt_qposadr[joints]] = 0
    mujoco.mj_kinematics(model, data)
    place = np.empty(9)
    at = data.xpos[end] + data.xmat[end].reshape(3, 3) @ end_pos
    mujoco.mju_quat2Mat(place, end_quat)
    rotation = data.xmat[end].reshape(3, 3) @ place.reshape(3, 3)
    screws = Screws(data.xaxis[joints].copy(), data.xanchor[joints].copy(), at, rotation)

    limited = model.jnt_limited[joints].astype(bool)[:, None]
    ways = np.where(limited, model.jnt_range[joints], [-FREE_RANGE, FREE_RANGE])
    return ArmModel(
        links=[_link(model, body, bodies, joints) for body in bodies],
        screws=screws,
        end=(bodies.index(end), end_pos, end_quat),
        lower=ways[:, 0].copy(),
        upper=ways[:, 1].copy(),
        armature=model.dof_armature[model.jnt_dofadr[joints]].copy(),
        max_torque=np.array([_max_torque(model, joint) for joint in joints]),
    )


def _end(model: mujoco.MjModel) -> tuple[int, np.ndarray, np.ndarray]:
    """Body at which the arm ends, position and quaternion of its flange in it; a hand there is left out."""
    sites = {model.site(i).name: i for i in range(model.nsite)}
    bodies = {model.body(i).name: i for i in range(model.nbody)}
    if name := next((name for name in SITES if name in sites), None):
        body, pos, quat = int(model.site_bodyid[sites[name]]), model.site_pos[sites[name]], model.site_quat[sites[name]]
    elif name := next((name for name in BODIES if name in bodies), None):
        body, pos, quat = bodies[name], np.zeros(3), np.array([1.0, 0, 0, 0])
    else:
        raise ValueError(f"it needs a site at which a tool is fixed, z away from the arm, called one of {', '.join(SITES)}")
    while body and model.body_jntnum[body] == 0 and _moves(model, body):
        moved, turned = np.empty(3), np.empty(4)
        mujoco.mju_mulPose(moved, turned, model.body_pos[body], model.body_quat[body], pos, quat)
        body, pos, quat = int(model.body_parentid[body]), moved, turned
    return body, pos.copy(), quat.copy()


def _moves(model: mujoco.MjModel, root: int) -> bool:
    """Whether a body or one that hangs on it has a joint."""
    for body in range(root, model.nbody):
        above = body
        while above > root:
            above = int(model.body_parentid[above])
        if above == root and model.body_jntnum[body] > 0:
            return True
    return False


def _is_fixed_part(model: mujoco.MjModel, body: int, chain: list[int]) -> bool:
    """Whether a body hangs on the arm and has nothing that moves."""
    while body and body not in chain:
        if _moves(model, body):
            return False
        body = int(model.body_parentid[body])
    return body != 0


def _require_serial(model: mujoco.MjModel, chain: list[int], joints: list[int]) -> None:
    hinges = model.jnt_type[joints] == int(mujoco.mjtJoint.mjJNT_HINGE)
    several = any(model.body_jntnum[body] > 1 for body in chain)
    if len(joints) not in NUM_JOINTS or not np.all(hinges) or several:
        kinds = ", ".join(mujoco.mjtJoint(int(kind)).name[6:].lower() for kind in model.jnt_type[joints])
        raise ValueError(f"it needs {NUM_JOINTS[0]} or {NUM_JOINTS[1]} hinges in a row, one a body, got {kinds or 'none'}")


def _link(model: mujoco.MjModel, body: int, bodies: list[int], joints: list[int]) -> Link:
    joint = int(model.body_jntadr[body]) if model.body_jntnum[body] else None
    parent = int(model.body_parentid[body])
    first = int(model.body_geomadr[body])
    geoms = range(first, first + int(model.body_geomnum[body])) if first >= 0 else ()
    return Link(
        parent=bodies.index(parent) if parent in bodies else -1,
        pos=model.body_pos[body].copy(),
        quat=model.body_quat[body].copy(),
        mass=float(model.body_mass[body]),
        ipos=model.body_ipos[body].copy(),
        iquat=model.body_iquat[body].copy(),
        inertia=model.body_inertia[body].copy(),
        joint=None if joint is None else joints.index(joint),
        axis=np.zeros(3) if joint is None else model.jnt_axis[joint].copy(),
        anchor=np.zeros(3) if joint is None else model.jnt_pos[joint].copy(),
        looks=[_look(model, geom) for geom in _drawn(model, geoms)],
    )


def _drawn(model: mujoco.MjModel, geoms: Iterable[int]) -> list[int]:
    """Those that are drawn, of several meshes in one place the first: some files have each a second time for collisions."""
    seen: set[bytes] = set()
    drawn = []
    for geom in geoms:
        where = (model.geom_dataid[geom], model.geom_pos[geom], model.geom_quat[geom], model.geom_size[geom])
        key = b"".join(part.tobytes() for part in where)
        if model.geom_group[geom] < DRAWN and model.geom_rgba[geom, 3] > 0 and key not in seen:
            seen.add(key)
            drawn.append(geom)
    return drawn


def _look(model: mujoco.MjModel, geom: int) -> Look:
    kind, material = mujoco.mjtGeom(int(model.geom_type[geom])), int(model.geom_matid[geom])
    mesh = None
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        which = int(model.geom_dataid[geom])
        first, count = int(model.mesh_vertadr[which]), int(model.mesh_vertnum[which])
        face, faces = int(model.mesh_faceadr[which]), int(model.mesh_facenum[which])
        mesh = thinned(Mesh(model.mesh_vert[first : first + count], model.mesh_face[face : face + faces]), MESH_CELL)
    return Look(
        kind,
        model.geom_size[geom].copy(),
        model.geom_pos[geom].copy(),
        model.geom_quat[geom].copy(),
        (model.mat_rgba[material] if material >= 0 else model.geom_rgba[geom]).copy(),
        mesh,
    )


def _max_torque(model: mujoco.MjModel, joint: int) -> float:
    """What a file says that a joint's drive can give [N m]; nan where it says nothing."""
    if model.jnt_actfrclimited[joint]:
        return float(np.abs(model.jnt_actfrcrange[joint]).max())
    for drive in range(model.nu):
        if model.actuator_trntype[drive] != int(mujoco.mjtTrn.mjTRN_JOINT) or model.actuator_trnid[drive, 0] != joint:
            continue
        gear = abs(float(model.actuator_gear[drive, 0]))
        if model.actuator_forcelimited[drive]:
            return gear * float(np.abs(model.actuator_forcerange[drive]).max())
        if model.actuator_ctrllimited[drive] and model.actuator_biastype[drive] == int(mujoco.mjtBias.mjBIAS_NONE):
            return gear * float(np.abs(model.actuator_ctrlrange[drive]).max() * model.actuator_gainprm[drive, 0])
    return float("nan")
