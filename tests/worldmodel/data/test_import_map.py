"""The user's map: names, units, rates and bounds; what it asks for that cannot be is one line."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest

from worldmodel.data.importers import FORMATS, ImportMap, MappedImporter, Rates, Unit, open_source
from worldmodel.data.importers.base import SourceEpisode, SourceField, SourceInfo
from worldmodel.errors import ConfigError, DataError, WorldModelError
from worldmodel.types import Episode

STEPS = 7


class Tiny:
    """Two episodes at 6 frames a second: `pos` counts frames, `push` is 2-wide and counts steps."""

    def __init__(self, **changes: object) -> None:
        self.changes = changes

    def describe(self) -> SourceInfo:
        fields = {
            "pos": SourceField("vector", "proprio", (2,), "float64", ("x [cm]", "y")),
            "eye/left": SourceField("image", "left", (4, 5, 3), "uint8"),
            "push": SourceField("action", "action", (2,), "float32"),
            "grip": SourceField("action", "action", (), "float32", low=(0.0,), high=(1.0,)),
            "gain": SourceField("reward", "reward", (), "float32"),
            "mass": SourceField("label", "mass", (1,), "float64"),
            "count": SourceField("vector", "count", (), "int64"),
        }
        return SourceInfo("tiny", fields, 2, {"kind": "tiny", "fingerprint": "0"}, fps=6.0)

    def read(self, k: int, fields: Collection[str]) -> SourceEpisode:
        frames, steps = np.arange(STEPS + 1.0), np.arange(STEPS, dtype=np.float32)
        values = {
            "pos": np.stack([frames, -frames], axis=1),
            "eye/left": np.full((STEPS + 1, 4, 5, 3), k, np.uint8) + np.arange(STEPS + 1, dtype=np.uint8)[:, None, None, None],
            "push": np.stack([steps, steps * 10], axis=1),
            "grip": np.ones(STEPS, np.float32),
            "gain": steps,
            "mass": frames[:, None],
            "count": np.arange(STEPS + 1),
            **self.changes,
        }
        return SourceEpisode({name: values[name] for name in fields}, STEPS, True, False, False, 40 + k, "go")


def first(mapping: ImportMap | None = None, **changes: object) -> Episode:
    return next(MappedImporter(Tiny(**changes), mapping).episodes(0))


def test_without_a_map_everything_keeps_its_place():
    importer = MappedImporter(Tiny())
    assert set(importer.spec.sensors) == {"pixels", "proprio", "count"}
    assert importer.spec.sensors["pixels"].camera == "left"
    assert importer.spec.action.names == ("push_0", "push_1", "grip")
    assert importer.spec.action.low == (0, 0, 0) and importer.spec.action.high == (STEPS - 1, 10 * (STEPS - 1), 1)
    first, second = importer.episodes(0)
    np.testing.assert_array_equal(first.actions[:, 1], 10 * np.arange(STEPS))
    np.testing.assert_array_equal(first.labels["mass"], np.arange(STEPS + 1.0), strict=True)
    assert first.observations["count"].shape == (STEPS + 1, 1)
    assert (second.seed, second.instruction) == (41, "go")


def test_names():
    mapping = ImportMap(
        names={"pos": "label.where", "eye/left": "eye", "push": "drop", "count": "success", "mass": "proprio"},
        robot="panda",
        control_mode="grip",
        instruction="stop",
    )
    importer = MappedImporter(Tiny(), mapping)
    episode = next(importer.episodes(0))
    assert set(episode.observations) == {"eye", "proprio"} and set(episode.labels) == {"where"}
    assert importer.spec.action.names == ("grip",)
    assert (importer.spec.robot, importer.spec.control_mode, episode.instruction) == ("panda", "grip", "stop")
    assert episode.success and importer.describe().dropped == ("push",)
    only = MappedImporter(Tiny(), ImportMap(names={"pos": "proprio"}, unnamed="drop"))
    assert set(only.plan.fields) == {"pos"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("sum", [[0 + 1 + 2, 30, 3], [3 + 4 + 5, 120, 3]]),
        ("last", [[2, 20, 1], [5, 50, 1]]),
        ("stack", [[0, 0, 1, 1, 10, 1, 2, 20, 1], [3, 30, 1, 4, 40, 1, 5, 50, 1]]),
    ],
)
def test_rates(rule, expected: list[list[float]]):
    importer = MappedImporter(Tiny(), ImportMap(rates=Rates(fps=2, actions=rule)))
    episode = next(importer.episodes(0))
    assert importer.fps == 2
    np.testing.assert_array_equal(episode.observations["proprio"][:, 0], [0, 3, 6])
    np.testing.assert_array_equal(episode.observations["pixels"][:, 0, 0, 0], [0, 3, 6])
    np.testing.assert_array_equal(episode.labels["mass"], [0, 3, 6])
    np.testing.assert_array_equal(episode.actions, np.array(expected, np.float32), strict=True)
    np.testing.assert_array_equal(episode.rewards, [0 + 1 + 2, 3 + 4 + 5])
    spec = importer.spec.action
    assert spec.dim == len(expected[0])
    assert (episode.actions >= np.array(spec.low)).all() and (episode.actions <= np.array(spec.high)).all()


def test_bounds_of_the_map_are_a_promise():
    bounds = ImportMap(action_low=(0, 0, 0), action_high=(6, 60, 1), action_names=("a", "b", "c"))
    assert MappedImporter(Tiny(), bounds).spec.action.names == ("a", "b", "c")
    first(bounds)
    with pytest.raises(DataError, match=r"episode 0: element 1 of the action is 60 at step 6; expected 0 to 50"):
        first(ImportMap(action_low=(0, 0, 0), action_high=(6, 50, 1)))


def test_an_action_that_never_changes_gets_bounds():
    importer = MappedImporter(Tiny(push=np.full((STEPS, 2), 3.0, np.float32)))
    assert importer.spec.action.low[:2] == (2, 2) and importer.spec.action.high[:2] == (4, 4)
    assert any("never changing" in note and "push_0, push_1" in note for note in importer.notes)


def test_units_replace_the_unit_in_a_name():
    importer = MappedImporter(Tiny(), ImportMap(units={"pos": Unit(0.01, unit="m")}))
    assert importer.spec.sensors["proprio"].names == ("x [m]", "y [m]")
    expected = (np.arange(STEPS + 1.0) * 0.01).astype(np.float32)
    np.testing.assert_array_equal(next(importer.episodes(0)).observations["proprio"][:, 0], expected)


def test_skipped_episodes_move_the_rest_up():
    importer = MappedImporter(Tiny(), ImportMap(skip_episodes=(0,)))
    assert importer.describe().num_episodes == 1
    assert [episode.seed for episode in importer.episodes(0)] == [41]


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"names": {"poss": "x"}}, r"m.yaml: names: unknown field 'poss'.*Did you mean 'pos'"),
        ({"units": {"grp": Unit()}}, r"m.yaml: units: unknown field 'grp'"),
        ({"units": {"eye/left": Unit(2.0)}}, r"units: field 'eye/left' is pictures"),
        ({"units": {"pos": Unit((1.0, 2.0, 3.0))}}, r"units: field 'pos' has 2 elements; got 3"),
        ({"names": {"eye/left": "action"}}, r"field 'eye/left' is pictures"),
        ({"names": {"pos": "count"}}, r"'pos' and 'count' both become 'count'"),
        ({"names": {"pos": "/etc/passwd"}}, r"bad sensor name"),
        ({"names": dict.fromkeys(("pos", "eye/left", "count"), "drop")}, r"nothing to see"),
        (
            {"rates": Rates(fps=4, actions="sum")},
            r"m.yaml: rates: 6 .* no whole multiple of fps 4; expected 6, 3, 2,",
        ),
        ({"rates": Rates(fps=12)}, r"no whole multiple"),
        ({"rates": Rates(fps=2)}, r"rates.actions: sum, last or stack"),
        ({"action_names": ("a",)}, r"action_names has 1 elements; the action has 3"),
        ({"action_low": (0,), "action_high": (1,)}, r"action_low has 1 elements; the action has 3"),
        ({"privileged": ("prop",)}, r"privileged: unknown sensor 'prop'.*'proprio'"),
        ({"skip_episodes": (2,)}, r"no episode 2; the source has 0 to 1"),
        ({"rates": Rates(fps=0.5, actions="sum")}, r"tiny: episode 0 has 8 frames, which leave 1 at 0.5 a second"),
    ],
)
def test_a_map_that_does_not_fit(mapping: dict, words: str):
    with pytest.raises(WorldModelError, match=words):
        list(MappedImporter(Tiny(), ImportMap(**mapping), where="m.yaml").episodes(0))


@pytest.mark.parametrize(
    "values",
    [
        {"action_low": (0,)},
        {"action_low": (1,), "action_high": (1,)},
        {"image_size": (0, 5)},
        {"names": {"a": "pixels", "b": "pixels"}},
    ],
)
def test_a_map_that_makes_no_sense(values: dict):
    with pytest.raises(ConfigError):
        ImportMap(**values)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("pos", [[1.0, 2.0], [3.0]], "ragged"),
        ("pos", np.full((STEPS + 1, 2), np.nan), "NaN or infinity in row 0"),
        ("pos", np.zeros((STEPS + 1, 3)), r"shape \(3,\); expected \(2,\)"),
        ("pos", np.zeros((3, 2)), "has 3 rows; expected 7 or 8"),
        ("pos", np.full((STEPS + 1, 2), 1e300), "beyond the range of float32"),
        ("count", np.full(STEPS + 1, 2**24 + 1), "float32 cannot hold"),
        ("push", np.full((STEPS, 2), np.inf), "NaN or infinity"),
        ("gain", np.zeros(2), "has 2 rows; expected 7 steps"),
        ("mass", np.array(["a"] * (STEPS + 1))[:, None], "expected numbers"),
        ("eye/left", np.zeros((STEPS + 1, 4, 5, 3), np.float32), "picture 0 is float32"),
    ],
)
def test_what_does_not_fit_names_field_and_episode(name: str, values: object, words: str):
    with pytest.raises(DataError, match=rf"tiny: episode 0: field '{name}'.*{words}"):
        list(MappedImporter(Tiny(**{name: values})).episodes(0))


def test_a_last_frame_that_one_field_lacks_is_left_out():
    episode = first(pos=np.zeros((STEPS, 2)))
    assert episode.num_actions == STEPS - 1
    assert len(episode.observations["pixels"]) == STEPS


def test_nothing_known_lists_what_was_looked_for(tmp_path: Path):
    with pytest.raises(DataError) as error:
        open_source(tmp_path)
    assert "\n" not in str(error.value)
    for kind in FORMATS:
        assert kind in str(error.value)
    with pytest.raises(DataError, match=r"no minari source: expected data/metadata\.json"):
        open_source(tmp_path, "minari")
    with pytest.raises(DataError, match="no such file"):
        open_source(tmp_path / "nowhere")
