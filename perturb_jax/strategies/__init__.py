"""Strategies: how the genes of the next experiments are chosen, each by name."""

from collections.abc import Iterable
from typing import Any, Protocol

from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.selection.graphdesign import graphdesign
from perturb_jax.selection.graphreach import graphreach
from perturb_jax.selection.maxspec import maxspec
from perturb_jax.selection.selection import Selection
from perturb_jax.strategies.k_center import k_center
from perturb_jax.strategies.random import random
from perturb_jax.strategies.top_degree import top_degree


class Strategy(Protocol):
    """Chooses all experiments at once from the knowledge graph; it cannot see the outcome of any."""

    def __call__(
        self,
        graph: KnowledgeGraph,
        candidates: Iterable[str] | None,
        budget: Any,
        *,
        hops: int = 1,
        direction: Direction = "in",
        selected: Iterable[str] = (),
        seed: int | None = None,
    ) -> Selection:
        """Pick `budget` of the candidates, none of `selected`, in order."""
        ...


STRATEGIES: dict[str, Strategy] = {
    "graphreach": graphreach, "maxspec": maxspec, "graphdesign": graphdesign,
    "k-center": k_center, "random": random, "top-degree": top_degree,
}  # fmt: skip
"""Every strategy by the name that the command line uses."""

OPTIONS: dict[str, tuple[str, ...]] = {
    "graphreach": ("ties",),
    "maxspec": ("normalization", "symmetric", "weighted", "sense"),
    "graphdesign": ("criterion", "noise", "normalize", "weighted", "targets", "costs"),
}  # fmt: skip
"""The keyword arguments of a strategy that a user may set besides those of every strategy."""
