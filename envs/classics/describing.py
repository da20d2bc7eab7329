"""A small world's description of itself: what is observed and done, as plain JSON values, for datasets and manifests."""

from __future__ import annotations

from typing import Any

from envs.classics.task import Task


def described(task: Task, image_size: int, renderer: str, action: dict[str, Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The part of a manifest that the environment answers for.

    Args:
        task: whose names these are.
        image_size: height and width of the observed picture [px].
        renderer: what draws it.
        action: what there is to be said of actions besides names and bounds.
        kwargs: the environment's arguments.
    """
    unit = [1.0] * len(task.action_names)
    sensors: dict[str, dict[str, Any]] = {
        key: {"shape": [len(names)], "dtype": "float32", "kind": "vector", "names": list(names)}
        for key, names in (("proprio", task.proprio_names), ("state", task.state_names))
    }
    sensors["state"]["privileged"] = True
    picture = {"shape": [image_size, image_size, 3], "dtype": "uint8", "kind": "image", "camera": "overhead"}
    return {
        "env_id": task.env_id,
        "env_kwargs": kwargs,
        "sensors": {"pixels": picture, **sensors},
        "action": {"names": list(task.action_names), "low": [-u for u in unit], "high": unit, **action},
        "control_mode": task.control_mode,
        "robot": task.robot,
        "renderer": renderer,
    }
