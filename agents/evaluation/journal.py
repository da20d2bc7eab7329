"""Finished episodes of an evaluation on disk, so that an interrupted one goes on and a longer one extends it.

A row is used again only for the same agent, world, code and machine: a score never mixes two of any of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import gymnasium

from agents.evaluation.protocol import EvaluationProtocol, content_hash
from agents.evaluation.scores import EpisodeResult, this_machine
from worldmodel.errors import DataError
from worldmodel.train.files import dump_json

log = logging.getLogger(__name__)

PROJECT = ("agents", "worldmodel")
"""Packages whose code can change a score, besides the environment's own."""


class Journal:
    """One JSON line an episode; a new line is on disk before the next episode begins.

    `known` maps (agent, start) to the episodes that need not be played again. Raises DataError for a file that is something
    else.
    """

    def __init__(self, path: Path, protocol: EvaluationProtocol, env: gymnasium.Env, identities: Mapping[str, str]) -> None:
        self.path, self.identities = path, identities
        self.key = content_hash(protocol.episode_hash, this_machine(), source_hash(env))
        self.known = self._read()

    def append(self, result: EpisodeResult) -> None:
        """Keep one more episode."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        row = {"key": self.key, "identity": self.identities[result.agent], "result": result.to_json()}
        with self.path.open("a") as file:
            file.write(dump_json(row, indent=None) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> dict[tuple[str, int], EpisodeResult]:
        if not self.path.exists():
            return {}
        *lines, torn = self.path.read_text().split("\n")
        if torn:  # a crash while writing: without this line break the next row would be glued to half a row
            with self.path.open("a") as file:
                file.write("\n")
        known = {}
        for line in filter(None, lines):
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                log.warning("%s: a damaged line is left out", self.path)
                continue
            try:
                result = EpisodeResult.from_json(row["result"])
                mine = row["key"] == self.key and row["identity"] == self.identities.get(result.agent)
            except (KeyError, TypeError):
                raise DataError(f"{self.path} is no journal of an evaluation; move it away") from None
            if mine:
                known[result.agent, result.seed] = result
        return known


def source_hash(env: gymnasium.Env) -> str:
    """Hash of the Python files that decide what happens: this project's, and those of the environment's package.

    An environment that adapts another one has it as `inner`, whose package counts too.
    """
    digest = hashlib.sha256()
    adapted = getattr(env.unwrapped, "inner", None)
    worlds = (env.unwrapped, *([] if adapted is None else [adapted.unwrapped]))
    for name in sorted({*PROJECT, *(type(world).__module__.partition(".")[0] for world in worlds)}):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None:
            continue
        start = Path(file)
        for path in sorted(start.parent.rglob("*.py")) if start.name == "__init__.py" else [start]:
            digest.update(str(path.relative_to(start.parent)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
