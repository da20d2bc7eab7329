"""Settings that make no model or objective are refused in one line when the configuration is made."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.worldmodel.toy import toy_spec
from worldmodel.encoder import EncoderConfig
from worldmodel.errors import ConfigError
from worldmodel.jepa import JEPA, JEPAConfig
from worldmodel.objectives import ObjectiveConfig, SIGRegConfig
from worldmodel.predictor import PredictorConfig


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (EncoderConfig, {"widths": ()}, r"widths is \[\]"),
        (EncoderConfig, {"widths": (8, 0)}, r"widths is \[8, 0\]; expected a positive number"),
        (EncoderConfig, {"stem_stride": 0}, "stem_stride is 0; expected at least 1"),
        (EncoderConfig, {"grid": 0}, "grid is 0; expected at least 1"),
        (EncoderConfig, {"token_dim": 0}, "token_dim is 0; expected at least 1"),
        (EncoderConfig, {"norm_momentum": 0.0}, r"norm_momentum is 0.0; expected a number in \(0, 1\]"),
        (PredictorConfig, {"width": 0}, "width is 0; expected at least 1"),
        (PredictorConfig, {"depth": 0}, "depth is 0; expected at least 1"),
        (PredictorConfig, {"num_heads": 0}, "num_heads is 0; expected at least 1"),
        (PredictorConfig, {"merge": 0}, "merge is 0; expected at least 1"),
        (PredictorConfig, {"action_width": -1}, "action_width is -1"),
        (PredictorConfig, {"cond_dim": 0}, "cond_dim is 0"),
        (PredictorConfig, {"num_heads": 5}, "width is 96; expected a multiple of 10: 5 heads of even width"),
        (PredictorConfig, {"width": 12}, "width is 12; expected a multiple of 8: 4 heads of even width"),
        (PredictorConfig, {"mlp_ratio": 0.0}, "mlp_ratio is 0.0; expected more than 0"),
        (PredictorConfig, {"mlp_ratio": 0.001}, "at least one hidden channel"),
        (JEPAConfig, {"predictor": PredictorConfig(merge=3)}, "predictor.merge 3 does not divide the grid of 8 places"),
        (JEPAConfig, {"context_length": 0}, "context_length is 0"),
        (JEPAConfig, {"rollout_chunk": 0}, "rollout_chunk is 0"),
        (JEPAConfig, {"sensors": ("pixels", "proprio", "proprio")}, "expected each sensor once"),
        (ObjectiveConfig, {"prediction_coef": float("nan")}, "prediction_coef is nan; expected at least 0"),
        (ObjectiveConfig, {"rollout_coef": -1.0}, "rollout_coef is -1.0; expected at least 0"),
        (ObjectiveConfig, {"rollout_steps": 0}, "rollout_steps is 0; expected at least 1"),
        (SIGRegConfig, {"num_projections": 0}, "num_projections is 0"),
        (SIGRegConfig, {"num_knots": 1}, "num_knots is 1; expected at least 2"),
        (SIGRegConfig, {"t_max": 0.0}, "t_max is 0.0; expected more than 0"),
    ],
)
def test_an_impossible_setting_is_refused(config: type, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        config(**changes)
    assert "\n" not in str(caught.value)


def test_the_smallest_settings_are_a_model() -> None:
    encoder = EncoderConfig(widths=(1, 1), grid=4, token_dim=1, norm_momentum=1.0)
    predictor = PredictorConfig(width=2, depth=1, num_heads=1, mlp_ratio=0.5, merge=4, action_width=1, cond_dim=1)
    assert JEPA(dataclasses.replace(JEPAConfig(), encoder=encoder, predictor=predictor), toy_spec()).num_parameters > 0
