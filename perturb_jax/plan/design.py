"""What a plan says beyond its picks where GraphDesign made it: what each pick teaches, and what stays unknown."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.genes.symbols import Unknown
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.kernel.graph import as_kernel
from perturb_jax.selection.design import DesignProblem, explained_by_each, parse_costs, parse_targets, state_problem
from perturb_jax.support.errors import InputError

TARGETS_SHOWN = 5
"""Targets named with each pick."""

_TEACHERS_SHOWN = 3
_LEAST_SHARE = 0.0005  # what rounds to 0.0 % teaches nothing


class Design(NamedTuple):
    """A design problem as a plan states it.

    Attributes:
        problem: what is to be learned.
        options: the strategy's arguments, with names resolved.
        costs: of each must-have and then of each other candidate; None: every experiment counts 1.
        dropped: targets and priced genes that were left out, with the reason.
        renamed: old symbols among them, with the current names.
    """

    problem: DesignProblem
    options: dict[str, Any]
    costs: dict[str, float] | None
    dropped: dict[str, str]
    renamed: dict[str, str]

    def cost(self, labels: tuple[str, ...]) -> int | float:
        """What some experiments cost together."""
        return len(labels) if self.costs is None else sum(self.costs[label] for label in labels)


def state_design(
    graph: KnowledgeGraph,
    given: Perturbations,
    everyone: Perturbations,
    hops: int,
    direction: Direction,
    options: Mapping[str, Any],
    unknown: Unknown,
) -> Design:
    """The design problem of a plan.

    Args:
        graph: the knowledge graph.
        given: the targets where the options name none: all candidates that the user gave, and the must-haves.
        everyone: must-haves and then all candidates that can be picked.
        hops: as for the strategy.
        direction: as for the strategy.
        options: the strategy's arguments as the user gave them.
        unknown: what to do with names of targets and priced genes that are not in the graph.

    Raises:
        InputError: options that cannot be used.
    """
    kept = {name: options[name] for name in ("weighted", "normalize") if name in options}
    named, priced = options.get("targets"), options.get("costs")
    targets, weights = (given, np.ones(len(given))) if named is None else parse_targets(graph.names, named, unknown)
    problem = state_problem(as_kernel(graph, hops, direction, **kept), targets, weights, options.get("noise", 2.0))
    resolved = {**options, "targets": dict(zip(targets.labels, weights.tolist(), strict=True))}
    costs = None
    if priced is not None:
        costs = dict(zip(everyone.labels, parse_costs(graph.names, priced, everyone, unknown).tolist(), strict=True))
        resolved["costs"] = costs
    return Design(problem, resolved, costs, targets.dropped, targets.renamed)


def check_money(design: Design, must: Perturbations, budget: int | float) -> None:
    """Refuse must-haves that cost more than the budget."""
    needed = design.cost(must.labels)
    if needed > budget * (1 + 1e-6):
        raise InputError(f"budget: {budget:g} is less than the {needed:g} that the must-include genes cost; raise it")


def design_columns(design: Design, tested: Perturbations, picks: Perturbations) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Columns for the table of picks, and the table of targets.

    Returns:
        one row per pick: cost (where given), explained (share of the targets' prior variance that is explained after
        the pick, by what was tested before too), teaches (the targets of which it explains most, with the share of
        each one's prior variance); and one row per target, what stays least known first: rank, target, weight,
        remaining (share of its prior variance), status, taught_by.
    """
    problem = design.problem
    shares = explained_by_each(problem, tested.joined(picks))
    worth = problem.weights * problem.rows.variance / problem.prior
    explained = np.cumsum(shares @ worth)[len(tested) :]
    of_picks = shares[len(tested) :]
    labels = problem.targets.labels
    columns: dict[str, Any] = {"explained": explained.round(6)}
    columns["teaches"] = [_largest(labels, row, row * worth, TARGETS_SHOWN) for row in of_picks]
    if design.costs is not None:
        columns = {"cost": [design.costs[label] for label in picks.labels]} | columns
    return pd.DataFrame(columns), _target_table(design, tested, picks, shares)


def _target_table(
    design: Design, tested: Perturbations, picks: Perturbations, shares: Float[np.ndarray, "experiments targets"]
) -> pd.DataFrame:
    problem, experiments = design.problem, tested.joined(picks)
    status = dict.fromkeys(picks.gene_sets(), "picked") | dict.fromkeys(tested.gene_sets(), "already tested")
    table = pd.DataFrame(
        {
            "target": problem.targets.labels,
            "weight": list(design.options["targets"].values()),
            "remaining": (1 - shares.sum(0)).clip(0, 1).round(6),
            "status": [status.get(genes, "") for genes in problem.targets.gene_sets()],
            "taught_by": [_largest(experiments.labels, row, row, _TEACHERS_SHOWN) for row in shares.T],
        }
    )
    table = table.sort_values("remaining", ascending=False, kind="stable", ignore_index=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def _largest(labels: tuple[str, ...], shares: np.ndarray, worth: np.ndarray, most: int) -> str:
    """The labels with the largest worth, each with its share in per cent."""
    first = np.argsort(-worth, kind="stable")[:most]
    return "; ".join(f"{labels[i]} {shares[i]:.1%}" for i in first if shares[i] >= _LEAST_SHARE and worth[i] > 0)
