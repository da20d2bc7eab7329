"""A parallel gripper: two sliding fingers with the stroke of a Robotiq 2F-140, a force-limited servo, and rubber pads.

Its stroke of 140 mm takes every object of the scene across its width, bowls (up to 112 mm) included. The fingers are long
enough for a can (110 mm) to stand between them while their tips are at its foot. Both move alike, as those of a real one do.
"""

from __future__ import annotations

import mujoco
import numpy as np

from envs.table.scene import FURNITURE, OBJECT, TOOL

BOX, CYLINDER = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
STEEL, DARK, RED = [0.65, 0.67, 0.70, 1], [0.22, 0.23, 0.25, 1], [0.80, 0.25, 0.20, 1]

FINGER_HALF = (0.005, 0.010, 0.058)
"""Half thickness (along the stroke), width and length of a finger [m]."""
PALM_HALF = (0.082, 0.014, 0.012)
"""Half sizes of the body that carries the fingers [m]."""
STROKE = 0.07
"""Way of each finger from the middle [m]."""
GRIP_FORCE = 30.0
"""Largest force of a finger on what it holds [N]."""
FINGER_SPEED = 0.25
"""Speed of a finger that meets nothing [m/s]."""
PAD_FRICTION = (1.0, 0.01, 0.0005)
"""Sliding, torsional and rolling friction of the pads: rubber on glazed clay."""


class Gripper:
    """Two fingers that close along the tool's x axis; actuator `grip` takes the distance between them [m]."""

    name = "gripper"
    reach = 0.06
    max_opening = 2 * STROKE
    gains = (0.3, 0.2)
    """Softer than published: an arm that meets the table gives way, and a wrist as light as this, limited to 12 N m, does not
    chatter between its limits."""
    wrist_inertia = 0.02

    def add_to(self, spec: mujoco.MjSpec, flange: mujoco.MjsBody, handle: float) -> None:
        """See `Tool.add_to`."""
        # A grasp needs friction that does not creep: elliptic cones, whose friction is stiffer than their normal force.
        spec.option.cone = int(mujoco.mjtCone.mjCONE_ELLIPTIC)
        spec.option.impratio = 30
        spec.option.iterations, spec.option.ls_iterations = 100, 50  # with 20, what is held slips or is shot away
        tool = flange.add_body(name="gripper", pos=[0, 0, handle], gravcomp=1)
        top = -2 * FINGER_HALF[2]  # the fingers' upper ends, seen from their tips
        solid = {"contype": TOOL, "conaffinity": OBJECT | FURNITURE, "condim": 4, "friction": np.array(PAD_FRICTION)}
        tool.add_geom(name="palm", type=BOX, pos=[0, 0, top - PALM_HALF[2]], size=PALM_HALF, rgba=DARK, mass=0.1, **solid)
        length = handle + top - 2 * PALM_HALF[2]
        tool.add_geom(
            name="handle", type=CYLINDER, pos=[0, 0, top - 2 * PALM_HALF[2] - length / 2], size=[0.02, length / 2, 0],
            rgba=STEEL, mass=0.05, contype=0, conaffinity=0,
        )  # fmt: skip
        tool.add_site(name="tool", size=[0.004, 0, 0], group=5)
        for i, side in enumerate((-1, 1)):
            finger = tool.add_body(name=f"finger{i}", gravcomp=1)
            joint = finger.add_joint(name=f"finger{i}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[side, 0, 0], range=[0, STROKE])
            joint.damping, joint.armature = [GRIP_FORCE / FINGER_SPEED, 0, 0], 0.2
            at = [side * FINGER_HALF[0], 0, -FINGER_HALF[2]]
            finger.add_geom(name=f"finger{i}", type=BOX, pos=at, size=FINGER_HALF, rgba=RED, mass=0.05, **solid)
            reach = [FINGER_HALF[0] + 0.02, FINGER_HALF[1] + 0.02, FINGER_HALF[2] + 0.02]
            finger.add_site(name=f"touch{i}", type=BOX, pos=at, size=reach, group=5)
        self._add_grip(spec)
        self._add_sensors(spec)

    def _add_grip(self, spec: mujoco.MjSpec) -> None:
        """One servo for both fingers, which a constraint keeps at the same distance from the middle."""
        tendon = spec.add_tendon(name="grip")
        for i in range(2):
            tendon.wrap_joint(f"finger{i}", 1.0)
        even = spec.add_equality(name="even", type=mujoco.mjtEq.mjEQ_JOINT, objtype=mujoco.mjtObj.mjOBJ_JOINT)
        even.name1, even.name2 = "finger0", "finger1"
        even.data[:5] = [0, 1, 0, 0, 0]
        even.solref = [0.01, 1]
        servo = spec.add_actuator(name="grip", target="grip", trntype=mujoco.mjtTrn.mjTRN_TENDON)
        servo.gaintype, servo.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        stiffness = 1500.0
        servo.gainprm[0] = stiffness
        servo.biasprm[:3] = [0, -stiffness, 0]
        servo.forcelimited, servo.forcerange = True, np.array([-GRIP_FORCE, GRIP_FORCE])
        servo.ctrllimited, servo.ctrlrange = True, np.array([0, self.max_opening])

    def _add_sensors(self, spec: mujoco.MjSpec) -> None:
        """`touch` (3,): net contact force on the whole gripper, in which a grip cancels; `touch0`, `touch1`: each finger's."""
        spec.add_sensor(
            name="touch", type=mujoco.mjtSensor.mjSENS_CONTACT, objtype=mujoco.mjtObj.mjOBJ_XBODY, objname="gripper",
            intprm=[1 << int(mujoco.mjtConDataField.mjCONDATA_FORCE), 3, 1],
        )  # fmt: skip
        for i in range(2):
            spec.add_sensor(
                name=f"touch{i}", type=mujoco.mjtSensor.mjSENS_TOUCH, objtype=mujoco.mjtObj.mjOBJ_SITE, objname=f"touch{i}"
            )

    def open(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """See `Tool.open`: wide open."""
        for i in range(2):
            data.qpos[model.joint(f"finger{i}").qposadr[0]] = STROKE
        data.ctrl[model.actuator("grip").id] = self.max_opening

    def felt(self, touch: np.ndarray) -> float:
        """See `Tool.felt`: the size of the net force."""
        x, y, z = touch[:3].tolist()
        return (x * x + y * y + z * z) ** 0.5
