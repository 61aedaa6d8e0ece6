"""Random: a uniform draw without replacement, what every other strategy has to beat."""

from dataclasses import dataclass
from typing import ClassVar

from perturb_jax.strategies.strategy import Ask, Strategy


@dataclass(frozen=True)
class Random(Strategy):
    """Pick candidates uniformly at random; without a seed, with seed 0."""

    needs_graph: ClassVar[bool] = False

    def choose(self, ask: Ask) -> tuple[str, ...]:
        """The draw."""
        return ask.candidates.shuffled(ask.seed or 0).labels[: int(ask.budget)]
