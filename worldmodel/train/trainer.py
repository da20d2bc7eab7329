"""The training loop: windows in, a fitted model out, and a run folder that a kill cannot spoil.

    trainer = Trainer(model, objective, windows_train, windows_val, config, logger, run_dir, identity={"data": fingerprint})
    trainer.fit(resume=True)

One seed is one run: batches come from their source, the objective draws from one generator, and dropout from torch's own,
all three saved with the weights. On the CPU a resumed run ends on the same bits as an uninterrupted one.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from worldmodel.data.loading.batches import Batches, BatchSource, WindowSource
from worldmodel.data.loading.sampler import ShuffledSampler
from worldmodel.errors import DataError, MismatchError
from worldmodel.progress import NoProgress, Progress
from worldmodel.train.clock import Clock
from worldmodel.train.compilation import compiled
from worldmodel.train.config import NOT_SHAPING, TrainConfig
from worldmodel.train.device import resolve_device
from worldmodel.train.interrupt import Interrupts
from worldmodel.train.keeper import Keeper
from worldmodel.train.logging import Logger, Loggers
from worldmodel.train.optimizer import build_adamw
from worldmodel.train.parallel import Learner, Replica
from worldmodel.train.prefetch import Prefetcher
from worldmodel.train.ranks import Ranks
from worldmodel.train.rows import Pace, means, words_of
from worldmodel.train.speed import Speed, flops_of, peak_flops
from worldmodel.train.state import STATE
from worldmodel.train.threads import threads
from worldmodel.train.update import Objective, Update
from worldmodel.train.validate import Diagnose, Validation
from worldmodel.types import Window


class Trainer:
    """Fits `model` to windows by an objective; see `fit`."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        windows_train: WindowSource | BatchSource,
        windows_val: WindowSource | None,
        config: TrainConfig,
        logger: Logger,
        run_dir: Path,
        *,
        identity: Mapping[str, Any] | None = None,
        diagnose: Diagnose | None = None,
        validated: Callable[[int], None] | None = None,
    ) -> None:
        """`windows_train`: windows, which are shuffled here, or batches of them that somebody else has chosen.

        `identity`: plain values, besides `config`, that must be the same on resuming, such as the data's fingerprint.

        `diagnose`: numbers that tell a healthy model from a broken one, logged as val/NAME.

        `validated`: called after update number so-and-so was validated and logged; `model` and `objective` are whole then.

        Of several processes each has a trainer of its own; batches that somebody else has chosen are this one's part of them.
        """
        if windows_train.num_windows < config.batch_size:
            raise DataError(
                f"{windows_train.num_windows} windows of {config.num_frames} frames are less than one batch of "
                f"{config.batch_size}; record more episodes, or lower train.batch_size"
            )
        self.config, self.run_dir, self.ranks = config, run_dir, Ranks()
        self.logger = logger if self.ranks.first else Loggers()
        self.device = resolve_device(config.device)
        self.model, self.objective, self.validated = model, objective, validated
        self.replica = Replica(Learner(model, objective), config.parallel, self.device)
        self.learner = self.replica.learner
        # names of the terms that are learned from; None for all
        self.weighted: Collection[str] | None = getattr(objective, "weighted", None)
        optimizer = build_adamw(self.learner.parameters(), config.learning_rate, config.weight_decay, config.betas)
        if isinstance(windows_train, BatchSource):
            self.batches: BatchSource = windows_train
        else:
            num, ranks = windows_train.num_windows, self.ranks
            sampler = ShuffledSampler(num, config.batch_size, config.seed, rank=ranks.rank, world_size=ranks.world_size)
            self.batches = Batches(windows_train, sampler)
        self.beginning = self.batches.state_dict()
        self.validation = (
            Validation(windows_val, config.batch_size, config.val_batches, config.seed, diagnose)
            if windows_val is not None and windows_val.num_windows > 0
            else None
        )
        shaping = {name: value for name, value in asdict(config).items() if name not in NOT_SHAPING}
        same = {"train": shaping, "num_windows": windows_train.num_windows, **(identity or {})}
        # Drawn on the CPU whatever the device: the same numbers everywhere.
        generator = torch.Generator().manual_seed(config.seed)
        self.keeper = Keeper(run_dir, self.learner, optimizer, generator, self.device, config.seed, same)
        self.update = Update(self.replica, optimizer, self.keeper, config, self.device)

    def fit(self, *, resume: bool = False, progress: Progress | None = None) -> int:
        """Train to the end, from the state in the run folder when `resume` and there is one; how many updates that are.

        Raises WorldModelError for a state of another run (CheckpointError when it is damaged), for a run that is already
        there and not to be resumed, and for a loss that is no number. Ctrl-C leaves as KeyboardInterrupt and SIGTERM as
        SystemExit, both after the state is saved.
        """
        config, ranks = self.config, self.ranks
        progress = progress if progress is not None and ranks.first else NoProgress()
        with ExitStack() as stack:
            stack.enter_context(threads(config.num_threads))
            stack.enter_context(torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []))

            # Where to begin: seeds, or everything as it was.
            torch.manual_seed(ranks.seed(config.seed))
            self.batches.load_state_dict(self.beginning)
            step, sums, clock = 0, defaultdict[str, float](float), Clock(config.num_steps, config.max_cpu_seconds)
            state = self.keeper.find(resume)
            if state is not None:
                step, sums, clock.spent = state.step, defaultdict(float, state.sums), state.cpu_seconds
                self.batches.load_state_dict(json.loads(state.sampler))
                self.keeper.restore(state)
            stack.enter_context(ranks.watch())
            ranks.wait()  # all of them have looked before the first one writes
            self.logger.start(step)
            if clock.over(step):
                return self._end(step)

            # Update after update.
            interrupts = stack.enter_context(Interrupts())
            batches = stack.enter_context(Prefetcher(self.batches))
            speed = self._speed(batches.peek())
            stack.enter_context(compiled(self.learner.model, config.compile))
            saved_at, pace = time.monotonic(), Pace(clock.position(step))
            rates: dict[str, float] = {}
            self.learner.train()
            while not clock.over(step):
                # The next batch.
                speed.start()
                clock.start()
                window, sampler_state = batches.next()
                speed.got()
                self._check(window)

                # One update.
                position = clock.position(step)
                measured = self.update(window, step + 1, position)
                step += 1
                clock.stop()
                speed.stop()
                for name, value in measured.items():
                    sums[name] += value

                # What is told of it.
                row: dict[str, float] = {}
                last = clock.over(step)
                if step % config.log_every == 0 or last:
                    rates = speed.row()
                    left = pace.seconds_left(clock.position(step), config.num_steps)
                    row |= means(sums) | {"train/lr": self.update.learning_rate(position)} | rates
                    row |= {"train/cpu_seconds": clock.spent, "train/seconds_left": left}
                    sums.clear()
                if self.validation is not None and (step % config.val_every == 0 or last):
                    row |= self._validate(self.validation)
                if row:
                    self.logger.log(step, row)
                if self.validated is not None and "val/loss" in row:
                    self.replica.gather()  # by all processes, of which the first one tells
                    if ranks.first:
                        self.validated(step)
                progress.update(*clock.progress(step), **words_of(measured, self.weighted, rates))

                # What is kept of it.
                late = time.monotonic() - saved_at >= config.save_every_seconds
                number, due = ranks.largest(interrupts.signal or 0, last or late)
                if due or number:
                    self.keeper.save(step, sampler_state, sums, clock.spent)
                    saved_at = time.monotonic()
                if number or (last and ranks.world_size == 1):  # a signal that came meanwhile waits for the next update
                    interrupts.signal = number or interrupts.signal
                    interrupts.leave(f"stopped after update {step}; the state is saved in {self.run_dir / STATE}")
            return self._end(step)

    def _end(self, step: int) -> int:
        """The model that was given has the weights of update `step`, and is done with training."""
        self.replica.gather()
        for module in (self.learner, self.model):
            module.eval()
        return step

    def _validate(self, validation: Validation) -> dict[str, float]:
        """Validation metrics of the model as it is; training goes on untouched."""
        self.learner.eval()
        try:
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.bf16):
                return self.replica.look(validation, self.device)
        finally:
            self.learner.train()

    def _speed(self, window: Window) -> Speed:
        """The stopwatch, which knows what an update of such windows takes where the objective can be copied."""
        self._check(window)
        speed = Speed(self.config.batch_size, self.ranks.world_size)
        if self.ranks.first and isinstance(self.objective, nn.Module):
            speed.flops_per_window = flops_of(self.model, self.objective, window)
            speed.peak = peak_flops(self.device, torch.bfloat16 if self.config.bf16 else torch.float32)
        return speed

    def _check(self, window: Window) -> None:
        """Refuse windows of another length, and batches of another size, than the configuration says."""
        num_frames = window.actions.shape[1] + 1
        if num_frames != self.config.num_frames:
            raise MismatchError(f"windows have {num_frames} frames, train.num_frames is {self.config.num_frames}")
        num, world_size = len(window.actions), self.ranks.world_size
        if num * world_size != self.config.batch_size:
            raise MismatchError(
                f"{world_size} processes got {num} windows each, train.batch_size is {self.config.batch_size} for all of them; "
                "give each its own part of a batch: Recordings.batches(rank=, world_size=)"
            )
