"""What differs from robot to robot in one model: a module for each body, of which the current one answers.

A batch, and an agent, is of one body. `embody(model, number)` says which, before the model is asked anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from worldmodel.errors import MismatchError
from worldmodel.normalisation import MeanStd
from worldmodel.types import WorldSpec


@dataclass(frozen=True)
class Body:
    """A world as the model sees it: a robot's sensors and actions."""

    spec: WorldSpec
    """Sensors and actions."""
    normalisation: Mapping[str, MeanStd] = field(default_factory=dict)
    """Sensor -> mean and standard deviation over its recordings."""


class PerBody(nn.Module):
    """One module for each body."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(modules)
        self.current = 0

    @property
    def own(self) -> nn.Module:
        """The current body's."""
        return self.bodies[self.current]

    def forward(self, *args: Any) -> Any:
        """What the current body's module says."""
        return self.bodies[self.current](*args)


def per_body(modules: Sequence[nn.Module]) -> nn.Module:
    """The modules of several bodies as one; the module itself where there is one body."""
    return modules[0] if len(modules) == 1 else PerBody(modules)


def embody(model: nn.Module, number: int, num_bodies: int) -> None:
    """Let all of `model` be the body of this number. MismatchError for one that it does not have."""
    if not 0 <= number < num_bodies:
        raise MismatchError(f"embodiment {number} is asked for, the model has {num_bodies}; see model.embodiments")
    for module in model.modules():
        if isinstance(module, PerBody):
            module.current = number
