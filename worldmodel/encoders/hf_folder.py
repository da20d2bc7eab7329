"""Pretrained networks in Hugging Face layout: config.json and model.safetensors of a local folder, read into our names.

Read are Dinov2Model, Dinov2WithRegistersModel, DINOv3ViTModel and VJEPA2Model, under the names that published checkpoints
use and under those of transformers 5. Heads, predictors and mask tokens are left out. Nothing is downloaded, and nothing is
unpickled: pytorch_model.bin is not read.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from worldmodel.encoders.config import Backbone
from worldmodel.errors import CheckpointError, ConfigError, unknown_name

FAMILIES = ("dinov2", "dinov2_with_registers", "dinov3_vit", "vjepa2")

_LEFT_OUT = re.compile(r"(^|\.)(mask_token|predictor|pooler|classifier|rope_embeddings)(\.|$)")
_NAMES = [
    (r"^(dinov2|dinov2_with_registers|vjepa2|backbone)\.", ""),
    (r"^(encoder\.)?embeddings\.patch_embeddings\.((projection|proj)\.)?", "patch."),
    (r"^embeddings\.cls_token$", "first"),
    (r"^embeddings\.register_tokens$", "registers"),
    (r"^embeddings\.position_embeddings$", "positions"),
    (r"^(encoder\.|model\.)?layer\.", "blocks."),
    (r"^(encoder\.)?layernorm\.", "norm."),
    (r"\.attention\.(attention\.query|query|q_proj)\.", ".q."),
    (r"\.attention\.(attention\.key|key|k_proj)\.", ".k."),
    (r"\.attention\.(attention\.value|value|v_proj)\.", ".v."),
    (r"\.attention\.(output\.dense|o_proj|proj)\.", ".out."),
    (r"\.layer_scale([12])\.lambda1$", r".scale\1"),
    (r"\.mlp\.(fc1|up_proj)\.", ".up."),
    (r"\.mlp\.gate_proj\.", ".gate."),
    (r"\.mlp\.(fc2|down_proj|weights_out)\.", ".down."),
    (r"\.mlp\.weights_in\.", ".gate_up."),
]


def read_backbone(folder: Path) -> Backbone:
    """The network's shape, from config.json. CheckpointError when it is missing or damaged, ConfigError for another kind."""
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{folder} holds no config.json; expected a network in Hugging Face layout") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    family = values.get("model_type") if isinstance(values, dict) else None
    if family not in FAMILIES:
        raise ConfigError(f"{path}: {unknown_name('model_type', str(family), FAMILIES)}")
    try:
        return _backbone(family, values)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {type(error).__name__} {error}; it is not a whole {family} configuration") from None


def _backbone(family: Any, values: dict[str, Any]) -> Backbone:
    width, video = int(values["hidden_size"]), family == "vjepa2"
    gated = bool(values.get("use_swiglu_ffn", values.get("use_gated_mlp", False)))
    act = values.get("hidden_act", "gelu")
    # DINOv2's SwiGLU is SiLU whatever hidden_act says
    if act != "gelu" and not (gated and (act == "silu" or family.startswith("dinov2"))):
        raise ValueError(f"hidden_act {act!r} is not read here")
    hidden = int(values["intermediate_size"]) if family == "dinov3_vit" else int(width * values.get("mlp_ratio", 4))
    if gated and family != "dinov3_vit":
        hidden = (int(hidden * 2 / 3) + 7) // 8 * 8
    patch = _side(values["patch_size"])
    return Backbone(
        family=family,
        width=width,
        depth=int(values["num_hidden_layers"]),
        num_heads=int(values["num_attention_heads"]),
        hidden=hidden,
        patch=patch,
        gated=gated,
        positions=_side(values["image_size"]) // patch if family.startswith("dinov2") else 0,
        num_registers=int(values.get("num_register_tokens", 0)),
        tubelet=int(values.get("tubelet_size", 2)) if video else 1,
        rope_base=float(values.get("rope_theta", 100.0)),
        eps=float(values.get("layer_norm_eps", 1e-5 if family == "dinov3_vit" else 1e-6)),
    )


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The network's weights under our names (hf_vit.py). CheckpointError when a file is missing or damaged."""
    index = folder / "model.safetensors.index.json"
    try:
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values())) if index.exists() else []
        files = [folder / Path(name).name for name in names] or [folder / "model.safetensors"]
        found: dict[str, Tensor] = {}
        for file in files:
            found |= safetensors.torch.load_file(file)
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} lacks weights ({error}); expected model.safetensors beside config.json") from None
    except (SafetensorError, OSError, json.JSONDecodeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{folder}: its weights are damaged ({error})") from None
    weights = {}
    for name, value in found.items():
        if value.numel() and not _LEFT_OUT.search(name):
            own = _own_name(name)
            if ".gate_up." in own:  # both halves of a SwiGLU in one
                weights[own.replace("gate_up", "gate")], weights[own.replace("gate_up", "up")] = value.chunk(2)
            else:
                weights[own] = value
    return weights


def _own_name(name: str) -> str:
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _side(size: Any) -> int:
    sides = {int(s) for s in size} if isinstance(size, list | tuple) else {int(size)}
    if len(sides) != 1:
        raise ValueError(f"{size} is not square")
    return sides.pop()
