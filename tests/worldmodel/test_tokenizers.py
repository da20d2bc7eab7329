"""Tokenizers: shapes, causality, what they compute against independent references, and that every weight learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from worldmodel.errors import ConfigError, DataError
from worldmodel.nn.tokenizers import (
    AudioTokenizer,
    CameraTokenizer,
    ConvTokenizer,
    DepthTokenizer,
    SentenceTokenizer,
    TouchTokenizer,
    VectorTokenizer,
    WordTokenizer,
    conv_layers,
    encode_text,
)
from worldmodel.nn.tokenizers.audio import mel_filters
from worldmodel.nn.tokenizers.camera import patch_layers
from worldmodel.nn.tokenizers.depth import nearness
from worldmodel.nn.tokenizers.instruction import word_hashes

B, T, C = 2, 3, 24


def pictures(*shape: int) -> Tensor:
    return torch.randint(0, 256, (B, T, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def sentence(text: str, length: int = 64) -> Tensor:
    return torch.from_numpy(encode_text(text, length)).expand(B, T, -1)


CASES = {
    "conv": (lambda: ConvTokenizer((32, 32, 3), (8, 8), 4, 4, C), lambda: pictures(32, 32, 3), 16),
    "patches": (lambda: CameraTokenizer((32, 48, 3), 4, C), lambda: pictures(32, 48, 3), 16),
    "stem": (lambda: CameraTokenizer((32, 32, 3), 4, C, stem=True), lambda: pictures(32, 32, 3), 16),
    "tubelets": (lambda: CameraTokenizer((32, 32, 3), 4, C, tubelet=2), lambda: pictures(32, 32, 3), 16),
    "depth": (lambda: DepthTokenizer(patch_layers((32, 32), 2, 4, C, False), 4), lambda: torch.rand(B, T, 32, 32), 16),
    "depth uint16": (
        lambda: DepthTokenizer(conv_layers((32, 32), 2, (8, 8), 4, 4, C), 4),
        lambda: torch.randint(0, 5000, (B, T, 32, 32, 1)).to(torch.uint16),
        16,
    ),
    "proprio": (lambda: VectorTokenizer(5, C), lambda: torch.randn(B, T, 5), 1),
    "touch": (lambda: TouchTokenizer(12, C), lambda: torch.randn(B, T, 4, 3), 1),
    "audio": (lambda: AudioTokenizer(3200, C), lambda: torch.rand(B, T, 3200) * 2 - 1, 8),
    "short audio": (lambda: AudioTokenizer(100, C, num_mels=32), lambda: torch.rand(B, T, 100) * 2 - 1, 2),
    "words": (lambda: WordTokenizer(C, num_words=6, pooled=False), lambda: sentence("clear the table"), 6),
    "pooled words": (lambda: WordTokenizer(C), lambda: sentence("clear the table"), 1),
    "sentence": (lambda: SentenceTokenizer(10, C), lambda: torch.randn(B, T, 10), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_a_sensor_becomes_tokens_and_every_weight_learns(name: str) -> None:
    make, values, num_tokens = CASES[name]
    torch.manual_seed(0)
    tokenizer = make()
    tokens = tokenizer(values())
    assert tokens.shape == (B, T, num_tokens, C) and tokenizer.num_tokens == num_tokens
    assert num_tokens == tokenizer.grid**2 or tokenizer.grid == 0
    (tokens * torch.randn_like(tokens)).sum().backward()
    silent = [n for n, p in tokenizer.named_parameters() if p.grad is None or not p.grad.any()]
    # a sentence without blanks at its end has no use for the word that stands for none
    assert silent == (["none"] if name == "pooled words" else [])


@pytest.mark.parametrize("name", ["conv", "patches", "stem", "tubelets", "depth", "audio", "words"])
def test_no_frame_knows_a_later_one(name: str) -> None:
    make, values, _ = CASES[name]
    torch.manual_seed(0)
    tokenizer, before = make(), values().clone()
    after = before.clone()
    after[:, 2] = after[:, 2].flip(-1) if name == "audio" else torch.zeros_like(after[:, 2])
    changed = (tokenizer(before) - tokenizer(after)).detach().abs().amax(dim=(0, 2, 3)) > 1e-6
    assert changed.tolist() == [False, False, True]


def test_a_patch_without_a_stem_is_a_linear_map_of_its_pixels() -> None:
    torch.manual_seed(0)
    tokenizer, frames = CameraTokenizer((32, 32, 3), 4, C, tubelet=2), pictures(32, 32, 3)
    layer = tokenizer.layers[0]
    assert isinstance(layer, nn.Conv2d) and layer.bias is not None
    x = frames.double() / 127.5 - 1
    two = torch.stack([x[1, 1], x[1, 2]])[:, 8:16, 24:32]  # token (row 1, column 3) of frame 2 and what was there before
    want = torch.einsum("ctij,tijc->", layer.weight[5].double().unflatten(0, (2, 3)).transpose(0, 1), two)
    torch.testing.assert_close(tokenizer(frames)[1, 2, 7, 5].double(), want + layer.bias[5].double(), atol=1e-4, rtol=1e-4)


def test_depth_in_millimetres_is_depth_in_metres_and_nothing_measured_is_nothing() -> None:
    metres = torch.tensor([[0.0, 0.5], [2.0, 65.0]])
    near = nearness(metres)
    torch.testing.assert_close(near, nearness((metres * 1000).to(torch.uint16)))
    torch.testing.assert_close(near[0], torch.tensor([[0.0, 1 / 1.5], [1 / 3, 1 / 66]]))
    assert near[1].tolist() == [[0, 1], [1, 1]]
    assert not nearness(torch.tensor([[float("nan"), float("inf")]])).any()


def test_touch_is_told_by_its_logarithm() -> None:
    touch, vector = TouchTokenizer(3, C), VectorTokenizer(3, C)
    vector.load_state_dict(touch.state_dict())
    force = torch.tensor([[[0.0, -100.0, 3.0]]])
    told = torch.tensor([[[0.0, -np.log(101.0), np.log(4.0)]]], dtype=torch.float32)
    torch.testing.assert_close(touch(force), vector(told))


def test_mel_filters_are_triangles_between_even_steps_of_mel() -> None:
    rate, num_fft, num_mels = 8000, 256, 10
    got = mel_filters(num_mels, num_fft, rate).numpy()
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), num_mels + 2) / 2595) - 1)
    for band in range(num_mels):
        for k in range(num_fft // 2 + 1):
            hz = k * rate / num_fft
            want = np.interp(hz, edges[band : band + 3], [0, 1, 0], left=0, right=0)
            assert got[band, k] == pytest.approx(want, abs=1e-5)


def test_a_tone_is_loudest_in_its_band_and_silence_is_minus_one() -> None:
    tokenizer = AudioTokenizer(3200, C)
    seconds = torch.arange(3200) / 16000
    mel = tokenizer.log_mel(torch.stack([torch.sin(2 * torch.pi * 1000 * seconds), torch.zeros(3200)]))
    band = int(mel[0].mean(-1).argmax())
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 66) / 2595) - 1)
    assert edges[band] < 1000 < edges[band + 2]
    torch.testing.assert_close(mel[1], torch.full_like(mel[1], -1))


def test_words_are_known_by_their_letters_only() -> None:
    words = WordTokenizer(C, num_words=4, pooled=False)
    a, b = words(sentence("Clear the TABLE!")), words(sentence("clear  the table"))
    torch.testing.assert_close(a, b)
    other = words(sentence("clear the floor"))
    same = (a == other).all(-1)[0, 0].tolist()
    assert same == [True, True, False, True]  # the fourth is the word that stands for none
    assert not torch.allclose(words(sentence("table the clear")), a)


def hashed(text: str) -> list[set[int]]:
    """Hashes of each word of a text, written a second time in Python's own numbers."""

    def signed(x: int) -> int:
        return (x + 2**63) % 2**64 - 2**63

    def mix(x: int) -> int:
        x = signed((x ^ x >> 15) * 40503)
        return (x ^ x >> 13) % 2**31

    def of(piece: bytes, more: int) -> int:
        return mix(signed(sum(byte * 257**i for i, byte in enumerate(piece)) + more))

    kept = bytes(b if b > 127 or chr(b).isalnum() else 32 for b in text.encode()).lower()
    found = []
    for word in kept.split():
        padded = b" " + word + b" "
        grams = [padded[i : i + n] for n in (3, 4, 5) for i in range(len(padded) - n + 1)]
        found.append({of(gram, 7919 * len(gram)) for gram in grams} | {of(word, 0)})
    return found


