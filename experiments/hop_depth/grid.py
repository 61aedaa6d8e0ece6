"""What is compared: every number of hops and direction of the three strategies that have them."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import perturb_jax as pj

STRATEGIES = ("graphreach", "maxspec", "graphdesign")
DIRECTIONS = ("in", "out", "both")
HOPS = (1, 2, 3, 4)


class Setting(NamedTuple):
    """A strategy, a direction and a number of hops; its name is that of the TOML files."""

    strategy: str
    direction: str
    hops: int

    def __str__(self) -> str:
        return f"{self.strategy} {self.direction} k={self.hops}"

    def pick(
        self, graph: pj.KnowledgeGraph, candidates: Sequence[str], targets: Sequence[str] | None, budget: int
    ) -> pj.Selection:
        """Picks in order; only GraphDesign reads what is to be predicted (None: the candidates)."""
        more = {"targets": targets} if self.strategy == "graphdesign" else {}
        choose = getattr(pj, self.strategy)
        return choose(graph, candidates, budget, hops=self.hops, direction=self.direction, **more)


SETTINGS = tuple(Setting(*each) for each in product(STRATEGIES, DIRECTIONS, HOPS))


def setting_of(name: str) -> Setting:
    """A setting from its name."""
    strategy, direction, hops = name.split()
    return Setting(strategy, direction, int(hops.removeprefix("k=")))
