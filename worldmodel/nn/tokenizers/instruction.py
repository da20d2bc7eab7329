"""Instructions as tokens, without a vocabulary and without a network: words by hashed n-grams, or an embedding from elsewhere.

A text is a sensor of uint8: its UTF-8 bytes, zeros behind them (`encode_text`). A word's embedding is the mean of those of
its character n-grams with the blanks around it, as in fastText (Bojanowski et al. 2017, arXiv:1607.04606), and of itself;
each n-gram takes the row of a table that its hash says (Weinberger et al. 2009). So "block" and "blocks" begin alike, and a
word that was never trained on is not nothing. Capitals and punctuation do not count.

    hash(n-gram) = mix(sum_i byte_i 257^i + 7919 n) modulo the number of rows,   hash(word) = mix(sum_i byte_i 257^i) likewise
    mix(x) = y XOR y / 2^13, its last 31 bits,   y = (x XOR x / 2^15) * 40503,   all in whole numbers of 64 bits with a sign

B batch   T time   L bytes   E width of the table   C width of a token
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from numpy import ndarray, uint8, zeros
from torch import Tensor, nn

from worldmodel.errors import DataError

NGRAMS = (3, 4, 5)
BLANK = 32


def encode_text(text: str, length: int = 128) -> ndarray:
    """The text as its sensor value, (length,) uint8. DataError when it is longer."""
    raw = text.encode()
    if len(raw) > length:
        raise DataError(f"an instruction of {len(raw)} bytes does not fit {length}: {text[:40]!r}...")
    out = zeros(length, uint8)
    out[: len(raw)] = list(raw)
    return out


def plain(text: Tensor) -> Tensor:
    """Bytes (R, L) in small letters, with blanks for whatever is no letter, digit or part of one, and around, (R, L + 2)."""
    x = F.pad(text.long(), (1, 1), value=BLANK)
    x = torch.where((x >= 65) & (x <= 90), x + 32, x)
    letter = ((x >= 97) & (x <= 122)) | ((x >= 48) & (x <= 57)) | (x >= 128)
    return torch.where(letter, x, BLANK)


def word_hashes(text: Tensor, num_words: int) -> tuple[Tensor, Tensor]:
    """Hashes of all n-grams of a text (R, L), (R, N), and the number of the word each belongs to; -1 where there is none.

    Words beyond `num_words` are left out.
    """
    x = plain(text)
    blank = x == BLANK
    starts = ~blank & F.pad(blank[:, :-1], (1, 0), value=True)
    word = starts.long().cumsum(1) - 1  # of each byte; that of the word before for blanks
    hashes, owners = [], []
    for n in NGRAMS:
        pieces = F.pad(x, (0, n - 1), value=BLANK).unfold(1, n, 1)  # (R, L + 2, n)
        inner = F.pad(blank, (0, n - 1), value=True).unfold(1, n, 1)
        whole = ~inner[..., 1:-1].any(-1)  # a blank only before the word or behind it
        owner = torch.where(inner[..., 0], word + 1, word)
        hashes.append(_hash(pieces, n))
        owners.append(torch.where(whole, owner, -1))
    # the word itself, so that short words (to, in) and long ones have a row of their own
    powers = _powers(x.shape[1], x.device)
    first = torch.where(starts, torch.arange(x.shape[1], device=x.device), 0).cummax(1).values
    offset = torch.arange(x.shape[1], device=x.device) - first
    value = torch.where(blank, 0, x * powers[offset])
    total = torch.zeros(len(x), x.shape[1] + 1, dtype=torch.int64, device=x.device).scatter_add_(1, word.clamp_min(0), value)
    hashes.append(_mix(total[:, : x.shape[1]]))
    number = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
    owners.append(torch.where(number < starts.sum(1, keepdim=True), number, -1))
    owner = torch.cat(owners, dim=1)
    return torch.cat(hashes, dim=1), torch.where(owner < num_words, owner, -1)


class WordTokenizer(nn.Module):
    """Texts uint8 (B, T, L) -> a token for each of the first words (B, T, words, C), or one for all of them (B, T, 1, C)."""

    grid = 0

    def __init__(self, width: int, *, num_words: int = 16, pooled: bool = True, num_rows: int = 4096, table: int = 64) -> None:
        super().__init__()
        self.num_words, self.pooled, self.num_tokens = num_words, pooled, 1 if pooled else num_words
        self.table = nn.Embedding(num_rows, table)
        self.place = nn.Parameter(0.02 * torch.randn(num_words, table))  # the order of words
        self.none = nn.Parameter(torch.zeros(table))
        self.layers = nn.Sequential(nn.LayerNorm(table), nn.Linear(table, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, text: Tensor) -> Tensor:
        """A text that has fewer words is filled up with a learned one."""
        hashes, owner = word_hashes(text.flatten(0, 1), self.num_words)
        rows = F.embedding(hashes % self.table.num_embeddings, self.table.weight)  # (R, N, E)
        belongs = F.one_hot(owner + 1, self.num_words + 1)[..., 1:].to(rows.dtype)  # (R, N, words)
        count = belongs.sum(1)
        words = torch.einsum("rnw,rne->rwe", belongs, rows) / count.clamp_min(1).unsqueeze(-1)
        there = (count > 0).unsqueeze(-1)
        words = torch.where(there, words + self.place, self.none)
        if self.pooled:
            num = there.sum(1, keepdim=True)
            words = torch.where(num > 0, (words * there).sum(1, keepdim=True) / num.clamp_min(1), self.none)
        return self.layers(words).unflatten(0, text.shape[:2])


class SentenceTokenizer(nn.Module):
    """A sentence's embedding (B, T, E) float32, from whichever model -> one token (B, T, 1, C); its length does not count."""

    grid = 0
    num_tokens = 1

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Linear(size, width)
        self.scale = size**0.5

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, T, E) -> (B, T, 1, C)."""
        return self.layers(F.normalize(embedding.float(), dim=-1) * self.scale).unsqueeze(-2)


def _hash(pieces: Tensor, n: int) -> Tensor:
    return _mix((pieces * _powers(n, pieces.device)).sum(-1) + 7919 * n)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ (x >> 15)) * 40503
    return (x ^ (x >> 13)) & 0x7FFFFFFF


def _powers(n: int, device: torch.device) -> Tensor:
    """257^i for i < n; whole numbers of 64 bits wrap around alike on every device."""
    out, value = [], 1
    for _ in range(n):
        out.append(value - 2**64 if value >= 2**63 else value)
        value = value * 257 % 2**64
    return torch.tensor(out, dtype=torch.int64, device=device)
