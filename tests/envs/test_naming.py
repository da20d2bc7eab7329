"""A keyword argument that an environment does not take is told with the nearest one."""

from __future__ import annotations

import pytest

import envs
from envs.naming import unknown_keyword


@pytest.mark.parametrize(
    ("env_id", "given", "nearest"),
    [(envs.TABLE_CLEAR, "num_objcts", "num_objects"), ("worldmodel/TablePush-v0", "imagesize", "image_size")],
)
def test_a_misspelt_keyword_has_the_nearest_one(env_id: str, given: str, nearest: str) -> None:
    with pytest.raises(TypeError, match=rf"^it takes no '{given}'; only .*Did you mean '{nearest}'\?$"):
        envs.make(env_id, **{given: 2})


@pytest.mark.parametrize("env_id", envs.CLASSICS)
def test_the_small_worlds_too(env_id: str) -> None:
    with pytest.raises(TypeError, match=r"^it takes no 'image_siz'; only "):
        envs.make(env_id, image_siz=64)


def test_what_is_taken_is_no_mistake() -> None:
    assert unknown_keyword(envs.TABLE_CLEAR, ["num_objects", "task", "max_sweeps"]) is None
