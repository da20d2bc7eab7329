"""Networks in Hugging Face layout: equal to transformers (the extra `pretrained`), and read from hand-made tiny folders."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.worldmodel.toy import toy_spec
from worldmodel.encoder import EncoderConfig, build_encoder
from worldmodel.encoders.config import PretrainedConfig
from worldmodel.encoders.hf_folder import read_backbone, read_weights
from worldmodel.encoders.hf_vit import MEAN, STD, PretrainedViT
from worldmodel.errors import CheckpointError, ConfigError
from worldmodel.jepa import JEPA, JEPAConfig
from worldmodel.nn.embodied import Body

TINY = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "dinov2": ("Dinov2", TINY | {"image_size": 16, "patch_size": 4}),
    "dinov2 swiglu": ("Dinov2", TINY | {"image_size": 16, "patch_size": 4, "use_swiglu_ffn": True}),
    "registers": ("Dinov2WithRegisters", TINY | {"image_size": 16, "patch_size": 4, "num_register_tokens": 3}),
    "dinov3": ("DINOv3ViT", TINY | {"image_size": 16, "patch_size": 4, "intermediate_size": 40, "num_register_tokens": 2}),
    "dinov3 gated": (
        "DINOv3ViT",
        TINY | {"image_size": 16, "patch_size": 4, "intermediate_size": 40, "use_gated_mlp": True, "hidden_act": "silu"},
    ),
    "vjepa2": (
        "VJEPA2",
        TINY | {"hidden_size": 40, "crop_size": 16, "patch_size": 4, "tubelet_size": 2, "frames_per_clip": 2}
        | {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1},
    ),
}  # fmt: skip


def pictures(side: int = 16) -> Tensor:
    return torch.randint(0, 256, (3, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("grid", [4, 6])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_network_equals_transformers(name: str, grid: int, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="pip install 'worldmodel[pretrained]'")
    kind, values = CONFIGS[name]
    if kind == "VJEPA2":
        values = values | {"crop_size": 4 * grid}
    torch.manual_seed(0)
    theirs = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**values)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():  # nothing is left at zero or one
            parameter.add_(0.1 * torch.randn_like(parameter))
    theirs.save_pretrained(tmp_path)
    ours = PretrainedViT(read_backbone(tmp_path), grid).eval()
    ours.load(read_weights(tmp_path), "here")
    pixels = pictures(4 * grid)
    x = ((pixels.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    with torch.no_grad():
        if kind == "VJEPA2":
            want = theirs(pixel_values_videos=x.unsqueeze(1), skip_predictor=True).last_hidden_state
        else:
            want = theirs(pixel_values=x).last_hidden_state[:, -(grid**2) :]
        torch.testing.assert_close(ours(pixels), want, atol=2e-5, rtol=1e-4)


def write_folder(folder: Path, *, old_names: bool = True) -> dict[str, Tensor]:
    """A DINOv2 of one block, by hand; the names of published checkpoints, or those of transformers 5."""
    c, hidden, g = 8, 32, torch.Generator().manual_seed(1)
    config = {"model_type": "dinov2", "hidden_size": c, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_ratio": 4}
    (folder / "config.json").write_text(json.dumps(config | {"image_size": 16, "patch_size": 4}))
    q, out = ("attention.attention.query", "attention.output.dense") if old_names else ("attention.q_proj", "attention.o_proj")
    names = [q, q.replace("query", "key").replace("q_", "k_"), q.replace("query", "value").replace("q_", "v_"), out]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, c),
        "embeddings.mask_token": (1, c),
        "embeddings.position_embeddings": (1, 17, c),
        "embeddings.patch_embeddings.projection.weight": (c, 3, 4, 4),
        "embeddings.patch_embeddings.projection.bias": (c,),
        "layernorm.weight": (c,),
        "layernorm.bias": (c,),
    }
    layers = dict.fromkeys(names, (c, c)) | {"mlp.fc1": (hidden, c), "mlp.fc2": (c, hidden)}
    for name, shape in layers.items():
        shapes |= {f"encoder.layer.0.{name}.weight": shape, f"encoder.layer.0.{name}.bias": shape[:1]}
    for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "layer_scale1.lambda1", "layer_scale2.lambda1"):
        shapes[f"encoder.layer.0.{name}"] = (c,)
    weights = {name: 0.3 * torch.randn(shape, generator=g) for name, shape in shapes.items()}
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    return weights


def encoder_config(folder: Path, **changes: Any) -> EncoderConfig:
    pretrained = PretrainedConfig(str(folder), **{k: changes.pop(k) for k in ("frozen",) if k in changes})
    return EncoderConfig(kind="pretrained", grid=4, token_dim=6, pretrained=pretrained, **changes)


def observation() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, 3, 32, 32, 3), dtype=torch.uint8, generator=generator)
    return {"pixels": pixels, "proprio": torch.rand(2, 3, 2, generator=generator)}


@pytest.mark.parametrize("old_names", [True, False])
def test_weights_of_a_hand_made_folder_lie_where_they_belong(tmp_path: Path, old_names: bool) -> None:
    weights = write_folder(tmp_path, old_names=old_names)
    network = PretrainedViT(read_backbone(tmp_path), 4)
    network.load(read_weights(tmp_path), "here")
    own = network.state_dict()
    key = "attention.attention.key" if old_names else "attention.k_proj"
    torch.testing.assert_close(own["blocks.0.k.weight"], weights[f"encoder.layer.0.{key}.weight"])
    torch.testing.assert_close(own["blocks.0.scale2"], weights["encoder.layer.0.layer_scale2.lambda1"])
    torch.testing.assert_close(own["blocks.0.down.bias"], weights["encoder.layer.0.mlp.fc2.bias"])
    assert len(own) == len(weights) - 1  # but for the mask token


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_network_learns_nothing_and_another_one_does(tmp_path: Path, frozen: bool) -> None:
    write_folder(tmp_path)
    encoder = build_encoder(encoder_config(tmp_path, frozen=frozen), ("pixels", "proprio"), (Body(toy_spec()),))
    encoder.train()
    z = encoder(observation())
    assert z.shape == (2, 3, 17, 6)
    (z * torch.randn_like(z)).sum().backward()
    network = {n for n, p in encoder.named_parameters() if ".network." in n and p.grad is not None and p.grad.any()}
    others = {n for n, p in encoder.named_parameters() if ".network." not in n and (p.grad is None or not p.grad.any())}
    assert bool(network) == (not frozen) and not others


@pytest.mark.parametrize("output", ["grid", "pooled", "vector"])
def test_a_run_needs_the_folder_no_more(tmp_path: Path, output: Any) -> None:
    write_folder(tmp_path)
    config = JEPAConfig(encoder=encoder_config(tmp_path, output=output), sensors=("pixels", "proprio"))
    model = JEPA(config, toy_spec()).eval()
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "config.json").unlink()
    again = JEPA(model.config, toy_spec()).eval()
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again.encode(observation()), model.encode(observation()))
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        JEPA(config, toy_spec())


def test_a_folder_that_is_something_else_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "dinov4"}')
    with pytest.raises(ConfigError, match=r"unknown model_type 'dinov4'.* Did you mean 'dinov2'"):
        read_backbone(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "dinov2"}')
    with pytest.raises(CheckpointError, match="KeyError 'hidden_size'"):
        read_backbone(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        read_backbone(tmp_path)
    write_folder(tmp_path)
    with pytest.raises(CheckpointError, match=r"not those of its config\.json; missing \['blocks\.1"):
        shape = dataclasses.replace(read_backbone(tmp_path), depth=2)
        PretrainedViT(shape, 4).load(read_weights(tmp_path), "here")
    (tmp_path / "model.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="damaged"):
        read_weights(tmp_path)


def test_a_pretrained_kind_needs_a_folder() -> None:
    with pytest.raises(ConfigError, match=r"pretrained\.path is null"):
        EncoderConfig(kind="pretrained")
