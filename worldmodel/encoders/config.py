"""What an encoder looks like."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from worldmodel.checks import require_at_least, require_positive, require_share
from worldmodel.errors import ConfigError

Modality = Literal["camera", "depth", "proprio", "touch", "audio", "instruction"]

SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}
"""Width, depth and heads of the ViTs that go by these names."""


@dataclass(frozen=True)
class ViTConfig:
    """A vision transformer, trained from scratch."""

    size: Literal["tiny", "small", "base"] = "tiny"
    """Width 192, 384 or 768; 12 blocks."""
    width: int | None = None
    """Another width; null is the size's own."""
    depth: int | None = None
    """Another number of blocks."""
    num_heads: int | None = None
    """Another number of heads."""
    mlp_ratio: float = 4.0
    """Hidden width of the MLP over the width."""
    stem: bool = False
    """Whether pictures come down to patches by 3 x 3 convolutions, rather than by one linear map a patch."""
    tubelet: int = 1
    """Frames of a patch, its own the last."""

    def __post_init__(self) -> None:
        """Raise ConfigError for sizes that make no transformer."""
        require_at_least(self, 1, "tubelet", *(n for n in ("width", "depth", "num_heads") if getattr(self, n) is not None))
        require_positive(self, "mlp_ratio")
        width, _, heads = self.shape
        if width % (2 * heads):
            raise ConfigError(f"width is {width}; expected a multiple of {2 * heads}: {heads} heads of even width")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Width, depth and heads."""
        width, depth, heads = SIZES[self.size]
        return self.width or width, self.depth or depth, self.num_heads or heads


@dataclass(frozen=True)
class Backbone:
    """The shape of a pretrained network, as its config.json says it."""

    family: Literal["dinov2", "dinov2_with_registers", "dinov3_vit", "vjepa2"]
    """Which network."""
    width: int
    """Channels."""
    depth: int
    """Blocks."""
    num_heads: int
    """Heads."""
    hidden: int
    """Hidden channels of the MLP."""
    patch: int
    """Side of a patch [px]."""
    gated: bool = False
    """Whether the MLP is a SwiGLU."""
    positions: int = 0
    """Side of the grid of learned positions; 0 where positions are rotary."""
    num_registers: int = 0
    """Register tokens."""
    tubelet: int = 1
    """Frames of a patch; a single frame is repeated."""
    rope_base: float = 100.0
    """Of rotary positions."""
    eps: float = 1e-6
    """Of LayerNorm."""


@dataclass(frozen=True)
class PretrainedConfig:
    """A network that somebody else trained, in a local folder in Hugging Face layout (config.json, model.safetensors)."""

    path: str | None = None
    """The folder; nothing is ever downloaded. It is read once: a run holds the weights itself."""
    frozen: bool = True
    """Whether its weights stay as they are."""
    backbone: Backbone | None = None
    """Its shape: filled in from the folder, and written into the manifest. Not to be set by hand."""


@dataclass(frozen=True)
class TokensConfig:
    """How sensors other than cameras become tokens."""

    modalities: dict[str, Modality] = field(default_factory=dict)
    """Sensor -> what it is, where its name and shape do not say it."""
    audio_rate: int = 16000
    """Samples a second of sound."""
    num_mels: int = 64
    """Mel bands of sound, in patches of 16."""
    words: int = 16
    """Words of an instruction that are read."""
    instruction: Literal["pooled", "words"] = "pooled"
    """One token for an instruction, or one a word."""

    def __post_init__(self) -> None:
        """Raise ConfigError for sizes that make no tokens."""
        require_at_least(self, 1, "words", "audio_rate")
        require_at_least(self, 16, "num_mels")


@dataclass(frozen=True)
class EncoderConfig:
    """What the encoder looks like."""

    widths: tuple[int, ...] = (32, 64, 64)
    """Channels of each convolution. After the stem they halve the picture until it is `grid` wide; the rest keep its size."""
    stem_stride: int = 4
    """Stride of the first convolution [pixels]. 4 costs half of what 2 does, and sees as much of small objects."""
    grid: int = 8
    """Places along each side of the picture: grid * grid tokens."""
    token_dim: int = 16
    """Width of a token, D."""
    norm: Literal["place", "pooled", "none"] = "place"
    """How tokens are normalised over the data: each (place, channel), each channel over all places together, or not at all.
    Without it, something in the objective has to hold their scale."""
    norm_momentum: float = 0.02
    """Share of a new batch in the running statistics of the normalisation."""
    kind: Literal["conv", "vit", "pretrained"] = "conv"
    """What sees the pictures: convolutions, a vision transformer from scratch, or a pretrained one from a folder."""
    output: Literal["grid", "pooled", "vector"] = "grid"
    """A frame's latent: a token for each place (and each other sensor), a few that look where they want, or one."""
    num_pooled: int = 4
    """Tokens of a pooled latent."""
    pool: Literal["attentive", "flat"] = "attentive"
    """How a vector is made of a frame's tokens: one learned look at all of them, or a linear map of all of them in a row."""
    vit: ViTConfig = field(default_factory=ViTConfig)
    """The transformer, where kind is vit."""
    pretrained: PretrainedConfig = field(default_factory=PretrainedConfig)
    """The network, where kind is pretrained."""
    tokens: TokensConfig = field(default_factory=TokensConfig)
    """How the other sensors are read."""
    sensor_dropout: float = 0.0
    """Share of the windows in which a sensor is hidden in training, each on its own; above 0, a sensor may be missing later."""
    frozen: bool = False
    """Whether the whole encoder stays as it is, normalisation included: for training on from another run (train.init_from)."""

    def __post_init__(self) -> None:
        """Raise ConfigError for sizes that make no encoder."""
        if not self.widths or min(self.widths) < 1:
            raise ConfigError(f"widths is {list(self.widths)}; expected a positive number for each convolution, as in [32, 64]")
        require_at_least(self, 1, "stem_stride", "grid", "token_dim", "num_pooled")
        require_share(self, "norm_momentum", zero=False)
        require_share(self, "sensor_dropout", one=False)
        if self.pool == "flat" and self.output != "vector":
            raise ConfigError(f"pool is flat and output is {self.output}; expected output: vector")
        if self.kind == "pretrained" and self.pretrained.path is None and self.pretrained.backbone is None:
            raise ConfigError("kind is pretrained, and pretrained.path is null; expected a folder with config.json")

    @property
    def tubelet(self) -> int:
        """Frames that a latent depends on: its own, and the ones before it."""
        return self.vit.tubelet if self.kind == "vit" else 1
