"""Milliseconds of each attention engine, and of rollouts that share a context, beside what the arithmetic alone costs.

    python benchmarks/attention.py [--repeats 20] [--device cpu] [--flex] [--json benchmarks/results/attention.json]

The limit is the time in which the same device multiplies square matrices of the same type with as many operations, measured
in the same run: for attention only the pairs that the mask lets through count, 4 * head_dim operations each (3.5 times
that with gradients: seven products in place of two), for a rollout those of the layers and of attention. Everything is
measured in turns and the fastest turn counts, which is what a machine shared with others can tell. FlexAttention is
measured on CUDA, and with --flex on a CPU, where it takes some ten seconds a size to compile and has no gradients.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from worldmodel.jepa import JEPA, JEPAConfig
from worldmodel.nn.attention import Engine, _choose, _compiled_flex, attend
from worldmodel.nn.masks import FrameMask
from worldmodel.types import ActionSpec, SensorSpec, WorldSpec


@dataclass(frozen=True)
class Size:
    """One attention: B rows of T frames of K tokens, each seeing `reach` frames back."""

    rows: int
    heads: int
    head_dim: int
    mask: FrameMask

    @property
    def flops(self) -> float:
        """Of the two products over the pairs that the mask lets through."""
        pairs = int(self.mask.dense(torch.device("cpu")).sum())
        return 4.0 * self.rows * self.heads * self.head_dim * pairs


SIZES = {
    "default, 3 frames": Size(64, 4, 24, FrameMask(3, 17, 1)),
    "full grid, 3 frames": Size(16, 4, 24, FrameMask(3, 65, 1)),
    "full grid, 8 frames, causal": Size(4, 4, 32, FrameMask(8, 64)),
    "full grid, 16 frames, banded": Size(2, 4, 32, FrameMask(16, 64, 2)),
}

NUM_CANDIDATES, CONTEXT, HORIZONS = 128, 3, (2, 3, 5)


def fastest(works: dict[str, Callable[[], Any]], repeats: int, device: torch.device) -> dict[str, float]:
    """Seconds of each, the least of `repeats` turns in which all of them take part."""
    best = dict.fromkeys(works, float("inf"))
    for turn in range(repeats + 1):  # the first one warms up
        for name, work in works.items():
            synchronise(device)
            began = time.perf_counter()
            work()
            synchronise(device)
            if turn:
                best[name] = min(best[name], time.perf_counter() - began)
    return best


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


def matmul_rate(device: torch.device, dtype: torch.dtype, repeats: int) -> float:
    """Operations a second of a product of square matrices, the best of several sizes."""
    rates = []
    for side in (256, 512, 1024) if device.type == "cpu" else (4096, 8192):
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        rates.append(2 * side**3 / fastest({"": partial(torch.matmul, a, b)}, repeats, device)[""])
    return max(rates)


def measure_size(size: Size, engines: list[Engine], rate: float, device: torch.device, dtype: torch.dtype, repeats: int) -> Any:
    """Forward, and with gradients where the engine has them there."""
    length = size.mask.num_frames * size.mask.tokens_per_frame
    q, k, v = (torch.randn(size.rows, size.heads, length, size.head_dim, device=device).to(dtype) for _ in range(3))
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]

    def forward(engine: Engine) -> Tensor:
        if engine == "flex" and device.type == "cpu":  # attend leaves it uncompiled there
            return _compiled_flex()(q, k, v, block_mask=block)
        return attend(q, k, v, size.mask, engine)

    def train(engine: Engine) -> None:
        torch.autograd.grad(attend(*leaves, size.mask, engine).sum(), leaves)  # type: ignore[call-arg]

    block = size.mask.block(device) if "flex" in engines else None
    with torch.no_grad():
        forwards = fastest({engine: partial(forward, engine) for engine in engines}, repeats, device)
    trainable: list[Engine] = [engine for engine in engines if engine != "flex" or device.type == "cuda"]
    trainings = fastest({engine: partial(train, engine) for engine in trainable}, repeats, device)
    limits = {"forward": size.flops / rate, "training": 3.5 * size.flops / rate}
    return {
        "auto": _choose(q, size.mask),
        "forward": in_words(forwards, limits["forward"]),
        "training": in_words(trainings, limits["training"]),
    }


def in_words(seconds: dict[str, float], limit: float) -> dict[str, Any]:
    """Milliseconds, and the share of the limit's rate that was reached."""
    shares = {name: {"ms": 1e3 * taken, "share_of_limit": limit / taken} for name, taken in seconds.items()}
    return {"limit_ms": 1e3 * limit, **shares}


