"""The question that GraphDesign answers: which targets, how alike their effects are, and how noisy a measurement is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from perturb_jax.genes.perturbations import Perturbations, parse_perturbations
from perturb_jax.genes.symbols import Unknown
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.kernel.graph import GraphKernel, Rows, graph_kernel
from perturb_jax.support.errors import InputError

Real = int | float | np.integer | np.floating
Numbers = Mapping[str, Real] | pd.Series
Targets = Iterable[str] | Numbers | None


@dataclass(frozen=True, eq=False)
class DesignProblem:
    """What is to be learned, and how.

    Attributes:
        kernel: the prior covariance of effects.
        targets: the perturbations whose effects are wanted.
        rows: the targets as rows of the kernel.
        weights: what each target is worth; the largest is 1.
        noise: variance of a measurement, in the units of the kernel.
    """

    kernel: GraphKernel
    targets: Perturbations
    rows: Rows
    weights: Float[np.ndarray, " targets"]
    noise: float

    @property
    def prior(self) -> float:
        """The targets' prior variance, weighted and summed."""
        return float(self.weights @ self.rows.variance)


def design_problem(
    graph: KnowledgeGraph,
    targets: Perturbations,
    weights: Float[np.ndarray, " targets"],
    hops: int,
    direction: Direction,
    weighted: bool = True,
    normalize: bool = True,
    noise: Real = 2.0,
) -> DesignProblem:
    """The problem of learning `targets`; `noise` is relative to their weighted mean prior variance.

    Raises:
        InputError: noise that is not above 0; hops or a direction that cannot be used; no target.
    """
    if isinstance(noise, bool) or not isinstance(noise, Real) or not 0 < noise < np.inf:
        raise InputError(f"noise: expected a number above 0 (relative to the mean prior variance), got {noise!r}")
    if len(targets) == 0:
        raise InputError("targets: expected at least one gene, got none")
    kernel = graph_kernel(graph, hops, direction, weighted, normalize)
    rows = kernel.rows(targets.members)
    weights = weights / weights.max()
    mean = float(weights @ rows.variance) / float(weights.sum())
    return DesignProblem(kernel, targets, rows, weights, float(noise) * mean)


def parse_targets(
    graph: KnowledgeGraph, targets: Targets, unknown: Unknown = "error"
) -> tuple[Perturbations, Float[np.ndarray, " targets"]]:
    """Targets and what each is worth: names count 1 each, a mapping gives a number per name.

    Raises:
        InputError: names as for candidates; weights that are not finite numbers >= 0, or all 0.
    """
    if isinstance(targets, pd.Series) and pd.api.types.is_numeric_dtype(targets):
        targets = _by_name(targets)
    parsed = parse_perturbations(graph.names, targets, unknown)
    if not isinstance(targets, Mapping):
        return parsed, np.ones(len(parsed))
    weights = _numbers_of("targets", targets, "of at least 0")
    kept = np.array([weights[name] for name in targets if name not in parsed.dropped], float)
    if len(kept) and not kept.any():
        raise InputError("targets: expected a weight above 0 for at least one target, got 0 for all")
    return parsed, kept


def parse_costs(
    graph: KnowledgeGraph, costs: Numbers, pool: Perturbations, unknown: Unknown = "error"
) -> Float[np.ndarray, " candidates"]:
    """What each candidate costs: 1 where nothing is given; genes that are no candidates are passed over.

    Raises:
        InputError: names as for candidates; costs that are not finite numbers above 0.
    """
    numbers = _numbers_of("costs", _by_name(costs), "above 0")
    priced = parse_perturbations(graph.names, numbers, unknown)
    kept = [cost for name, cost in numbers.items() if name not in priced.dropped]
    cost_of = dict(zip(priced.gene_sets(), kept, strict=True))
    return np.array([cost_of.get(genes, 1.0) for genes in pool.gene_sets()])


def _by_name(numbers: Numbers) -> dict[str, Real]:
    return {str(name): value for name, value in numbers.items()}


def _numbers_of(option: str, given: Mapping[str, Real], limit: Literal["above 0", "of at least 0"]) -> dict[str, float]:
    """A mapping's values as floats; refuses what is not a finite number within the limit."""
    numbers = {}
    for name, value in given.items():
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not is_number or not 0 <= value < np.inf or (limit == "above 0" and value == 0):
            raise InputError(f"{option}: expected a finite number {limit} for {name}, got {value!r}")
        numbers[name] = float(value)
    return numbers
