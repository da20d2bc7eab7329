"""The manifest: what is written is read, and anything else is refused in one line."""

from __future__ import annotations

import dataclasses
import json

import pytest
from train_fakes import a_manifest

from worldmodel.errors import CheckpointError
from worldmodel.train.manifest import Manifest, digest_of, seed_ranges
from worldmodel.train.provenance import code_commit, package_versions


def test_json_and_back_is_equal():
    manifest = a_manifest()
    assert Manifest.from_json(manifest.to_json(), "here") == manifest


def test_the_digest_is_of_what_json_keeps():
    spec = dataclasses.replace(a_manifest().spec, env_kwargs={"sizes": {2: 0.1, 10: 0.2}})
    again = Manifest.from_json(dataclasses.replace(a_manifest(), spec=spec).to_json(), "here")
    assert again.spec.env_kwargs == {"sizes": {"2": 0.1, "10": 0.2}}


def spoil(path: list, value, sealed: bool = True):
    values = json.loads(a_manifest().to_json())
    stated = values.pop("digest")
    place = values
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(values | {"digest": digest_of(values) if sealed else stated})


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["extra"], 1, "unknown key 'extra'"),
        (["spec", "extra"], 1, "unknown key 'spec.extra'"),
        (["spec", "sensors", "position", "lens"], 1, "unknown key 'spec.sensors.position.lens'"),
        (["data", "fingerprnt"], "x", "unknown key 'data.fingerprnt'"),
        (["step"], None, "step: Field required"),
        (["spec", "action", "low"], None, "spec.action.low: Field required"),
        (["step"], "seven", "step: Input should be a valid integer"),
        (["schema_version"], 99, "schema version 99, this code reads versions 1 to 4"),
        (["schema_version"], None, "schema version None"),
    ],
)
def test_a_wrong_manifest_is_refused_in_one_line(path, value, message):
    with pytest.raises(CheckpointError) as caught:
        Manifest.from_json(spoil(path, value), "here/manifest.json")
    assert message in str(caught.value)
    assert "here/manifest.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(Manifest) if field.name != "schema_version"])
def test_whatever_was_changed_by_hand_is_noticed(key):
    with pytest.raises(CheckpointError, match="here was changed since it was written") as caught:
        Manifest.from_json(spoil([key], 8, sealed=False), "here")
    assert "\n" not in str(caught.value)


def test_one_number_of_the_contract_is_enough_and_white_space_is_not():
    with pytest.raises(CheckpointError, match="was changed since it was written"):
        Manifest.from_json(spoil(["spec", "action", "low"], [-1.0, -0.999], sealed=False), "here")
    text = a_manifest().to_json()
    assert Manifest.from_json(json.dumps(json.loads(text), sort_keys=True), "here") == a_manifest()


def test_a_manifest_without_its_digest_is_refused_unless_it_is_from_before_there_were_any():
    values = json.loads(a_manifest().to_json())
    del values["digest"]
    with pytest.raises(CheckpointError, match="was changed since it was written"):
        Manifest.from_json(json.dumps(values), "here")
    assert Manifest.from_json(json.dumps(values | {"schema_version": 3}), "here") == a_manifest()


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(CheckpointError):
        Manifest.from_json(text, "here")


def test_seeds_are_kept_as_ranges():
    assert seed_ranges({3, 1, 2, 7, 8, 20}) == ((1, 3), (7, 8), (20, 20))
    assert seed_ranges([]) == ()


def test_where_it_comes_from_is_noted():
    assert code_commit()
    assert package_versions()["torch"].startswith("2.")
