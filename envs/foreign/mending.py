"""What other packages need to run beside MuJoCo 4, which is newer than they are; each mend names its reason and its end."""

from __future__ import annotations

import importlib
import importlib.util

import mujoco

DM_CONTROL = "dm_control"


def mend(env_id: str) -> None:
    """See to the packages that an environment's id names."""
    if DM_CONTROL in env_id and importlib.util.find_spec(DM_CONTROL) is not None:
        forget_absent_arrays()


def forget_absent_arrays() -> list[str]:
    """Take out of dm_control's table of MuJoCo's arrays those that the installed MuJoCo does not have; their names.

    dm_control 1.0.50 looks every one of them up when it loads a model, and nine of them (flex_vertedge and its like) left with
    MuJoCo 4.0: `AttributeError: 'MjModel' object has no attribute 'flex_vertedge'`. A newer dm_control has nothing to forget.
    """
    sizes = importlib.import_module("dm_control.mujoco.wrapper.mjbindings.sizes").array_sizes
    model = mujoco.MjModel.from_xml_string("<mujoco/>")
    absent = []
    for struct, table in ((model, sizes["mjmodel"]), (mujoco.MjData(model), sizes["mjdata"])):
        names = [name for name in table if not hasattr(struct, name)]
        for name in names:
            del table[name]
        absent += names
    return absent
