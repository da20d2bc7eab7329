"""Any sensors as tokens of one width, each knowing what it is; and what becomes of a sensor that is missing or dead.

B batch   T time   P placed tokens   E extra tokens   C width   S sensors
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from worldmodel.encoders.config import EncoderConfig, Modality
from worldmodel.errors import ConfigError, MismatchError, unknown_name
from worldmodel.layout import TokenLayout
from worldmodel.nn.embodied import Body, per_body
from worldmodel.nn.tokenizers import (
    AudioTokenizer,
    DepthTokenizer,
    SentenceTokenizer,
    TouchTokenizer,
    VectorTokenizer,
    WordTokenizer,
)
from worldmodel.types import Observation, SensorSpec, WorldSpec

Make = Callable[[tuple[int, ...], int], nn.Module]
"""(height, width, channels) and the width of a token -> what makes a grid of tokens of a picture."""


def modality_of(key: str, sensor: SensorSpec, named: Mapping[str, Modality]) -> Modality:
    """What a sensor is: as it is named, or as its name and shape say."""
    if key in named:
        return named[key]
    if sensor.kind == "image":
        return "camera"
    words = {
        "depth": "depth",
        "audio": "audio",
        "microphone": "audio",
        "instruction": "instruction",
        "touch": "touch",
        "tactile": "touch",
        "force": "touch",
    }
    found = next((modality for word, modality in words.items() if word in key.lower()), None)
    picture = len(sensor.shape) in (2, 3) and min(sensor.shape[:2]) > 1
    if picture and (found == "depth" or sensor.dtype == "uint16"):
        return "depth"
    return found if found is not None and found != "depth" else "proprio"  # type: ignore[return-value]


def require_readable(sensors: Sequence[str], spec: WorldSpec) -> None:
    """Raise ConfigError for a sensor that the world does not have, or that no robot could have."""
    for key in sensors:
        if key not in spec.sensors:
            there = [name for name, sensor in spec.sensors.items() if not sensor.privileged]
            raise ConfigError(unknown_name("sensor", key, there))
        if spec.sensors[key].privileged:
            raise ConfigError(
                f"sensor {key!r} is privileged: no robot could see it, so the encoder may not; remove it from sensors"
            )


class SensorTokens(nn.Module):
    """Observation -> tokens with a place (B, T, P, C), and those without (B, T, E, C).

    To each is added what it is (a modality's embedding) and which one it is (a sensor's). With sensor_dropout, a sensor is
    hidden in some windows of the training: its tokens are a learned one, which afterwards stands for it wherever it is
    missing from the observation, or dead: not a number, or a picture that is black all over.
    """

    hides = True
    """Whether sensors are hidden in training; not from the copy that is a target."""

    def __init__(
        self, config: EncoderConfig, sensors: Sequence[str], bodies: Sequence[Body], width: int, camera: Make, depth: Make
    ) -> None:
        super().__init__()
        self.dropout = config.sensor_dropout
        specs = {key: next(body.spec.sensors[key] for body in bodies if key in body.spec.sensors) for key in sensors}
        self.modalities: dict[str, Modality] = {
            key: modality_of(key, spec, config.tokens.modalities) for key, spec in specs.items()
        }
        placed = [key for key in sensors if self.modalities[key] in ("camera", "depth")]
        # cameras come first: the first grid is the one that actions are calibrated for
        placed.sort(key=lambda key: self.modalities[key] != "camera")
        self.placed, self.others = placed, [key for key in sensors if key not in placed]
        self.tokenizers, self.own = nn.ModuleDict(), {}
        for key in sensors:
            self.own[key] = self._add(key, specs[key], config, bodies, width, camera, depth)
        self.layout = TokenLayout(config.grid if placed else 0, len(placed), sum(self._count(key) for key in self.others))
        self.modality = nn.ParameterDict({name: _small(width) for name in sorted(set(self.modalities.values()))})
        self.which = nn.ParameterDict({_name(key): _small(width) for key in sensors})
        self.absent = nn.ParameterDict({_name(key): _small(width) for key in sensors if self.dropout > 0})

    def forward(self, obs: Observation) -> tuple[Tensor, Tensor]:
        """Raises MismatchError for a sensor that may not be missing, and for an observation of nothing."""
        present = [key for key in self.own if key in obs]
        missing = [key for key in self.own if key not in obs]
        if (missing and not self.dropout) or not present:
            raise MismatchError(
                f"the observation lacks {', '.join(missing)}; give it, or train with model.encoder.sensor_dropout above 0 "
                "and at least one other sensor"
            )
        first = obs[present[0]]
        hidden = self._hide(first.shape[0], len(present), first.device)
        of = {} if hidden is None else dict(zip(present, hidden.unbind(1), strict=True))
        found = {key: self._tokens(key, obs.get(key), first.shape[:2], of.get(key)) for key in self.own}
        empty = next(iter(found.values()))[:, :, :0]
        placed, others = ([found[key] for key in keys] for keys in (self.placed, self.others))
        return torch.cat(placed, dim=2) if placed else empty, torch.cat(others, dim=2) if others else empty

    def _tokens(self, key: str, values: Tensor | None, lead: torch.Size, hidden: Tensor | None) -> Tensor:
        """Tokens of one sensor, (B, T, n, C)."""
        label = self.modality[self.modalities[key]] + self.which[_name(key)]
        if values is None:
            return (self.absent[_name(key)] + label).expand(*lead, self._count(key), -1)
        if self.modalities[key] == "proprio":
            values = values.flatten(2)
        if not self.dropout:
            return self.tokenizers[self.own[key]](values) + label
        gone = dead(values, self.modalities[key])  # (B, T)
        gone = gone if hidden is None else gone | hidden.unsqueeze(1)
        x = self.tokenizers[self.own[key]](values.nan_to_num(0.0, 0.0, 0.0) if values.is_floating_point() else values)
        return torch.where(gone[..., None, None], self.absent[_name(key)].to(x.dtype), x) + label

    def _hide(self, num: int, num_sensors: int, device: torch.device) -> Tensor | None:
        """Which of the sensors that are there are hidden from each window, (B, S); never all of them. None where none is."""
        if not (self.training and self.hides and self.dropout) or num_sensors < 2:
            return None
        hidden = torch.rand(num, num_sensors, device=device) < self.dropout
        spared = torch.randint(num_sensors, (num, 1), device=device)
        return hidden.scatter(1, spared, hidden.gather(1, spared) & ~hidden.all(1, keepdim=True))

    def _count(self, key: str) -> int:
        module = self.tokenizers[self.own[key]]
        return getattr(module, "num_tokens", None) or module.bodies[0].num_tokens  # type: ignore[union-attr, index]

    def _add(
        self,
        key: str,
        spec: SensorSpec,
        config: EncoderConfig,
        bodies: Sequence[Body],
        width: int,
        camera: Make,
        depth: Make,
    ) -> str:
        """The name of the sensor's tokenizer, which is made unless there is one: cameras of one shape share theirs."""
        modality, name = self.modalities[key], _name(key)
        if modality in ("proprio", "touch"):  # what differs from body to body
            kind = VectorTokenizer if modality == "proprio" else TouchTokenizer
            self.tokenizers[name] = per_body([_vector(key, kind, spec, body, width) for body in bodies])
            return name
        shapes = {body.spec.sensors[key].shape for body in bodies if key in body.spec.sensors}
        if len(shapes) > 1:
            raise MismatchError(
                f"sensor {key!r} has the shapes {sorted(shapes)} in different embodiments; they share what sees it: "
                "set data.image_size, or record it alike"
            )
        if modality == "camera":
            name = "camera_" + "x".join(map(str, spec.shape))
            if name not in self.tokenizers:
                self.tokenizers[name] = camera(spec.shape, width)
        elif modality == "depth":
            self.tokenizers[name] = DepthTokenizer(depth((*spec.shape[:2], 2), width), config.grid)
        elif modality == "audio":
            rate, mels = config.tokens.audio_rate, config.tokens.num_mels
            self.tokenizers[name] = AudioTokenizer(math.prod(spec.shape), width, rate=rate, num_mels=mels)
        elif spec.dtype == "uint8":
            pooled = config.tokens.instruction == "pooled"
            self.tokenizers[name] = WordTokenizer(width, num_words=config.tokens.words, pooled=pooled)
        else:
            self.tokenizers[name] = SentenceTokenizer(math.prod(spec.shape), width)
        return name


def dead(values: Tensor, modality: Modality) -> Tensor:
    """Which frames of a sensor say nothing, (B, T): not finite, a black picture, no depth anywhere, or no words."""
    flat = values.flatten(2)
    if modality == "depth":
        flat = flat.float()
        return ~(torch.isfinite(flat) & (flat > 0)).any(-1)
    if values.is_floating_point():
        return ~torch.isfinite(flat).all(-1)
    return flat.amax(-1) == 0 if modality in ("camera", "instruction") else torch.zeros_like(flat[..., 0], dtype=torch.bool)


def _vector(key: str, kind: type[VectorTokenizer], spec: SensorSpec, body: Body, width: int) -> nn.Module:
    own = body.spec.sensors.get(key, spec)  # a body without this sensor never asks for it
    scale = body.normalisation.get(key) if key in body.spec.sensors else None
    return kind(math.prod(own.shape), width, scale)


def _small(width: int) -> nn.Parameter:
    return nn.Parameter(0.02 * torch.randn(width))


def _name(key: str) -> str:
    """The key as the name of a module, which may hold no dot."""
    return key.replace(".", "_")
