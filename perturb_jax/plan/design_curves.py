"""How uncertainty falls with the number of picks: for a design, and for what it is compared with."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from perturb_jax.genes.perturbations import Perturbations, parse_perturbations
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.plan.coverage_curves import RANDOM_DRAWS
from perturb_jax.plan.design import Design
from perturb_jax.selection.design import explained_by_each, explained_fractions
from perturb_jax.strategies.choose import choose
from perturb_jax.strategies.registry import make_strategy
from perturb_jax.strategies.strategy import Ask

COMPARED = {"graphreach": None, "maxspec": 200}
"""Strategies that a design is compared with, and after how many picks their curve ends: MaxSpec takes longest."""

_GRID = 100


@dataclass(frozen=True, eq=False)
class Remaining:
    """What stays unknown after some picks: the share of the targets' prior variance, from 1 down.

    Attributes:
        spent: numbers of picks, or what they cost together where costs are given: 0 to the budget.
        design: of the plan.
        random: one row per draw.
        others: of the strategies in `COMPARED`; NaN where their curve has ended.
        per_target: what stays unknown of every target after the plan, and after the first random draw.
    """

    spent: Float[np.ndarray, " points"]
    design: Float[np.ndarray, " points"]
    random: Float[np.ndarray, "draws points"]
    others: dict[str, Float[np.ndarray, " points"]]
    per_target: tuple[Float[np.ndarray, " targets"], Float[np.ndarray, " targets"]]


def remaining_variance(
    graph: KnowledgeGraph,
    design: Design,
    picks: Perturbations,
    first: Perturbations,
    pool: Perturbations,
    tested: Perturbations,
    budget: int | float,
    hops: int,
    direction: Direction,
) -> Remaining:
    """The curves of a plan, of random picks, and of GraphReach and MaxSpec, under the same conditions.

    Args:
        graph: the knowledge graph.
        design: the design problem.
        picks: the plan's, `first` included.
        first: what every selection begins with, in order.
        pool: the candidates for the rest.
        tested: what counts as measured.
        budget: what the picks may cost together, `first` included; each counts 1 where no costs are given.
        hops: as for the selection.
        direction: as for the selection.

    Complexity: O((draws + 3) x picks^3), and what MaxSpec takes for at most 200 picks.
    """
    grid = np.arange(budget + 1.0) if design.costs is None else np.linspace(0, budget, _GRID + 1)

    def bought_of(order: Perturbations) -> tuple[Perturbations, np.ndarray]:
        """The first of an order that the budget buys, and what 0, 1, ... of them cost."""
        money = np.cumsum([0.0] + [design.cost((label,)) for label in order.labels])
        most = int(np.searchsorted(money, budget * (1 + 1e-6), side="right"))
        return order.take(np.arange(most - 1)), money[:most]

    def curve(order: Perturbations, ends: bool = False) -> Float[np.ndarray, " points"]:
        affordable, money = bought_of(order)
        left = 1 - explained_fractions(design.problem, tested.joined(affordable))[len(tested) :]
        bought = np.searchsorted(money, grid * (1 + 1e-6), side="right") - 1
        return np.where(ends & (grid > money[-1] * (1 + 1e-6)), np.nan, left[bought])

    most = len(picks) - len(first) if design.costs is None else len(pool)
    draws = [pool.take(np.random.default_rng(seed).permutation(len(pool))[:most]) for seed in range(RANDOM_DRAWS)]
    others = {}
    for name, longest in COMPARED.items():
        length = min(most, longest or most)
        taken: tuple[str, ...] = ()
        if length:
            strategy = make_strategy(name, {"hops": hops, "direction": direction})
            taken = choose(strategy, Ask(graph, pool, tested.joined(first), length)).genes
        others[name] = curve(first.joined(parse_perturbations(graph.names, taken)), ends=length < most)
    return Remaining(
        spent=grid,
        design=curve(picks),
        random=np.stack([curve(first.joined(draw)) for draw in draws]),
        others=others,
        per_target=(
            _unknown(design, tested, picks),
            _unknown(design, tested, bought_of(first.joined(draws[0]))[0]),
        ),
    )


def _unknown(design: Design, tested: Perturbations, picks: Perturbations) -> Float[np.ndarray, " targets"]:
    return (1 - explained_by_each(design.problem, tested.joined(picks)).sum(0)).clip(0, 1)