def world() -> WorldSpec:
    """A camera, a vector and a stroke, as in TableClear."""
    return WorldSpec(
        env_id="benchmarks/None-v0",
        env_kwargs={},
        sensors={"pixels": SensorSpec((64, 64, 3), "uint8", "image"), "proprio": SensorSpec((6,), "float32", "vector")},
        action=ActionSpec(tuple("abcd"), (-1.0,) * 4, (1.0,) * 4, ((0, 1), (2, 3)), ((0.9, 0.0, 0.0), (0.0, -0.9, 0.0))),
        control_mode="sweep",
        robot="none",
    )


def recompute(model: JEPA, context: Tensor, past: Tensor, actions: Tensor) -> Tensor:
    """A rollout without memory: every candidate and step computes the whole context anew."""
    num = actions.shape[1]
    frames, done, out = context.expand(num, -1, -1, -1), past.expand(num, -1, -1), []
    for h in range(actions.shape[2]):
        done = torch.cat([done, actions[0, :, h : h + 1]], dim=1)[:, -CONTEXT:]
        out.append(model.predict(frames, done)[:, -1])
        frames = torch.cat([frames, out[-1].unsqueeze(1)], dim=1)[:, -CONTEXT:]
    return torch.stack(out, dim=1).unsqueeze(0)


def measure_rollouts(rate: float, device: torch.device, repeats: int) -> dict[str, Any]:
    """The default model with a context of three frames, from kept keys and values and without; float32."""
    torch.manual_seed(0)
    config = JEPAConfig(sensors=("pixels", "proprio"), context_length=CONTEXT)
    model = JEPA(config, world()).eval().to(device)
    with torch.no_grad():
        for layer in (model.predictor.out, model.predictor.out_extra):
            nn.init.normal_(layer.weight, std=0.05)
    z, past = torch.randn(1, CONTEXT, 65, 16, device=device), torch.rand(1, CONTEXT - 1, 4, device=device)
    results = {}
    for horizon in HORIZONS:
        actions = torch.rand(1, NUM_CANDIDATES, horizon, 4, device=device) * 2 - 1
        with torch.inference_mode():
            torch.testing.assert_close(
                model.rollout(z, actions, past), recompute(model, z, past, actions), rtol=1e-3, atol=1e-3
            )
            with FlopCounterMode(display=False) as counter:
                model.rollout(z, actions, past)
            works = {
                "remembered": partial(model.rollout, z, actions, past),
                "recomputed": partial(recompute, model, z, past, actions),
            }
            results[f"horizon {horizon}"] = in_words(fastest(works, repeats, device), counter.get_total_flops() / rate)
    return results


def main() -> None:
    """Measure everything, print, and keep the numbers with the hardware's name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--flex", action="store_true", help="FlexAttention on a CPU too")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(arguments.device)
    dtypes = {"float32": torch.float32} | ({"bfloat16": torch.bfloat16} if device.type == "cuda" else {})
    engines: list[Engine] = ["sdpa", "frames"]
    if device.type == "cuda" or arguments.flex:
        engines.append("flex")
    rates = {name: matmul_rate(device, dtype, arguments.repeats) for name, dtype in dtypes.items()}
    sizes = {
        f"{name}, {of}": measure_size(size, engines, rates[of], device, dtype, arguments.repeats)
        for name, size in SIZES.items()
        for of, dtype in dtypes.items()
    }
    rollouts = measure_rollouts(rates["float32"], device, arguments.repeats)
    about = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "torch": torch.__version__,
        "matmul_gflops": {name: rate / 1e9 for name, rate in rates.items()},
        "repeats": arguments.repeats,
        "rollout": {"candidates": NUM_CANDIDATES, "context": CONTEXT},
    }
    text = json.dumps({"hardware": about, "attention": sizes, "rollouts": rollouts}, indent=2)
    print(text)
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(text + "\n", encoding="utf-8")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
