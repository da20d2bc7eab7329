"""Which code made a file: its revision, and the versions of what it computes with."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

import worldmodel

PACKAGES = ("worldmodel", "torch", "numpy", "mujoco", "gymnasium")
"""Distributions whose versions are noted, read from their metadata and never imported."""


def code_commit() -> str:
    """Revision of this code, with "-dirty" after it when files differ; the version outside a checkout. Never fails."""
    package = Path(worldmodel.__file__).resolve().parent
    try:
        top = Path(_git(package, "rev-parse", "--show-toplevel"))
        if package.parent == top:  # an installed package may lie inside somebody else's checkout
            changed = _git(package, "status", "--porcelain", "--untracked-files=no")
            return _git(package, "rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.SubprocessError):
        pass  # no git here, or no checkout: the version says it
    return package_versions().get("worldmodel", "unknown")


def package_versions() -> dict[str, str]:
    """Versions of the distributions that shape the numbers, of those that are installed."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git(directory: Path, *arguments: str) -> str:
    """What git says, in `directory`; seconds of patience, no more."""
    command = ["git", "-C", str(directory), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
