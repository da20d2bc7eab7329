"""The tables of docs/envs.md, read off the code and the measurements: what can be done, seen and varied.

    python -m envs.tables docs/envs.md

puts them into the page, between `<!-- NAME -->` and `<!-- end -->`; a test holds the page to the code.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from envs.sensors.reading import KEYS, VECTORS, WORDS
from envs.tabletop import TabletopEnv
from envs.tasks import TASKS
from envs.variations import FACTORS
from envs.variations.ranges import Choice, Interval, Quantity, Range


def modes() -> str:
    """A row a task and control mode: its action and what it adds to proprio, with units, and how many actions it has."""
    rows = []
    for task, make in TASKS.items():
        rules = make()
        for mode, budget in rules.budgets.items():
            env = TabletopEnv(task=task, control_mode=mode, observations=("proprio", "state"))
            said = env.describe()
            env.close()
            proprio, state = (said["sensors"][key]["shape"][0] for key in ("proprio", "state"))
            low, high = rules.num_objects
            objects = str(low) if low == high else f"{low} to {high}"
            actions = said["action"]["names"]
            rows.append([f"`{rules.env_id}`", f"`{mode}`", _action(actions), objects, proprio, state, budget])
    return _table(("id", "control mode", "action, each in [-1, 1]", "objects", "proprio", "state", "actions an episode"), rows)


def _action(names: Sequence[str]) -> str:
    """Names of an action's elements; joints of one kind as a range."""
    joints = [name for name in names if name.startswith("joint")]
    if not joints:
        return ", ".join(names)
    first, last = joints[0].partition(" ")[0], joints[-1].partition(" ")[0]
    units = dict.fromkeys(name.partition(" ")[2] for name in joints)
    return ", ".join([f"{first} to {last} {', '.join(units)}", *(name for name in names if name not in joints)])


def sensors() -> str:
    """A row a sensor: shape, type, unit."""
    env = TabletopEnv(observations=KEYS, image_size=64)
    said = env.describe()["sensors"]
    env.close()
    rows = []
    for key in KEYS:
        sensor: dict[str, Any] = said[key]
        shape = " x ".join(map(str, sensor["shape"]))
        camera = sensor.get("camera", "")
        names = sensor.get("names", [])
        what = _contents(key, camera, names)
        rows.append([f"`{key}`", f"{sensor['dtype']} {shape}", what, "yes" if sensor.get("privileged") else ""])
    return _table(("key", "at 64 px, `TableClear`", "what it is", "privileged"), rows)


def _contents(key: str, camera: str, names: Sequence[str]) -> str:
    if key == WORDS:
        return "what is asked, as UTF-8 bytes"
    if key == "state":
        return "presence and pose of every object: " + ", ".join(name.partition("/")[2] for name in names[:8])
    if key in VECTORS:
        return ", ".join(names)
    if key.endswith("depth"):
        return f"{camera} camera: distance along its axis [m], at most 5 m"
    if key.endswith("segmentation"):
        return f"{camera} camera: 0 {names[0]}, 1 to 5 {names[1]} to {names[5]}, then " + ", ".join(names[6:])
    return f"{camera} camera"


def factors() -> str:
    """A row a quantity: its unit, and what it draws in training and held out."""
    rows = []
    for factor, quantities in FACTORS.items():
        for name, quantity in quantities.items():
            drawn = [_support(quantity, support) for support in (quantity.train, quantity.held_out)]
            rows.append([f"`{factor}`", f"`{name}`", f"each {quantity.per}" if quantity.per != "episode" else "", *drawn])
            factor = ""
    return _table(("factor", "quantity", "drawn for", "train", "held out"), [[c if c != "``" else "" for c in r] for r in rows])


def _support(quantity: Quantity, support: Iterable[Interval] | Iterable[str]) -> str:
    if isinstance(quantity, Choice):
        return ", ".join(map(str, support))
    assert isinstance(quantity, Range)
    unit = f" {quantity.unit}" if quantity.unit else ""
    return " or ".join(f"{low:g} to {high:g}" for low, high in support) + unit  # type: ignore[misc]


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def measured(results: Path = Path("benchmarks/results/experts.json")) -> str:
    """A row a task, control mode and robot that was measured: what benchmarks/experts.py found."""
    rows = []
    for row in json.loads(results.read_text(encoding="utf-8")) if results.exists() else []:
        expert, random = row["expert"], row.get("random")
        rates = [_rate(expert), _rate(random) if random else "", row["rate"]["actions_per_s"] if "rate" in row else ""]
        rows.append([f"`{row['task']}`", f"`{row['control']}`", row["robot"], *rates])
    head = ("task", "control mode", "robot", "expert %: n, 95 % interval", "random %: n, 95 % interval", "actions/s")
    return _table(head, rows) if rows else "Not measured yet: `python -m benchmarks.experts`."


def _rate(played: dict[str, Any]) -> str:
    low, high = played["wilson95"]
    return f"{100 * played['success']:.1f}: {played['episodes']}, {100 * low:.1f} to {100 * high:.1f}"


TABLES = {"modes": modes, "sensors": sensors, "factors": factors, "measured": measured}


def fill(text: str, names: Iterable[str] = tuple(TABLES)) -> str:
    """The page with those of its tables made anew."""
    for name in names:
        block = re.compile(f"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not block.search(text):
            raise ValueError(f"the page has no table {name}; expected <!-- {name} --> and <!-- end --> in it")
        made = TABLES[name]()
        text = block.sub(lambda found, made=made: f"{found[1]}{made}\n{found[2]}", text)
    return text


if __name__ == "__main__":
    page = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/envs.md")
    page.write_text(fill(page.read_text(encoding="utf-8")), encoding="utf-8")
