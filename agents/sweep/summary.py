"""A trial that is finished already, in the run that W&B's agent has opened for it.

The agent counts a run for each trial that its server sends, and a bayes search learns from what the run's summary says. A trial
that was run before, here or in a neighbouring sweep, would leave that run empty.
"""

from __future__ import annotations

import os
from pathlib import Path

from agents import strict
from agents.experiment import ExperimentConfig
from agents.sweep.trial import Result
from worldmodel.train.logging import Loggers, WandbLogger


def summarise(result: Result, experiment: ExperimentConfig, folder: Path) -> None:
    """Sum a result up in the agent's run, under the names that a trial's own stages log; nothing where there is no agent."""
    if not os.environ.get("WANDB_RUN_ID") or experiment.logging.wandb == "disabled":
        return
    rates = {f"eval/{agent}/success_rate": count / result.num_episodes for agent, count in result.successes.items()}
    values = {"val/loss": result.metrics.get("loss"), **rates, "protocol": result.protocol, "result": result.metrics}
    with Loggers(WandbLogger(experiment.logging, folder, strict.to_plain(experiment))) as logger:
        logger.start(int(result.metrics.get("updates") or 0))
        logger.summarise(values)
