"""The checkpoint that comes with the repository: small, whole, scored, and able to clear a table."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium

import envs  # noqa: F401, registers worldmodel/TableClear-v0
from agents.training.runs import build_agent, load_run

CHECKPOINT = Path(__file__).parents[1] / "checkpoints" / "table-clear"


def test_it_is_small_and_says_how_it_came_about() -> None:
    files = [path for path in CHECKPOINT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12_000_000
    run = load_run(CHECKPOINT)
    assert run.manifest.data.fingerprint and run.manifest.experiment["train"]["seed"] == 0
    assert (CHECKPOINT / "config.yaml").exists()


def test_its_score_has_floor_ceiling_and_enough_episodes() -> None:
    agents = json.loads((CHECKPOINT / "evaluation.json").read_text(encoding="utf-8"))["agents"]
    assert {"random", "worldmodel", "worldmodel:goal", "expert"} <= set(agents)
    assert all(agents[name]["n"] >= 200 for name in agents)
    assert agents["worldmodel"]["success"]["low"] >= 0.94


def test_it_clears_tables_that_it_has_never_seen() -> None:
    run = load_run(CHECKPOINT)
    config = run.experiment()
    env = gymnasium.make(config.env.id, **{**config.env.kwargs, **config.evaluate.env_overrides()})
    agent = build_agent(run, config.planner, config.cost, env)
    cleared = 0
    for seed in (3, 4, 5):
        observation, info = env.reset(seed=seed)
        agent.reset([seed])
        over = False
        while not over:
            action = agent.act({key: value[None] for key, value in observation.items()})[0]
            observation, _, terminated, truncated, info = env.step(action)
            over = terminated or truncated
        cleared += info["success"]
    env.close()
    assert cleared >= 2
