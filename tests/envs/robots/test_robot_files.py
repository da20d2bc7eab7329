"""Where other people's arms are looked for, and what is said where they are not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from envs.robots import available, files, make_robot, require_robot
from envs.tabletop import TabletopEnv
from tests.envs.robots.tiny import TINY, write

CACHES = ("MUJOCO_MENAGERIE_PATH", "MENAGERIE_ROOT", "MENAGERIE_CACHE_DIR", "ROBOT_DESCRIPTIONS_CACHE", "XDG_CACHE_HOME")


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which no package has left anything."""
    for name in CACHES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")


def test_a_folder_of_menagerie_is_found_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = write(tmp_path / "menagerie")
    (file.parent / "scene.xml").write_text(TINY)
    monkeypatch.setenv("MUJOCO_MENAGERIE_PATH", str(tmp_path / "menagerie"))
    assert files.find("menagerie:tiny") == file
    assert "menagerie:tiny" in files.present() and "menagerie:tiny" in available()
    bare = file.with_name("tiny_nohand.xml")
    bare.write_text(TINY)
    assert files.find("menagerie:tiny") == bare
    (tmp_path / "menagerie" / "dog").mkdir()
    (tmp_path / "menagerie" / "dog" / "dog.xml").write_text("<mujoco/>")  # has no place for a tool
    assert "menagerie:dog" not in files.present()


@pytest.mark.parametrize("where", ["robot_descriptions/mujoco_menagerie/tiny", "mujoco_menagerie/models/tiny-0a1b2c3d4e5f6071"])
def test_what_packages_have_cached_is_found(tmp_path: Path, where: str) -> None:
    folder = tmp_path / "home" / ".cache" / where
    file = write(folder.parent, folder.name)
    assert files.find("menagerie:tiny") == file


def test_what_is_missing_is_said_in_one_line_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no arm of it was found in .*robot_descriptions.*set MUJOCO_MENAGERIE_PATH"
    ) as caught:
        TabletopEnv(robot="menagerie:franka_emika_panda")
    assert "\n" not in str(caught.value)
    assert "set MUJOCO_MENAGERIE_PATH" in available()
    write(tmp_path / "menagerie")
    monkeypatch.setenv("MUJOCO_MENAGERIE_PATH", str(tmp_path / "menagerie"))
    with pytest.raises(ValueError, match=r"'tinny'; available: tiny. Did you mean 'tiny'\?"):
        require_robot("menagerie:tinny")
    with pytest.raises(ValueError, match=r"unknown robot 'gantri'.*menagerie:tiny.*Did you mean 'gantry'\?"):
        require_robot("gantri")
    with pytest.raises(ValueError, match="is a file, but there is none at"):
        require_robot("mjcf:nowhere.xml")


def test_ogbench_is_named_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"ogbench is not installed; pip install 'worldmodel\[worlds\]'"):
        require_robot("ogbench:ur5e_2f85")
    with pytest.raises(ValueError, match="unknown robot of ogbench 'ur5'; available: ur5e_2f85"):
        require_robot("ogbench:ur5")
    assert not [name for name in files.present() if name.startswith("ogbench")]


@pytest.mark.skipif(importlib.util.find_spec("ogbench") is None, reason="ogbench is not installed")
def test_ogbench_is_not_imported_to_find_its_arm() -> None:
    code = (
        "import sys; from envs.robots import files, require_robot; require_robot('ogbench:ur5e_2f85'); "
        "assert files.find('ogbench:ur5e_2f85').name == 'ur5e.xml'; assert 'ogbench' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_arm_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path) -> None:
    def refusal(name: str, text: str) -> str:
        with pytest.raises(ValueError) as caught:
            make_robot(f"mjcf:{write(tmp_path, name, text)}")
        assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
        return str(caught.value)

    assert "XML" in refusal("broken", "<mujoco>")
    assert "it needs a site at which a tool is fixed" in refusal(
        "no_site", TINY.replace("attachment_site", "here").replace("hand", "grip")
    )
    five = TINY.replace('<joint name="wrist1" axis="0 1 0"/>', "").replace("0 0 0 0 0 0 0", "0 0 0 0 0 0")
    assert "6 or 7 hinges in a row, one a body, got hinge, hinge, hinge, hinge, hinge" in refusal("five", five)
    slide = TINY.replace('name="elbow" axis', 'name="elbow" type="slide" axis')
    assert "got hinge, hinge, slide" in refusal("slide", slide)
    tilted = TINY.replace('euler="0 0 90"', 'euler="30 0 90"')
    assert "first joint must turn about the vertical" in refusal("tilted", tilted)
    aside = TINY.replace('pos="0 0 .04"/>', 'pos="0.02 0 .04"/>')
    assert "last joint must turn the flange about the line of the tool" in refusal("aside", aside)
    short = TINY.replace(".45", ".30").replace(".42", ".27")
    assert "of the workspace at this table" in refusal("short", short)
