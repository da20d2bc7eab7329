"""Streaming, going on after a kill, and refusing to mix sources."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from import_sources import make_lerobot_v2
from tiny_world import SPEC, assert_same, make_episode

from worldmodel.data import Dataset, recorded_episodes
from worldmodel.data.importers import RECORD, ImportedWorld, ImportMap, MappedImporter, import_into, open_source
from worldmodel.data.upkeep.repair import repair
from worldmodel.errors import DataError, MismatchError, WorldModelError
from worldmodel.types import Episode


class Fake:
    """`num_episodes` episodes of the tiny world."""

    def __init__(self, num_episodes: int, really: int | None = None, length: int | None = None, pause: float = 0.0) -> None:
        self.num_episodes = num_episodes
        self.really = num_episodes if really is None else really
        self.length, self.pause = length, pause
        self.asked: list[int] = []

    def describe(self) -> ImportedWorld:
        record = {"source": {"kind": "fake", "fingerprint": str(self.num_episodes)}, "map": {}}
        return ImportedWorld(SPEC, 2.0, self.num_episodes, record, "unknown")

    def episodes(self, start: int) -> Iterator[Episode]:
        for k in range(start, self.really):
            self.asked.append(k)
            time.sleep(self.pause)
            yield make_episode(k, self.length)

    def clips(self, k: int) -> dict[str, bytes]:
        return {}


class Heard:
    """What the progress was told."""

    def __init__(self) -> None:
        self.done: list[tuple[int, int]] = []

    def update(self, done: int, total: int, **fields: str | float) -> None:
        self.done.append((done, total))


def test_episode_k_of_the_source_is_episode_k_of_the_dataset(tmp_path: Path):
    heard = Heard()
    done = import_into(Fake(10), tmp_path / "out", heard, episodes_per_shard=4)
    assert (done.num_episodes, done.num_new, done.complete) == (10, 10, True)
    assert heard.done == [(k + 1, 10) for k in range(10)]
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.verify() == []
    for k in range(10):
        assert_same(dataset.read_episode(k), make_episode(k))


def test_a_stopped_import_goes_on_where_it_was(tmp_path: Path):
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) >= 5

    first = import_into(Fake(10), tmp_path / "out", stopped=stopped)
    assert (first.num_episodes, first.complete) == (5, False)
    fake = Fake(10)
    second = import_into(fake, tmp_path / "out")
    assert fake.asked == [5, 6, 7, 8, 9] and second.num_new == 5
    import_into(Fake(10), tmp_path / "whole")
    assert Dataset.open(tmp_path / "out").fingerprint == Dataset.open(tmp_path / "whole").fingerprint
    again = Fake(10)
    assert import_into(again, tmp_path / "out").num_new == 0 and again.asked == []


def test_a_failing_episode_keeps_what_came_before(tmp_path: Path):
    class Failing(Fake):
        def episodes(self, start: int) -> Iterator[Episode]:
            yield from (make_episode(k) for k in range(start, 3))
            raise DataError("episode 3: field 'x' holds NaN")

    with pytest.raises(DataError, match="episode 3"):
        import_into(Failing(10), tmp_path / "out")
    assert recorded_episodes(tmp_path / "out") == {0, 1, 2}


def test_a_source_that_ends_early_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="ended after 4 episodes; it said that it has 6"):
        import_into(Fake(6, really=4), tmp_path / "out")


def test_another_source_or_map_is_refused(tmp_path: Path, root: Path):
    source = make_lerobot_v2(tmp_path / "v2")
    import_into(MappedImporter(open_source(source)), tmp_path / "out")
    with pytest.raises(MismatchError, match="imported from another map"):
        import_into(MappedImporter(open_source(source), ImportMap(image_size=(4, 4))), tmp_path / "out")
    source.rename(tmp_path / "moved")  # the same source in another place
    assert import_into(MappedImporter(open_source(tmp_path / "moved")), tmp_path / "out").num_new == 0
    with pytest.raises(WorldModelError, match="another source"):
        import_into(MappedImporter(open_source(make_lerobot_v2(tmp_path / "v2", (5, 7)))), tmp_path / "out")
    with pytest.raises(DataError, match="not imported"):
        import_into(Fake(20), root)
    assert not (root / RECORD).exists()


@pytest.mark.slow
def test_a_thousand_episodes_need_no_more_memory_than_a_hundred(tmp_path: Path):
    def peak(num_episodes: int) -> tuple[int, int]:
        """Most bytes at once of Python and numpy, and of Arrow, while episodes stream in; finishing is not asked for."""
        arrow = []

        class Weighed(Fake):
            def episodes(self, start: int) -> Iterator[Episode]:
                for episode in super().episodes(start):
                    arrow.append(pa.total_allocated_bytes())
                    yield episode

        tracemalloc.start()
        try:
            with pytest.raises(DataError, match="ended after"):
                never_finished = Weighed(num_episodes + 1, really=num_episodes, length=2)
                import_into(never_finished, tmp_path / str(num_episodes), episodes_per_shard=16)
            return tracemalloc.get_traced_memory()[1], max(arrow)
        finally:
            tracemalloc.stop()

    (few, few_arrow), (many, many_arrow) = peak(100), peak(1000)
    assert many < few + 300_000  # the indices of the episodes; the episodes themselves would be over 600 kB more
    assert many_arrow < few_arrow + 100_000
    assert len(recorded_episodes(tmp_path / "1000")) == 1000


def test_long_episodes_are_published_before_a_shard_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worldmodel.data.importers.driver.SHARD_BYTES", 1.0)
    with pytest.raises(DataError):
        import_into(Fake(4, really=3), tmp_path, episodes_per_shard=64)
    assert len(list((tmp_path / "recording").glob("*.episodes.parquet"))) == 3


VICTIM = """
import sys
from pathlib import Path
from test_import_driver import Fake
from worldmodel.data.importers import import_into
print("ready", flush=True)
import_into(Fake(40, pause=0.02), Path(sys.argv[1]), episodes_per_shard=3)
"""


@pytest.mark.slow
def test_a_killed_import_ends_with_the_same_fingerprint(tmp_path: Path):
    import_into(Fake(40), tmp_path / "whole")
    rng = np.random.default_rng(0)
    root, have = tmp_path / "killed", set()
    for wait in rng.uniform(0, 0.05, size=2):
        command = [sys.executable, "-c", VICTIM, str(root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent) as victim:
            assert victim.stdout is not None and victim.stdout.readline() == "ready\n"
            deadline = time.monotonic() + 20
            while len(list(root.glob("recording/*.episodes.parquet"))) <= len(have) / 3 and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(wait)  # anywhere within the next shard and its files
            os.kill(victim.pid, signal.SIGKILL)
        have = recorded_episodes(root)
        assert have == set(range(len(have)))
    assert 0 < len(have) < 40
    import_into(Fake(40), root)
    assert Dataset.open(root).fingerprint == Dataset.open(tmp_path / "whole").fingerprint
    assert Dataset.open(root).verify() == []
    assert not list(root.rglob("*.part"))


def test_a_repaired_import_does_not_import_an_episode_twice(tmp_path: Path):
    root = tmp_path / "out"
    import_into(Fake(10), root)
    table = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet")
    broken = table.set_column(table.schema.get_field_index("seed"), "seed", pa.array([7, *table["seed"].to_pylist()[1:]]))
    pq.write_table(broken, root / "meta/episodes/chunk-000/file-000.parquet")
    assert [index for index, _ in repair(root).dropped] == [0]
    with pytest.raises(DataError, match="was not imported; import into a new folder"):
        import_into(Fake(10), root)
    assert [row.seed for row in Dataset.open(root).episodes] == list(range(1001, 1010))


def test_the_card_of_an_import_says_so_and_keeps_the_licence(tmp_path: Path):
    source = make_lerobot_v2(tmp_path / "v2")
    importer = MappedImporter(open_source(source), ImportMap(licence="cc-by-nc-4.0"))
    assert not import_into(importer, tmp_path / "out", stopped=lambda: True).complete
    repair(tmp_path / "out")  # finishes what there is, and knows the map from its record alone
    text = (tmp_path / "out/README.md").read_text()
    assert text.startswith("---\nlicense: cc-by-nc-4.0\n") and "## Licence\n\ncc-by-nc-4.0\n" in text
    assert "another program recorded it" in text
    for false in ("imulat", "Gymnasium", "same start again"):
        assert false not in text
