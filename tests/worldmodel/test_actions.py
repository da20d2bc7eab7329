"""What an action looks like from a place: exact answers."""

from __future__ import annotations

import pytest
import torch

from tests.worldmodel.toy import toy_spec
from worldmodel.errors import ConfigError
from worldmodel.nn.actions import NUM_STROKE_FEATURES, RelativeAction, VectorAction, scaled, stroke_features, token_centres
from worldmodel.objectives.inverse_dynamics import InverseDynamics
from worldmodel.types import ActionSpec

AFFINE = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0))


def test_centres_are_in_row_order() -> None:
    centres = token_centres(4)
    assert centres.shape == (16, 2)
    assert centres[0].tolist() == [-0.75, -0.75]
    assert centres[1].tolist() == [-0.25, -0.75]  # one to the right
    assert centres[4].tolist() == [-0.75, -0.25]  # one down
    assert token_centres(8).diff(dim=0)[0].tolist() == [0.25, 0.0]


def test_geometry_of_a_stroke() -> None:
    start, end = torch.tensor([-0.5, 0.0]), torch.tensor([0.5, 0.0])
    centres = torch.tensor([[0.0, 0.0], [0.25, 0.1], [-0.75, 0.0], [0.75, 0.0]])
    features = stroke_features(start, end, centres)
    assert features.shape == (4, NUM_STROKE_FEATURES)
    want = torch.tensor(  # from start, from end, along, across, past the end
        [
            [0.5, 0.0, -0.5, 0.0, 0.5, 0.0, -0.5],
            [0.75, 0.1, -0.25, 0.1, 0.75, -0.1, -0.25],
            [-0.25, 0.0, -1.25, 0.0, -0.25, 0.0, -1.25],
            [1.25, 0.0, 0.25, 0.0, 1.25, 0.0, 0.25],
        ]
    )
    torch.testing.assert_close(features[:, :7], want, atol=1e-4, rtol=0)
    in_strip = features[:, 7]  # of the narrowest width
    assert in_strip[0] > 0.99
    assert in_strip[1] == pytest.approx(torch.exp(torch.tensor(-0.5 * (0.1 / 0.12) ** 2)).item(), abs=1e-3)
    assert in_strip[2] < 0.01
    assert in_strip[3] < 0.01
    torch.testing.assert_close(features[:, -3:], torch.tensor([[1.0, 0.0, 1.0]]).expand(4, 3), atol=1e-4, rtol=0)


def test_turning_everything_keeps_along_and_across() -> None:
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    start, end, centres = torch.tensor([0.1, -0.4]), torch.tensor([0.5, 0.3]), token_centres(4)
    plain, turned = stroke_features(start, end, centres), stroke_features(turn @ start, turn @ end, centres @ turn.T)
    torch.testing.assert_close(plain[:, 4:-3], turned[:, 4:-3])


def test_a_stroke_of_no_length_is_finite() -> None:
    point = torch.zeros(2, requires_grad=True)
    features = stroke_features(point, point, token_centres(4))
    features.sum().backward()
    assert features.isfinite().all()
    assert point.grad is not None
    assert point.grad.isfinite().all()


def test_calibration_puts_the_stroke_where_the_picture_has_it() -> None:
    action = RelativeAction(toy_spec().action, grid=4, width=8)
    features = action.features(torch.tensor([0.5, 0.5, -0.5, 0.5]))  # table: y up; picture: down, scaled by 0.9
    torch.testing.assert_close(features[:, :2], token_centres(4) - torch.tensor([0.45, -0.45]))
    torch.testing.assert_close(features[:, 2:4], token_centres(4) - torch.tensor([-0.45, -0.45]))
    torch.testing.assert_close(features[:, -4:], torch.tensor([[0.5, 0.5, -0.5, 0.5]]).expand(16, 4))
    assert action(torch.zeros(2, 3, 4)).shape == (2, 3, 16, 8)


def test_a_plain_vector_is_scaled_and_the_same_everywhere() -> None:
    spec = ActionSpec(("a", "b"), (0.0, -2.0), (4.0, 2.0))
    action = VectorAction(spec, 8)
    assert action(torch.zeros(5, 2)).shape == (5, 1, 8)
    unit = VectorAction(ActionSpec(("a", "b"), (-1.0, -1.0), (1.0, 1.0)), 8)
    unit.load_state_dict(action.state_dict())
    torch.testing.assert_close(action(torch.tensor([4.0, 0.0])), unit(torch.tensor([1.0, 0.0])))


def test_an_action_without_points_cannot_be_relative() -> None:
    with pytest.raises(ConfigError, match="action: vector"):
        RelativeAction(ActionSpec(("a",), (0.0,), (1.0,)), 4, 8)


def test_an_element_without_room_between_its_bounds_is_a_number() -> None:
    """A joint that is held still: low is high, and nothing divides by it."""
    held = ActionSpec(("x", "y", "u", "v", "grip"), (-1.0,) * 4 + (0.5,), (1.0,) * 4 + (0.5,), ((0, 1), (2, 3)), AFFINE)
    actions = torch.tensor([[0.5, -1.0, 1.0, 0.0, 0.5]])
    want = torch.tensor([[0.5, -1.0, 1.0, 0.0, -1.0]])
    torch.testing.assert_close(scaled(actions, torch.tensor(held.low), torch.tensor(held.high)), want)
    for told in (RelativeAction(held, 4, 8), VectorAction(held, 8)):
        assert bool(told(actions).isfinite().all())
    loss = InverseDynamics(2, 3, held)(torch.randn(1, 2, 2, 3), actions[None])
    assert bool(loss.isfinite())
