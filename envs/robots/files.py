"""Where arms come from that are not built here: folders of MJCF files that other packages leave on this machine.

Nothing is downloaded, and no package is imported to find out.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from envs.names import require_known
from envs.robots.mjcf import SITES

OGBENCH = {"ur5e_2f85": "universal_robots_ur5e/ur5e.xml"}
"""Arms of the package ogbench: name -> file in its folder of descriptions."""
SOURCES = ("ogbench", "menagerie", "mjcf")
"""What may stand before the colon of a robot's name."""
NOT_ARMS = ("scene", "hand", "mjx")
"""Files of a folder that hold something else begin with one of these."""


def find(name: str) -> Path:
    """The MJCF file of a robot such as menagerie:franka_emika_panda. ValueError in one line where there is none."""
    source, _, arm = name.partition(":")
    return {"ogbench": _ogbench, "menagerie": _menagerie, "mjcf": _mjcf}[source](arm)


def present() -> list[str]:
    """Names of the robots whose files are on this machine."""
    arms = [f"ogbench:{arm}" for arm, file in OGBENCH.items() if (folder := _descriptions()) and (folder / file).is_file()]
    return arms + [f"menagerie:{arm}" for arm in sorted(_folders())]


def _ogbench(arm: str) -> Path:
    require_known("robot of ogbench", arm, OGBENCH)
    folder = _descriptions()
    path = folder / OGBENCH[arm] if folder else None
    if path is None or not path.is_file():
        where = f"no file {path}" if path else "the package ogbench is not installed"
        raise ValueError(f"robot 'ogbench:{arm}' is one of ogbench's, but {where}; pip install 'worldmodel[worlds]' brings it")
    return path


def _descriptions() -> Path | None:
    """The folder of ogbench's MJCF files, found without importing it."""
    package = importlib.util.find_spec("ogbench")
    roots = package.submodule_search_locations if package else None
    return Path(next(iter(roots))) / "manipspace" / "descriptions" if roots else None


def _menagerie(arm: str) -> Path:
    folders = _folders()
    if not folders:
        raise ValueError(
            f"robot 'menagerie:{arm}' needs MuJoCo Menagerie, and no arm of it was found in {', '.join(map(str, _roots()))}; "
            "clone github.com/google-deepmind/mujoco_menagerie and set MUJOCO_MENAGERIE_PATH to its folder"
        )
    require_known("arm of MuJoCo Menagerie on this machine", arm, sorted(folders))
    return folders[arm]


def _roots() -> list[Path]:
    """Folders that may hold MuJoCo Menagerie's, in the order in which they are looked into."""
    home = Path.home()
    told = [Path(os.environ[name]).expanduser() for name in ("MUJOCO_MENAGERIE_PATH", "MENAGERIE_ROOT") if os.environ.get(name)]
    described = Path(os.environ.get("ROBOT_DESCRIPTIONS_CACHE", home / ".cache" / "robot_descriptions")).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "mujoco_menagerie"
    packaged = Path(os.environ.get("MENAGERIE_CACHE_DIR") or cache).expanduser()
    return [*told, described / "mujoco_menagerie", packaged / "models"]


def _folders() -> dict[str, Path]:
    """Name of a folder -> the file of its arm, for what looks like one."""
    found: dict[str, Path] = {}
    for root in _roots():
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            # The package mujoco-menagerie puts a version behind the name.
            name = folder.name.rpartition("-")[0] if root.name == "models" and "-" in folder.name else folder.name
            file = _arm_of(folder) if folder.is_dir() else None
            if file is not None:
                found.setdefault(name, file)
    return found


def _arm_of(folder: Path) -> Path | None:
    """The file of an arm that has a place for a tool; of several, one without a hand, or the one with the shortest name."""
    files = [file for file in folder.glob("*.xml") if not file.name.startswith(NOT_ARMS) and _has_place(file)]
    bare = [file for file in files if file.stem.endswith(("_nohand", "_no_hand"))]
    return min(bare or files, key=lambda file: (len(file.name), file.name), default=None)


def _has_place(file: Path) -> bool:
    text = file.read_text(encoding="utf-8", errors="replace")
    return any(f'name="{site}"' in text for site in SITES)


def _mjcf(arm: str) -> Path:
    path = Path(arm).expanduser()
    if not path.is_file():
        raise ValueError(f"robot 'mjcf:{arm}' is a file, but there is none at {path.resolve()}; mjcf:PATH takes an arm's MJCF")
    return path
