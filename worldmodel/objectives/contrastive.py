"""InfoNCE: a window's latents and the embedding of its instruction find each other among those of the batch.

van den Oord et al., arXiv:1807.03748, eq. 4, in both directions as in CLIP (Radford et al., 2021, figure 3): with the unit
vectors x_i of the windows, y_i of the instructions and a temperature t,

    logits_ij = x_i . y_j / t,    loss = (CE(rows, i) + CE(columns, i)) / 2

Windows of one batch that share their instruction are each other's matches, not their negatives: they share the target's
probability equally (as in Khosla et al., NeurIPS 2020). A batch with one instruction only has nothing to tell apart.

B batch   T time   K tokens a frame   D latent width   E width of an instruction's embedding   C width compared
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodel.checks import require_at_least, require_positive
from worldmodel.errors import DataError
from worldmodel.nn.across import gather_across
from worldmodel.nn.precision import at_least_float32, whole_precision
from worldmodel.nn.tokenizers.instruction import WordTokenizer
from worldmodel.types import Window


@dataclass(frozen=True)
class InfoNCEConfig:
    """What is aligned with what."""

    source: str = "instruction"
    """Name of the text or the embedding among a window's labels or, failing that, its observations. The label `instruction` is
    the task in words that a dataset keeps with each episode."""
    embedding_dim: int | None = None
    """Width of an embedding (B, E) float32 from elsewhere, 384 of MiniLM; null for text (B, L) uint8, whose words are read by
    hashed n-grams (worldmodel.nn.tokenizers.instruction)."""
    width: int = 128
    """Width in which both are compared."""
    temperature: float = 0.1
    """Divides the cosine: smaller looks harder at the nearest wrong one."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a comparison of nothing."""
        require_at_least(self, 1, "width", *(("embedding_dim",) if self.embedding_dim is not None else ()))
        require_positive(self, "temperature")


def info_nce(x: Tensor, y: Tensor, temperature: float, same: Tensor | None = None) -> Tensor:
    """Symmetric loss (scalar) of x (B, C) and y (B, C); `same` (B, B) bool says which rows share a y, diagonal included."""
    x, y = (F.normalize(at_least_float32(one), dim=-1) for one in (x, y))
    with whole_precision(x):
        logits = x @ y.T / temperature
    target = torch.eye(len(x), device=x.device, dtype=x.dtype) if same is None else same.to(x.dtype)
    target = target / target.sum(dim=1, keepdim=True)  # `same` is symmetric, so that rows serve for columns too
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class InfoNCE(nn.Module):
    """Reads a window's first and last latent, and its instruction as text or as an embedding, into one space."""

    def __init__(self, config: InfoNCEConfig, num_tokens: int, token_dim: int) -> None:
        super().__init__()
        self.config = config
        self.place = nn.Linear(2 * token_dim, 8)
        self.of_latent = nn.Sequential(nn.SiLU(), nn.Linear(8 * num_tokens, config.width))
        wide = config.embedding_dim
        self.of_embedding = WordTokenizer(config.width) if wide is None else nn.Linear(wide, config.width)

    def forward(self, z: Tensor, embedding: Tensor) -> Tensor:
        """Loss (scalar) of z (B, T, K, D) and the embeddings (B, E), or texts (B, L); no gradient goes into those."""
        embedding = embedding.detach()
        embedding = embedding if self.config.embedding_dim is None else embedding.to(z.dtype)
        ends = torch.cat([z[:, 0], z[:, -1]], dim=-1)  # what was, and what became of it
        x = gather_across(self.of_latent(self.place(ends).flatten(-2)))
        y = gather_across(self.of_embedding(embedding.unsqueeze(1)).flatten(1))
        everyone = gather_across(embedding)
        same = (everyone.unsqueeze(1) == everyone.unsqueeze(0)).all(-1)
        return info_nce(x, y, self.config.temperature, same)


def embedding_of(window: Window, config: InfoNCEConfig) -> Tensor:
    """The embeddings (B, E) that a window carries: of its first frame, where they come one a frame. DataError without one."""
    found = window.labels.get(config.source, window.observations.get(config.source))
    if found is None:
        names = sorted({*window.labels, *window.observations})
        raise DataError(
            f"InfoNCE aligns latents with {config.source!r}, which the windows lack (they have {', '.join(names)}); "
            "record instructions, or set objective.contrastive_coef to 0"
        )
    found = found[:, 0] if found.ndim == 3 else found
    wide, text = config.embedding_dim, found.dtype == torch.uint8
    if found.ndim != 2 or text != (wide is None) or (not text and found.shape[1] != wide):
        expected = "text (B, L) uint8" if wide is None else f"an embedding (B, {wide})"
        got = f"{str(found.dtype).removeprefix('torch.')} of shape {tuple(found.shape)}"
        raise DataError(f"{config.source!r} is {got}; expected {expected}: see objective.contrastive.embedding_dim")
    return found
