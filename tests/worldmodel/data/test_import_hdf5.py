"""robomimic, D4RL and Minari, built with h5py and with minari itself, arrive array by array."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from import_sources import TASKS, demo_arrays, episode_of, imported, make_d4rl, make_robomimic, pixels

from worldmodel.data.importers import ImportMap, MappedImporter, Unit, open_source
from worldmodel.errors import DataError


def test_robomimic_arrives_array_by_array(tmp_path: Path):
    lengths = (4, 6)
    dataset = imported(make_robomimic(tmp_path / "demo.hdf5", lengths), tmp_path / "out")
    spec = dataset.spec
    assert (spec.robot, spec.env_id, dataset.fps) == ("Panda", "Lift", 20)
    assert spec.sensors["pixels"].camera == "eye_image"
    assert spec.sensors["state"].privileged and spec.sensors["object"].privileged
    for k, length in enumerate(lengths):
        rows, episode = demo_arrays(k, length), dataset.read_episode(k)
        np.testing.assert_array_equal(episode.observations["pixels"], rows["obs/eye_image"], strict=True)
        for key, name in (("eef_pos", "obs/eef_pos"), ("object", "obs/object"), ("state", "states")):
            np.testing.assert_array_equal(episode.observations[key], rows[name].astype(np.float32), strict=True)
        np.testing.assert_array_equal(episode.actions, rows["actions"][:-1].astype(np.float32), strict=True)
        np.testing.assert_array_equal(episode.rewards, rows["rewards"][:-1].astype(np.float32), strict=True)
        assert (episode.terminated, episode.instruction) == (True, TASKS[k])


def test_robomimic_with_the_next_observations_keeps_every_action(tmp_path: Path):
    source = make_robomimic(tmp_path / "demo.hdf5", next_obs=True)
    rows, episode = demo_arrays(0, 4), episode_of(source, 0, ImportMap(names={"states": "drop"}))
    np.testing.assert_array_equal(episode.actions, rows["actions"].astype(np.float32))
    expected = np.concatenate([rows["obs/eye_image"], rows["next_obs/eye_image"][-1:]])
    np.testing.assert_array_equal(episode.observations["pixels"], expected)
    # states have no row for the last frame: with them, it is left out
    assert episode_of(source, 0).num_actions == 3


def test_robomimic_notes_what_it_cannot_hold(tmp_path: Path):
    world = MappedImporter(open_source(make_robomimic(tmp_path / "demo.hdf5"))).describe()
    assert any("mask/" in note and "train" in note for note in world.notes)
    assert "actions is float64 in the source; kept as float32" in world.notes


@pytest.mark.parametrize("next_obs", [False, True])
def test_d4rl_is_cut_into_episodes(tmp_path: Path, next_obs: bool):
    source = make_d4rl(tmp_path / "data.hdf5", next_obs=next_obs)
    mapping = ImportMap(names={"infos/qpos": "drop"}) if next_obs else None
    dataset = imported(source, tmp_path / "out", mapping)
    cuts = [(0, 4), (5, 8), (8, 10)]
    if next_obs:
        cuts.insert(1, (4, 5))  # a single step has two frames then
    assert dataset.num_episodes == len(cuts)
    with h5py.File(source) as file:
        every = {name: np.asarray(file[name]) for name in ("observations", "actions", "rewards", "infos/qpos")}
        after = np.asarray(file["next_observations"]) if next_obs else None
    for k, (start, stop) in enumerate(cuts):
        episode = dataset.read_episode(k)
        last = stop if next_obs else stop - 1
        expected = every["observations"][start:stop]
        if after is not None:
            expected = np.concatenate([expected, after[stop - 1 : stop]])
        else:
            np.testing.assert_array_equal(episode.labels["infos.qpos"], every["infos/qpos"][start:stop], strict=True)
        np.testing.assert_array_equal(episode.observations["proprio"], expected, strict=True)
        np.testing.assert_array_equal(episode.actions, every["actions"][start:last], strict=True)
        np.testing.assert_array_equal(episode.rewards, every["rewards"][start:last], strict=True)
        assert episode.terminated == (stop in (4, 5))
    notes = MappedImporter(open_source(source), mapping).notes
    assert any("single frame" in note for note in notes) != next_obs


def test_a_link_out_of_the_file_is_not_followed(tmp_path: Path):
    make_d4rl(tmp_path / "other.hdf5")
    source = make_d4rl(tmp_path / "data.hdf5")
    with h5py.File(source, "a") as file:
        file["infos/secret"] = h5py.ExternalLink("other.hdf5", "/rewards")
    with pytest.raises(DataError, match="infos/secret is a link to another file"):
        open_source(source)


@pytest.mark.parametrize("where", ["data/demo_9", "data/demo_9/obs/eye_image", "data/demo_9/next_obs/eye_image", "data"])
def test_a_link_out_of_any_demonstration_is_not_followed(tmp_path: Path, where: str):
    make_robomimic(tmp_path / "other.hdf5", next_obs=True)
    source = make_robomimic(tmp_path / "demo.hdf5", next_obs=True)
    with h5py.File(source, "a") as file:
        del file[where]
        file[where] = h5py.ExternalLink("other.hdf5", f"/{where}")
    with pytest.raises(DataError, match="is a link to another file"):
        episode_of(source, 1)
    with h5py.File(source, "a") as file:  # a link to the link
        if where == "data/demo_9/obs/eye_image":
            file["aside"] = h5py.ExternalLink("other.hdf5", f"/{where}")
            del file[where]
            file[where] = h5py.SoftLink("/aside")
    with pytest.raises(DataError, match="is a link to another file"):
        episode_of(source, 1)


def test_an_array_whose_rows_lie_in_another_file_is_not_read(tmp_path: Path):
    other = make_d4rl(tmp_path / "other.hdf5")
    source = make_d4rl(tmp_path / "data.hdf5")
    with h5py.File(source, "a") as file:
        layout = h5py.VirtualLayout((10,), np.float32)
        layout[:] = h5py.VirtualSource(str(other), "rewards", (10,))
        file.create_virtual_dataset("infos/secret", layout)
    with pytest.raises(DataError, match="infos/secret lies in another file"):
        open_source(source)


def test_a_truncated_file_is_one_line(tmp_path: Path):
    source = make_robomimic(tmp_path / "demo.hdf5")
    source.write_bytes(source.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"demo\.hdf5"):
        open_source(source)


def make_minari(folder: Path, monkeypatch: pytest.MonkeyPatch, seeds: tuple[int | None, ...] = (7, None)) -> tuple[Path, list]:
    """A dataset made by minari, and the episodes that it was given."""
    import minari
    from gymnasium import spaces
    from minari.data_collector import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder))
    observation = spaces.Dict(
        {
            "eye": spaces.Box(0, 255, (12, 16, 3), np.uint8),  # smaller than what minari keeps as JPEG
            "arm": spaces.Dict({"pos": spaces.Box(-10, 10, (2,), np.float64)}),
            "gear": spaces.Discrete(4),
        }
    )
    buffers = []
    for k, seed in enumerate(seeds):
        rng, steps = np.random.default_rng(k), 3 + k
        buffers.append(
            EpisodeBuffer(
                id=k,
                seed=seed,
                observations={
                    "eye": list(pixels(k, steps + 1)),
                    "arm": {"pos": list(rng.normal(size=(steps + 1, 2)))},
                    "gear": rng.integers(0, 4, steps + 1).tolist(),
                },
                actions=list(rng.uniform(-2, 2, (steps, 2)).astype(np.float32)),
                rewards=rng.normal(size=steps).tolist(),
                terminations=[False] * (steps - 1) + [k == 0],
                truncations=[False] * (steps - 1) + [k == 1],
                options={"colour": "red", "mass": 2.5} if k == 0 else None,
                infos={"success": [False] * steps + [k == 0], "mass": rng.normal(size=steps + 1).tolist()},
            )
        )
    with pytest.warns(UserWarning):  # minari wants an author, a description and so on
        minari.create_dataset_from_buffers(
            "tests/tiny-v0", buffers, observation_space=observation, action_space=spaces.Box(-2, 2, (2,), np.float32)
        )
    return folder / "tests/tiny-v0", buffers


def test_minari_arrives_array_by_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, buffers = make_minari(tmp_path / "minari", monkeypatch)
    dataset = imported(source, tmp_path / "out")
    assert set(dataset.spec.sensors) == {"pixels", "arm.pos", "gear"}
    assert dataset.spec.action.low == (-2, -2) and dataset.spec.action.high == (2, 2)
    for k, buffer in enumerate(buffers):
        episode = dataset.read_episode(k)
        np.testing.assert_array_equal(episode.observations["pixels"], buffer.observations["eye"])
        positions = np.array(buffer.observations["arm"]["pos"], np.float32)
        np.testing.assert_array_equal(episode.observations["arm.pos"], positions, strict=True)
        np.testing.assert_array_equal(episode.observations["gear"][:, 0], buffer.observations["gear"])
        np.testing.assert_array_equal(episode.actions, np.array(buffer.actions), strict=True)
        np.testing.assert_array_equal(episode.rewards, np.array(buffer.rewards, np.float32), strict=True)
        np.testing.assert_array_equal(episode.labels["mass"], buffer.infos["mass"])
        assert set(episode.labels) == {"mass"}
        assert (episode.success, episode.terminated, episode.truncated) == (k == 0, k == 0, k == 1)
        assert episode.variation == ({"colour": "red", "mass": 2.5} if k == 0 else {})
    assert [row.seed for row in dataset.episodes] == [7, 1]


def test_minari_without_its_spaces_never_makes_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, _ = make_minari(tmp_path / "minari", monkeypatch)
    metadata = source / "data/metadata.json"
    metadata.write_text(metadata.read_text().replace('"action_space"', '"other_space"'))
    with pytest.raises(DataError, match="action_space"):
        open_source(source)


def test_a_discrete_action_is_one_number_a_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import minari
    from gymnasium import spaces
    from minari.data_collector import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    buffer = EpisodeBuffer(
        id=0,
        observations=list(np.zeros((4, 2), np.float32)),
        actions=[2, 0, 1],
        rewards=[0.0] * 3,
        terminations=[False] * 3,
        truncations=[False, False, True],
        infos={},
    )
    with pytest.warns(UserWarning):
        minari.create_dataset_from_buffers(
            "choice-v0", [buffer], observation_space=spaces.Box(-1, 1, (2,)), action_space=spaces.Discrete(3)
        )
    importer = MappedImporter(open_source(tmp_path / "choice-v0"))
    assert importer.spec.action.names == ("choice_0", "choice_1", "choice_2")
    np.testing.assert_array_equal(next(importer.episodes(0)).actions, np.eye(3, dtype=np.float32)[[2, 0, 1]])


def test_units_reach_values_names_and_bounds(tmp_path: Path):
    mapping = ImportMap(units={"obs/eef_pos": Unit(1000.0, 5.0, "mm"), "actions": Unit(-2.0, (0.0, 1.0), "m/s")})
    plain = MappedImporter(open_source(make_robomimic(tmp_path / "demo.hdf5")))
    importer = MappedImporter(open_source(tmp_path / "demo.hdf5"), mapping)
    assert importer.spec.sensors["eef_pos"].names == ("eef_pos_0 [mm]", "eef_pos_1 [mm]", "eef_pos_2 [mm]")
    assert importer.spec.action.names == ("actions_0 [m/s]", "actions_1 [m/s]")
    np.testing.assert_allclose(importer.spec.action.low, -2 * np.array(plain.spec.action.high) + [0, 1], rtol=1e-6)
    episode, rows = next(importer.episodes(0)), demo_arrays(0, 4)
    np.testing.assert_array_equal(episode.observations["eef_pos"], (rows["obs/eef_pos"] * 1000 + 5).astype(np.float32))
    np.testing.assert_array_equal(episode.actions, (rows["actions"][:-1] * -2 + [0, 1]).astype(np.float32))
