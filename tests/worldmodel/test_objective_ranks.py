"""Two processes with half a batch each have the loss and the gradient of one process with all of it."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from worldmodel.layout import TokenLayout
from worldmodel.masking import BlockMaskConfig
from worldmodel.objectives import InfoNCEConfig, MaskedConfig, SIGRegConfig, VICRegConfig
from worldmodel.objectives.contrastive import InfoNCE
from worldmodel.objectives.masked import MaskedPrediction, take
from worldmodel.objectives.sigreg import SIGReg
from worldmodel.objectives.vicreg import variance_and_covariance

BATCH, TIME, PLACES, WIDTH, WORDS = 12, 2, 3, 4, 5


class Shown(nn.Module):
    """As much of an encoder as masked prediction asks for: three cameras of one place each."""

    layout, cameras = TokenLayout(1, PLACES), ()

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def visible(self, obs: dict[str, Tensor], kept: Tensor) -> Tensor:
        return take(self.encoder(obs["x"]).unflatten(-1, (PLACES, WIDTH)).flatten(1, 2), kept)


class Losses(nn.Module):
    """A small encoder under every loss that looks at the whole batch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Linear(6, PLACES * WIDTH)
        self.contrastive = InfoNCE(InfoNCEConfig(embedding_dim=WORDS, width=4), PLACES, WIDTH)
        self.sigreg = SIGReg(SIGRegConfig(num_places=2, num_projections=4))
        self.shown = Shown(self.encoder)
        one_frame = BlockMaskConfig(1, (1.0, 1.0), duration=(0.5, 0.5), ratio=(0.4, 0.6))
        masked = MaskedConfig((one_frame,), width=8, depth=1, num_heads=2)
        self.masked = MaskedPrediction(masked, self.shown, WIDTH)  # type: ignore[arg-type]

    def forward(self, x: Tensor, words: Tensor, generator: torch.Generator) -> Tensor:
        """The four losses (4,), of inputs (B, T, 6) and embeddings (B, E)."""
        z = self.encoder(x).unflatten(-1, (PLACES, WIDTH))
        variance, covariance = variance_and_covariance(z, VICRegConfig())
        masked = self.masked(self.shown, {"x": x}, z, generator)  # type: ignore[arg-type]
        return torch.stack([self.sigreg(z, generator), variance + covariance, self.contrastive(z, words), masked])


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(BATCH, TIME, 6, generator=generator) + 0.5
    return x, torch.randn(4, WORDS, generator=generator)[torch.arange(BATCH) % 4]


def work(rank: int, folder: Path) -> None:
    """One of two processes: its half of the batch, gradients averaged by DistributedDataParallel."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    try:
        model = nn.parallel.DistributedDataParallel(Losses())
        rows = slice(rank * BATCH // 2, (rank + 1) * BATCH // 2)
        x, words = batch()
        # another seed on each rank: the first one's directions count
        losses = model(x[rows], words[rows], torch.Generator().manual_seed(7 + rank))
        losses.sum().backward()
        grads = {name: p.grad for name, p in model.module.named_parameters()}
        torch.save({"losses": losses.detach(), "grads": grads}, folder / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def test_two_ranks_equal_one_process(tmp_path: Path) -> None:
    model = Losses()
    losses = model(*batch(), torch.Generator().manual_seed(7))
    losses.sum().backward()
    spawn(work, args=(tmp_path,), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    # what looks at the whole batch is the same on every rank; a mean over windows is each rank's own
    torch.testing.assert_close(found[0]["losses"][:3], found[1]["losses"][:3], atol=1e-6, rtol=1e-6)
    mean = (found[0]["losses"] + found[1]["losses"]) / 2
    torch.testing.assert_close(mean, losses.detach(), atol=1e-5, rtol=1e-5)
    for rank in range(2):
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(found[rank]["grads"][name], parameter.grad, atol=1e-5, rtol=1e-5, msg=name)
