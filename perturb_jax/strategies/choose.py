"""The question to a strategy: the checks before and after, and its answer as a `Selection`, whatever it answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.graph.reach import reach_sets
from perturb_jax.selection.coverage import covered_after
from perturb_jax.selection.selection import SearchInfo, Selection, make_selection
from perturb_jax.strategies.registry import name_of
from perturb_jax.strategies.strategy import Ask, check_strategy, costs_of
from perturb_jax.support.checks import check_budget, check_seed
from perturb_jax.support.errors import InputError


def choose(strategy: Any, ask: Ask, hops: int = 1, direction: Direction = "in") -> Selection:
    """What a strategy chooses.

    Args:
        strategy: an instance with a method `choose`.
        ask: the question; candidates that are selected already are passed over.
        hops: where it answers with names alone: the steps within which their coverage counts.
        direction: of that coverage.

    Raises:
        InputError: no strategy; a budget that the candidates cannot meet, a seed below 0; what the strategy refuses;
            an answer that is not as many different candidates as the budget says.
    """
    check_strategy(strategy)
    check_seed(ask.seed)
    ask = ask._replace(candidates=ask.candidates.without(ask.selected))
    counted = costs_of(strategy) is None
    if counted:
        check_budget(ask.budget, len(ask.candidates))
    answer = strategy.choose(ask)
    if isinstance(answer, Selection):
        names = answer.genes
    elif isinstance(answer, str) or not isinstance(answer, Sequence | np.ndarray | Perturbations):
        raise InputError(
            f"strategy {name_of(strategy)}: expected the names of the picks, or a Selection, from choose(ask), "
            f"got {answer!r:.200}"
        )
    else:
        names = tuple(map(str, answer))
    row = {name: number for number, name in enumerate(ask.candidates)}
    strange = [name for name in names if name not in row]
    if strange or len({*names}) < len(names) or (counted and len(names) != ask.budget):
        wanted = f"{ask.budget} different candidates" if counted else "different candidates"
        shown = f"{', '.join(map(repr, strange[:3]))}, no candidates" if strange else f"{len(names)}: {names!r:.200}"
        raise InputError(f"strategy {name_of(strategy)}: expected {wanted} from choose(ask), got {shown}")
    if isinstance(answer, Selection):
        return answer
    chosen = ask.candidates.take(np.array([row[name] for name in names], np.int64))
    return in_order(ask.graph, chosen, ask.selected, hops, direction, name_of(strategy))


def in_order(
    graph: KnowledgeGraph, chosen: Perturbations, before: Perturbations, hops: int, direction: Direction, method: str
) -> Selection:
    """Perturbations picked in a given order, whatever the reason; values are the nodes covered, no bound is known."""
    counts = reach_sets(graph, before.members, hops, direction).sum(0, dtype=np.int32)
    values = covered_after(reach_sets(graph, chosen.members, hops, direction), counts)
    return make_selection("coverage", chosen, values, SearchInfo(method), start=float(np.count_nonzero(counts)))
