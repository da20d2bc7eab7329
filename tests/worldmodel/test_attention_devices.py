"""On accelerators, where there is one: every engine against the loops in float64, and rollouts against the CPU's."""

from __future__ import annotations

import pytest
import torch

from tests.worldmodel.test_attention import random_case, reference, relative
from tests.worldmodel.test_jepa import latents, tiny
from worldmodel.nn.attention import attend
from worldmodel.nn.masks import FrameMask

DEVICES = [
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")),
    pytest.param("mps", marks=pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no Apple GPU here")),
]
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*flex_attention"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch._inductor"),
]


@pytest.fixture(autouse=True)
def full_precision() -> None:
    torch.backends.cuda.matmul.allow_tf32 = False


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_engines_equal_the_reference(device: str, seed: int, dtype: torch.dtype, tolerance: float) -> None:
    case = random_case(seed)
    given = [x.to(dtype) for x in (case.q, case.k, case.v)]
    exact = [x.double().requires_grad_() for x in given]
    want = reference(*exact, case.allowed)  # type: ignore[call-arg]
    (want * case.upstream.to(dtype).double()).sum().backward()
    whole = float(torch.stack([x.grad.norm() for x in exact if x.grad is not None]).norm())
    # auto is flex on CUDA, compiled; its kernels want heads of at least 16, which the test below has
    for engine in ("sdpa", "frames") if isinstance(case.mask, FrameMask) else ("sdpa",):
        leaves = [x.to(device).requires_grad_() for x in given]
        got = attend(*leaves, case.mask, engine)  # type: ignore[call-arg]
        got.backward(case.upstream.to(device, dtype))
        assert relative(got.detach().cpu(), want.detach()) < tolerance, engine
        for leaf, other in zip(leaves, exact, strict=True):
            assert leaf.grad is not None
            assert other.grad is not None
            assert float((leaf.grad.cpu().double() - other.grad).norm()) < tolerance * max(
                float(other.grad.norm()), 0.1 * whole
            )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here: FlexAttention has gradients only there")
@pytest.mark.parametrize("reach", [None, 1])
@pytest.mark.parametrize(("num_frames", "tokens", "dim"), [(3, 16, 32), (4, 65, 24), (8, 64, 64)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_compiled_flex_equals_dense_float64_in_value_and_gradient(
    reach: int | None, num_frames: int, tokens: int, dim: int, dtype: torch.dtype, tolerance: float
) -> None:
    mask, generator = FrameMask(num_frames, tokens, reach), torch.Generator().manual_seed(0)
    given = [torch.randn(2, 2, num_frames * tokens, dim, generator=generator).to(dtype) for _ in range(4)]
    exact = [x.double().requires_grad_() for x in given[:3]]
    score = exact[0] @ exact[1].transpose(-1, -2) / dim**0.5
    want = score.masked_fill(~mask.dense(torch.device("cpu")), -torch.inf).softmax(-1) @ exact[2]
    want.backward(given[3].double())
    leaves = [x.cuda().requires_grad_() for x in given[:3]]
    got = attend(*leaves, mask)  # type: ignore[call-arg]
    got.backward(given[3].cuda())
    assert relative(got.detach().cpu(), want.detach()) < tolerance
    for leaf, other in zip(leaves, exact, strict=True):
        assert leaf.grad is not None
        assert other.grad is not None
        assert relative(leaf.grad.cpu(), other.grad) < tolerance


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("context_length", [1, 3])
def test_predictions_and_rollouts_equal_the_cpus(device: str, context_length: int) -> None:
    model = tiny(context_length=context_length)
    z, actions = latents(2, 4)
    with torch.inference_mode():
        want = model.predict(z, actions), model.rollout(z[:, :3], actions[:, None, 2:], actions[:, :2])
        model.to(device)
        z, actions = z.to(device), actions.to(device)
        got = model.predict(z, actions), model.rollout(z[:, :3], actions[:, None, 2:], actions[:, :2])
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-4, atol=1e-4)
