"""Other models than the smallest on several processes: transformers, several robots, pretrained networks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from rank_fakes import CONFIG, EVERYTHING, FSDP, MODEL, SPEC, NoiseWindows, in_double, make_trainer, on_ranks
from test_train_parallel import require_same_curves, require_same_states
from torch.distributed.tensor import DTensor

from worldmodel.data.loading.batches import Batches
from worldmodel.data.loading.mixture import JoinedWindows, MixtureSampler
from worldmodel.encoders.config import Backbone, EncoderConfig, PretrainedConfig, ViTConfig
from worldmodel.encoders.hf_vit import PretrainedBlock
from worldmodel.jepa import JEPA
from worldmodel.nn.embodied import Body
from worldmodel.objectives import ObjectiveConfig, build_objective
from worldmodel.train.logging import JsonlLogger
from worldmodel.train.parallel import Parallel
from worldmodel.train.ranks import Ranks
from worldmodel.train.trainer import Trainer
from worldmodel.types import ActionSpec

VIT = EncoderConfig(kind="vit", grid=4, token_dim=4, vit=ViTConfig(width=16, depth=2, num_heads=2))
OTHER = dataclasses.replace(SPEC, action=ActionSpec(("dx", "dy", "grip"), (-1.0,) * 3, (1.0,) * 3))


def fit_robots(run_dir: Path, parallel: Parallel) -> None:
    """One model of two robots, four numbers to an action and three; a batch is of one of them."""
    ranks, config = Ranks(), dataclasses.replace(CONFIG, parallel=parallel, num_steps=4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = in_double(JEPA(dataclasses.replace(MODEL, encoder=VIT, embodiments=True), SPEC, others=(Body(OTHER),)))
        objective = build_objective(EVERYTHING, model).double()
    train, val = (JoinedWindows([NoiseWindows(n, seed), NoiseWindows(n, seed, 3)], (0, 1)) for n, seed in ((36, 0), (16, 1)))
    sampler = MixtureSampler(train, (1.0, 1.0), config.batch_size, 0, rank=ranks.rank, world_size=ranks.world_size)
    Trainer(model, objective, Batches(train, sampler), val, config, JsonlLogger(run_dir), run_dir).fit()


def robots_on_two(folder: Path) -> None:
    fit_robots(folder / "fsdp", FSDP)


@pytest.mark.slow
def test_a_transformer_of_two_robots_is_sharded_and_trains_as_on_one_process(tmp_path: Path) -> None:
    fit_robots(tmp_path / "one", Parallel())
    on_ranks(2, tmp_path, robots_on_two)
    require_same_curves(tmp_path / "fsdp", tmp_path / "one")
    require_same_states(tmp_path / "fsdp", tmp_path / "one")


EYES = Backbone("dinov2", width=16, depth=3, num_heads=2, hidden=32, patch=4, positions=4)


def pretrained(run_dir: Path, frozen: bool, parallel: Parallel) -> Trainer:
    encoder = EncoderConfig(kind="pretrained", grid=4, token_dim=4, pretrained=PretrainedConfig(None, frozen, EYES))
    model, objective = dataclasses.replace(MODEL, encoder=encoder), ObjectiveConfig()
    return make_trainer(run_dir, model=model, objective=objective, parallel=parallel, num_steps=4)


def pretrained_on_two(folder: Path) -> None:
    for frozen in (True, False):
        trainer = pretrained(folder / f"fsdp_{frozen}", frozen, FSDP)
        gathered = watch([m for m in trainer.learner.modules() if isinstance(m, PretrainedBlock)])
        trainer.fit()
        # in turn: while one is used, the others are shards
        assert gathered == {(True, False, False), (False, True, False), (False, False, True)}


def watch(blocks: list[PretrainedBlock]) -> set[tuple[bool, ...]]:
    """Which of the blocks have whole weights whenever one of them begins."""
    found: set[tuple[bool, ...]] = set()
    for block in blocks:
        block.register_forward_pre_hook(lambda *_: found.add(tuple(not isinstance(b.q.weight, DTensor) for b in blocks)))
    return found


@pytest.mark.slow
def test_a_pretrained_networks_blocks_are_gathered_one_at_a_time(tmp_path: Path) -> None:
    on_ranks(2, tmp_path, pretrained_on_two)
    for frozen in (True, False):
        pretrained(tmp_path / f"one_{frozen}", frozen, Parallel()).fit()
        require_same_curves(tmp_path / f"fsdp_{frozen}", tmp_path / f"one_{frozen}")
