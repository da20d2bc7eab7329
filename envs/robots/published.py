"""What makers publish of their arms and MJCF files do not say: how fast joints turn, and how strong they are.

Sources: the data sheets of Franka Robotics (Panda, FR3), Universal Robots (UR e-Series), KUKA (LBR iiwa 14 R820),
Kinova (Gen3), UFACTORY (xArm). An arm that is not here is given cautious numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SPEEDS: dict[str, tuple[float, ...]] = {
    "franka_emika_panda": (124.6, 124.6, 124.6, 124.6, 149.5, 149.5, 149.5),
    "franka_fr3": (150, 150, 150, 150, 301, 239.5, 301),
    "universal_robots_ur5e": (180, 180, 180, 180, 180, 180),
    "universal_robots_ur10e": (120, 120, 180, 180, 180, 180),
    "kuka_iiwa_14": (85, 85, 100, 75, 130, 135, 135),
    "kinova_gen3": (79.6, 79.6, 79.6, 79.6, 69.9, 69.9, 69.9),
    "ufactory_xarm7": (180, 180, 180, 180, 180, 180, 180),
}
"""Folder of an arm -> fastest that its joints turn [deg/s]."""
TORQUES: dict[str, tuple[float, ...]] = {"kuka_iiwa_14": (320, 320, 176, 176, 110, 40, 40)}
"""Folder of an arm whose file has no torque limits -> its joints' [N m]."""
CAUTIOUS_SPEED = 120.0
"""Of a joint of any other arm [deg/s]."""
CAUTIOUS_TORQUES = (100.0, 30.0)
"""Of the joints before the last three, and of those, of any other arm [N m]."""


def max_velocity(file: Path, num_joints: int) -> np.ndarray:
    """(J,) fastest that the joints turn [rad/s]."""
    speeds = SPEEDS.get(_folder(file), ())
    return np.deg2rad(speeds if len(speeds) == num_joints else (CAUTIOUS_SPEED,) * num_joints)


def max_torque(file: Path, said: np.ndarray) -> np.ndarray:
    """(J,) what the joints give: what the file says, or else what is published, or else cautious numbers [N m]."""
    large, small = CAUTIOUS_TORQUES
    known = TORQUES.get(_folder(file), ())
    cautious = (large,) * (len(said) - 3) + (small,) * 3
    return np.where(np.isnan(said), known if len(known) == len(said) else cautious, said)


def _folder(file: Path) -> str:
    """Name of the folder, without a version that the package mujoco-menagerie puts behind it."""
    return file.resolve().parent.name.partition("-")[0]
