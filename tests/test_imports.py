"""Who may import whom, read off the import statements of every file; nothing is executed.

    envs        no project package, no torch
    worldmodel  no other project package, no gymnasium, no mujoco
    agents      worldmodel; envs only in agents/cli.py, which nothing imports but `python -m`

A name for the type checker alone (under `if TYPE_CHECKING:`) ties nothing at run time and is left out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ("envs", "worldmodel", "agents")
FORBIDDEN = {
    "envs": ("worldmodel", "agents", "torch"),
    "worldmodel": ("envs", "agents", "gymnasium", "mujoco"),
    "agents": ("envs",),
}
COMPOSITION_ROOT = "agents.cli"
LAUNCHERS = ("worldmodel.__main__", "agents.__main__")
"""What `python -m` runs; nothing can import them, and all that they do is to call the composition root."""


def module_name(path: Path, root: Path = ROOT) -> str:
    """agents/report/__init__.py -> agents.report"""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def statements(tree: ast.AST, inside_functions: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements that can run; those in functions run later, and only when asked for."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from statements(ast.Module([other], []), inside_functions)
        elif inside_functions or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from statements(node, inside_functions)


def imported(source: str, module: str, is_package: bool, inside_functions: bool = True) -> set[tuple[str, str]]:
    """What a file imports: `from a.b import c` gives (a.b, a.b.c), since c may be a module; `import a.b` (a.b, a.b)."""
    pairs = set()
    for node in statements(ast.parse(source), inside_functions):
        if isinstance(node, ast.Import):
            pairs |= {(alias.name, alias.name) for alias in node.names}
            continue
        base = node.module or ""
        if node.level:
            package = module.split(".") if is_package else module.split(".")[:-1]
            package = package[: len(package) - (node.level - 1)]
            base = ".".join([*package, *([base] if base else [])])
        pairs |= {(base, f"{base}.{alias.name}") for alias in node.names}
    return pairs


def below(name: str, package: str) -> bool:
    """Whether `name` is `package` or something in it."""
    return name == package or name.startswith(package + ".")


def sources() -> dict[str, Path]:
    """Module name -> file, of every file of the project's packages."""
    return {module_name(path): path for package in PROJECT for path in sorted((ROOT / package).rglob("*.py"))}


def imports_of(module: str, path: Path, inside_functions: bool = True) -> set[tuple[str, str]]:
    """What one of the project's files imports."""
    return imported(path.read_text(encoding="utf-8"), module, path.name == "__init__.py", inside_functions)


def violations(module: str, pairs: set[tuple[str, str]]) -> list[str]:
    """The forbidden ones among the imports of a module."""
    package = module.split(".")[0]
    forbidden = [*FORBIDDEN[package], COMPOSITION_ROOT]
    if module == COMPOSITION_ROOT:
        forbidden.remove("envs")
    found = {name for pair in pairs for name in pair if any(below(name, f) for f in forbidden)}
    return sorted(name for name in found if not (module in LAUNCHERS and below(name, COMPOSITION_ROOT)))


def edges(module: str, pairs: set[tuple[str, str]], modules: set[str]) -> set[str]:
    """The project's modules that must be there before this one is.

    `from package import module` needs that module alone, not the rest of its package: Python has begun the package by then.
    """
    return {name if name in modules else base for base, name in pairs} & modules - {module}


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Each group of two or more modules that import each other around (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = [stack.pop()]
            while group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


@pytest.mark.parametrize(("module", "path"), sources().items(), ids=sources().keys())
def test_a_file_imports_only_what_its_room_may(module, path):
    assert violations(module, imports_of(module, path)) == []


def test_no_module_imports_itself_around_a_corner():
    files = sources()
    # Only module level: an import in a function is how a cycle is avoided.
    found = {module: imports_of(module, path, inside_functions=False) for module, path in files.items()}
    graph = {module: edges(module, pairs, set(files)) for module, pairs in found.items()}
    assert cycles(graph) == []


def test_other_folders_do_not_import_the_composition_root_either():
    for folder in ("examples", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            pairs = imported(path.read_text(encoding="utf-8"), path.stem, is_package=False)
            assert not any(below(name, COMPOSITION_ROOT) for pair in pairs for name in pair), path


# The guard itself, on files that break the rules.


@pytest.mark.parametrize(
    ("module", "source", "caught"),
    [
        ("envs.robots.arm", "import torch.nn", ["torch.nn"]),
        ("envs.robots.arm", "from worldmodel.types import Episode", ["worldmodel.types", "worldmodel.types.Episode"]),
        ("worldmodel.jepa", "def f():\n    import mujoco", ["mujoco"]),
        ("worldmodel.data.reader", "from ...agents import mpc", ["agents", "agents.mpc"]),
        ("agents.mpc", "import envs", ["envs"]),
        ("agents.mpc", "from agents import cli", ["agents.cli"]),
        ("agents.cli", "import envs", []),
        ("worldmodel.__main__", "from agents.cli import main", []),
        ("worldmodel.__main__", "from agents import mpc", ["agents", "agents.mpc"]),
        ("agents.mpc", "import torch, worldmodel.jepa, environs", []),
        ("worldmodel.types", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gymnasium", []),
        ("worldmodel.types", "if TYPE_CHECKING:\n    pass\nelse:\n    import gymnasium", ["gymnasium"]),
        ("worldmodel.types", "try:\n    import gymnasium\nexcept ImportError:\n    pass", ["gymnasium"]),
    ],
)
def test_the_guard_sees_every_kind_of_import(module, source, caught):
    assert violations(module, imported(source, module, is_package=False)) == caught


def test_the_guard_sees_cycles():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_a_package_and_its_modules_are_a_cycle_only_when_they_need_each_other():
    modules = {"p", "p.a", "p.b"}
    assert edges("p.a", imported("from p import b", "p.a", is_package=False), modules) == {"p.b"}
    assert edges("p.a", imported("from p import Name", "p.a", is_package=False), modules) == {"p"}


def test_imports_in_functions_make_no_cycle():
    source = "import a\ndef f():\n    import b\nclass C:\n    import c"
    assert imported(source, "m", is_package=False, inside_functions=False) == {("a", "a"), ("c", "c")}


def test_there_is_something_to_guard():
    assert {"worldmodel.types", "worldmodel.train.trainer"} <= sources().keys()