@pytest.mark.parametrize("text", ["Clear the TABLE!", "a b", "put 3 extraordinarily-large cubes, there", "schiebe den Würfel"])
def test_hashes_equal_those_of_pythons_own_numbers(text: str) -> None:
    want = hashed(text)
    values, owner = word_hashes(torch.from_numpy(encode_text(text, len(text.encode())))[None], len(want))
    assert [set(values[owner == number].tolist()) for number in range(len(want))] == want
    assert int(owner.max()) == len(want) - 1


def test_words_that_begin_alike_share_most_of_their_hashes() -> None:
    def hashes(word: str) -> set[int]:
        values, owner = word_hashes(sentence(word)[0, :1], 4)
        return set(values[owner == 0].tolist())

    block, blocks, table = hashes("block"), hashes("blocks"), hashes("table")
    assert len(block & blocks) >= 4 and not block & table
    # 5 letters between blanks: 5 + 4 + 3 n-grams, and the word
    assert len(block) == 13


def test_a_pooled_instruction_is_the_mean_of_its_words_whatever_comes_later() -> None:
    pooled = WordTokenizer(C, num_words=2)
    torch.testing.assert_close(pooled(sentence("clear the table")), pooled(sentence("clear the floor")))
    assert torch.isfinite(pooled(torch.zeros(1, 1, 8, dtype=torch.uint8))).all()


def test_the_length_of_a_sentence_embedding_does_not_count() -> None:
    tokenizer, x = SentenceTokenizer(10, C), torch.randn(B, T, 10)
    torch.testing.assert_close(tokenizer(x), tokenizer(7 * x))


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not divide into 5 x 5 patches"):
        CameraTokenizer((32, 32, 3), 5, C)
    with pytest.raises(ConfigError, match="patches are 3 x 3"):
        CameraTokenizer((12, 12, 3), 4, C, stem=True)
    with pytest.raises(ConfigError, match="60 mel bands"):
        AudioTokenizer(1600, C, num_mels=60)
    with pytest.raises(DataError, match="does not fit 8"):
        encode_text("clear the table", 8)
