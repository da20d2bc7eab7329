"""How a model is fitted, as settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from worldmodel.checks import require_at_least, require_positive, require_seed, require_share
from worldmodel.errors import ConfigError
from worldmodel.train.compilation import CompileMode
from worldmodel.train.device import DeviceName
from worldmodel.train.parallel import Parallel

NOT_SHAPING = ("compile", "device", "parallel", "num_threads", "log_every", "val_every", "val_batches", "save_every_seconds")
"""Settings that may change on resuming: they move the last bits at most. All others decide the weights."""


@dataclass(frozen=True)
class TrainConfig:
    """How the model is fitted; what it is and what it learns from are configured elsewhere."""

    num_steps: int = 3000
    """Updates of the weights."""
    max_cpu_seconds: float | None = None
    """Processor time of all updates together, over all threads, after which training ends before num_steps [s]. The learning
    rate goes by the larger share. How many updates that makes depends on the machine; null is no limit."""
    batch_size: int = 64
    """Windows an update."""
    num_frames: int = 3
    """Frames a window."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    """Learning rate over the run: up and down again along cosines, or constant after the warm-up."""
    warmup_fraction: float = 0.3
    """Share of the updates in which the learning rate rises."""
    weight_decay: float = 0.01
    """Decoupled decay of matrices; gains and biases have none."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of AdamW's running means of the gradient and of its square."""
    clip_norm: float | None = 1.0
    """Largest norm of the whole gradient; null for no clipping."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """What a loss or gradient that is no number does: stop and keep the batch, or skip the update and count it."""
    bf16: bool = False
    """Whether matrix products run in bfloat16 (autocast)."""
    compile: CompileMode = "off"
    """Whether the model runs through torch.compile, and with which backend."""
    device: DeviceName = "auto"
    """Where to compute; auto takes an accelerator where there is one."""
    parallel: Parallel = field(default_factory=Parallel)
    """How the model is spread over the processes that torchrun started; batch_size counts the windows of all of them."""
    num_threads: int | None = None
    """CPU threads of an operation; None for torch's own choice. The last bits depend on it."""
    log_every: int = 20
    """Updates between rows of the log; a row holds means over them."""
    val_every: int = 200
    """Updates between validations; the last update is always validated."""
    val_batches: int = 8
    """Batches a validation, always the same ones."""
    save_every_seconds: float = 60.0
    """Time between saved states [s]; also saved at the end, on Ctrl-C and on SIGTERM."""
    init_from: str | None = None
    """Run folder that training begins with: the encoder's weights, and the predictor's where they fit. Null begins anew."""
    init_encoder: Literal["online", "target"] = "online"
    """Which encoder of that run: the one that was trained, or the EMA target that followed it."""
    seed: int = 0
    """Of the order of the windows, of the objective's draws and of dropout."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a training that could not run."""
        require_at_least(self, 1, "num_steps", "log_every", "val_every", "val_batches")
        require_at_least(self, 0, "weight_decay", "save_every_seconds")
        require_positive(self, "learning_rate")
        if self.clip_norm is not None:
            require_positive(self, "clip_norm")
        require_share(self, "warmup_fraction")
        require_seed("seed", self.seed)
        if self.batch_size < 2:
            raise ConfigError(f"batch_size is {self.batch_size}; expected at least 2: latents are normalised over the batch")
        if self.num_frames < 2:
            raise ConfigError(f"num_frames is {self.num_frames}; expected at least 2: one frame predicts nothing")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas is {list(self.betas)}; expected two numbers in [0, 1)")
        if self.num_threads is not None:
            require_at_least(self, 1, "num_threads")
        if self.max_cpu_seconds is not None:
            require_positive(self, "max_cpu_seconds")
