"""Recording with a local Ray of two CPUs: the same dataset as in processes, also when an actor is killed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from agents.recording.on_ray import RayCrew, import_ray, ray_crew
from agents.recording.record import RecordConfig, missing_episodes, record
from tests.agents.recording.deadly import Deadly
from tests.fakes import LineWorld
from worldmodel.data import Dataset
from worldmodel.errors import ConfigError, MismatchError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]  # Ray leaves pipes to its children open

CONFIG = RecordConfig(num_episodes=12, seed=3, workers=2, episodes_per_shard=4)


@pytest.fixture(scope="module")
def crews() -> Iterator[list[RayCrew]]:
    """One Ray for all the tests."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    ray, before = import_ray(), signal.getsignal(signal.SIGTERM)
    with RayCrew(LineWorld, CONFIG, Path(), "local") as crew:
        assert crew.ours and ray.is_initialized()
        assert signal.getsignal(signal.SIGTERM) == before  # ray.init leaves a handler of its own, which exits at once
        yield [crew]
    assert not ray.is_initialized()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Digests of the episodes as one process records them."""
    root = tmp_path_factory.mktemp("line") / "data"
    record(LineWorld, RecordConfig(**{**vars(CONFIG), "workers": 1}), root)
    return [row.sha256 for row in Dataset.open(root).episodes]


def test_actors_record_the_same_episodes_also_when_one_is_killed(
    crews: list[RayCrew], recorded: list[str], tmp_path: Path
) -> None:
    root = tmp_path / "data"
    done = record(partial(Deadly, deaths=1, at=3, folder=tmp_path), CONFIG, root, crew=ray_crew())
    dataset = Dataset.open(root)
    assert len(list(tmp_path.glob("death-*"))) == 1
    assert (done.num_new, done.num_actions) == (12, dataset.num_frames - 12)
    assert [row.sha256 for row in dataset.episodes] == recorded and dataset.verify() == []


def test_an_interruption_publishes_what_there_is(crews: list[RayCrew], recorded: list[str], tmp_path: Path) -> None:
    class Listening:
        def update(self, done: int, total: int, **fields: str | float) -> None:
            if done == 20:
                os.kill(os.getpid(), signal.SIGINT)

    config, root = RecordConfig(**{**vars(CONFIG), "num_episodes": 4000, "episodes_per_shard": 5000}), tmp_path / "data"
    with pytest.raises(KeyboardInterrupt):
        record(LineWorld, config, root, Listening(), crew=ray_crew())
    kept = 4000 - len(missing_episodes(root, config))
    assert 20 <= kept < 4000


def test_an_actors_mistake_arrives_as_it_was(crews: list[RayCrew], tmp_path: Path) -> None:
    config = RecordConfig(**{**vars(CONFIG), "labels": ("colour",)})
    with pytest.raises(MismatchError, match="info has no 'colour'"):
        record(LineWorld, config, tmp_path / "data", crew=ray_crew())


def test_too_few_cpus_are_told(crews: list[RayCrew], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="workers is 3, and this Ray has 2 CPUs"):
        record(LineWorld, RecordConfig(**{**vars(CONFIG), "workers": 3}), tmp_path / "data", crew=ray_crew())


def test_only_this_machine_can_reach_it(crews: list[RayCrew]) -> None:
    tables = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    ours = {target for pid in _children() for target in _open_files(pid)}
    listening = [row[1].split(":")[0] for row in tables if row[3] == "0A" and f"socket:[{row[9]}]" in ours]
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert listening and set(listening) <= loopback


def _children() -> set[int]:
    """This process and everything that it started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    family = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _open_files(pid: int) -> Iterator[str]:
    """What the file descriptors of a process stand for; nothing when it has just ended."""
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            yield os.readlink(link)
