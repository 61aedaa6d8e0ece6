"""GraphDesign: pick the experiments that inform most about every gene, by a kernel: a graph's, or any other."""

from collections.abc import Iterable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from perturb_jax.genes.perturbations import Perturbations, as_names, parse_perturbations
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.kernel.graph import as_kernel
from perturb_jax.kernel.kernel import Kernel
from perturb_jax.selection import criteria
from perturb_jax.selection.design import (
    DesignProblem,
    Numbers,
    Real,
    Targets,
    parse_costs,
    parse_targets,
    state_problem,
)
from perturb_jax.selection.greedy import NO_PICK, greedy, knapsack, tie_order, upper_bounds
from perturb_jax.selection.selection import SearchInfo, Selection, make_selection, naive_evaluations
from perturb_jax.support.checks import check_budget, check_choice, check_seed, is_number
from perturb_jax.support.errors import InputError

_BATCH = 8  # stale candidates that lazy greedy evaluates at once
_CERTIFIED = 32  # states of a run in which the certificate evaluates all candidates, where that is expensive

Criterion = Literal["variance", "information", "facility", "soft"]
CRITERIA: dict[Criterion, type[criteria.DesignObjective]] = {
    "variance": criteria.ExplainedVariance,
    "information": criteria.Information,
    "facility": criteria.FacilityLocation,
    "soft": criteria.SoftCoverage,
}
"""What `graphdesign` can maximise, by name."""


def graphdesign(
    graph: KnowledgeGraph | Kernel,
    candidates: Iterable[str] | None,
    budget: Real,
    criterion: Criterion = "variance",
    hops: int = 1,
    noise: Real = 2.0,
    normalize: bool = True,
    direction: Direction = "in",
    weighted: bool = True,
    targets: Targets = None,
    costs: Numbers | None = None,
    selected: Iterable[str] = (),
    seed: int | None = None,
) -> Selection:
    """Pick the experiments from which most is learned about the targets, before any of them is run.

    GEARS' perturbation branch is a k-layer SGC over embeddings. With a linear readout the effect of perturbation p on
    a gene is <row p of P^k, theta> + noise with theta unknown, so effects have the prior covariance K = P^k (P^k)^T
    and, after measuring S, the posterior covariance C = K - K_S (K_SS + noise I)^-1 K_S^T. Greedy maximises

    - "variance" (V-optimal): the fraction of the targets' prior variance that S explains, sum_t w_t (K_tt - C_tt) over
      sum_t w_t K_tt. Monotone, not submodular: no certificate.
    - "information" (D-optimal): log det(I + K_SS / noise), in nats (Krause, Singh and Guestrin 2008).
    - "facility": how similar each target is to its nearest pick, sum_t w_t max_v K_vt / sum_t w_t.
    - "soft": the expected number of embeddings covered, sum_u 1 - prod_v (1 - p_vu), p_v row v of P^k scaled to
      maximum 1: GraphReach without its hard edge, so that it saturates later.

    The last three are monotone and submodular: without `costs` the result has at least (1 - 1/e) of the best possible
    value, and `Selection.bounds` says how much at least in this very case.

    Why once and not in rounds: C does not depend on the outcomes. So for this model (linear, Gaussian, kernel and noise
    known beforehand) no sequence of rounds, whatever it learns on the way, can beat choosing all experiments at once
    by the optimum of the same criterion. Where the kernel or the noise is wrong, outcomes do carry news, and rounds can
    help. And greedy is not the optimum, only near it.

    Args:
        graph: the knowledge graph, or any `Kernel`: how similar the effects of two perturbations are expected to be.
        candidates: genes or combinations "A+B" that may be picked; None: every gene of the graph or kernel.
        budget: picks to make; with `costs`, what they may cost together.
        criterion: "variance", "information", "facility" or "soft".
        hops: the number k of graph-convolution layers of the model that will be trained.
        noise: variance of a measurement relative to the targets' mean prior variance: all that the kernel does not
            explain, not only the error of a mean over cells (see `perturb_jax.relative_noise`). It is not estimated
            from a screen: some hundred perturbations do not determine it (see the limits of `GraphGP`).
        normalize: scale K to unit diagonal, so that every perturbation is equally uncertain beforehand.
        direction: "in": effects are similar where genes read the same embeddings, as in GEARS; "out": where the same
            genes read them (the transpose of P); "both": P of the symmetrised graph.
        weighted: use the edge weights; else every edge weighs 1.
        targets: what is to be predicted: genes or combinations, or a mapping from each to what it is worth; None:
            the candidates. Name what will be predicted and nothing else: with the whole graph as targets picks serve
            genes that nobody will predict. "information" and "soft" choose without them, but for the scale of `noise`.
        costs: what candidates cost, above 0; those not named cost 1. The result is then the better of picking by gain
            per cost and by gain, which has at least (1 - 1/e) / 2 of the best possible value where the criterion is
            submodular (Leskovec et al. 2007).
        selected: genes or combinations that count as already measured; never picked.
        seed: None: ties go to the earliest candidate. A number: to a seeded random one.

    Returns:
        `values` holds the objective after each pick, `gains` what each pick adds.

    Raises:
        InputError: names, a budget, hops, noise, weights, costs or options that cannot be used.

    Complexity: "variance", "information": O(edges + candidates x picks) per pick, candidates x picks numbers; before
        the first pick the non-zeros of K between candidates and targets. Up to 4,096 candidates, K among them is held;
        beyond that nothing of the size of genes x genes. "facility" holds the non-zeros of K between candidates and
        targets, which at 2 hops are most. In float64 on a CPU. Elsewhere in float32: gains have errors of at most
        about 1e-6 (prior variance / noise), and gains within 1e-5 of the best are ties, so that picks can differ.

    Examples:
        >>> import pandas as pd
        >>> from perturb_jax import graph_from_edges
        >>> edges = pd.DataFrame({"source": ["A", "A", "A"], "target": ["B", "C", "D"], "importance": 1.0})
        >>> picks = graphdesign(graph_from_edges(edges), None, budget=2)
        >>> picks.genes, picks.values.round(3).tolist()
        (('A', 'B'), [0.25, 0.367])
    """
    check_choice("criterion", criterion, tuple(CRITERIA))
    check_seed(seed)
    kernel = as_kernel(graph, hops, direction, weighted, normalize)
    given = parse_perturbations(kernel.names, None if candidates is None else as_names(candidates))
    before = parse_perturbations(kernel.names, as_names(selected))
    pool = given.without(before)
    prices = None if costs is None else parse_costs(kernel.names, costs, pool)
    _most_picks(budget, prices, len(pool))  # refuses a budget before anything slow
    aims, weights = parse_targets(kernel.names, given if targets is None else targets)
    return design(state_problem(kernel, aims, weights, noise), pool, before, budget, criterion, prices, seed)


def design(
    problem: DesignProblem,
    pool: Perturbations,
    before: Perturbations,
    budget: Real,
    criterion: Criterion = "variance",
    prices: Float[np.ndarray, " pool"] | None = None,
    seed: int | None = None,
) -> Selection:
    """`graphdesign` for a problem that is stated already; `before` counts as measured, and none of it is in `pool`."""
    chosen = CRITERIA[criterion]
    order = tie_order(len(pool), None, seed)
    pool, prices = pool.take(order), None if prices is None else prices[order]
    most = _most_picks(budget, prices, len(pool))
    with jax.enable_x64(jax.config.read("jax_enable_x64") or jax.default_backend() == "cpu"):
        objective = _objective(problem, pool, before, most, criterion)
        available = jnp.arange(len(pool) + len(before)) < len(pool)
        if prices is None:  # lazy where one gain costs much less than all: for the others they cost the same
            method: Literal["lazy", "naive"] = "lazy" if chosen.sparse else "naive"
            run = greedy(objective, most, available, method, _BATCH)
            picks, gains, values = (np.asarray(part) for part in run[:3])
            bounds = np.full(most, np.nan)
            if chosen.submodular:
                every = max(1, most // _CERTIFIED) if chosen.sparse else 1
                certified = np.asarray(upper_bounds(objective, run.picks, most, every))
                bounds = np.maximum(certified, values)  # which rounding may have put below what was reached
            ran: str = method
            evaluations, naive = int(run.evaluations), naive_evaluations(len(pool), most)
        else:
            costs = jnp.ones(len(available)).at[: len(prices)].set(prices / float(budget))
            bought = knapsack(objective, costs, jnp.ones((), costs.dtype), available, most)
            made = np.asarray(bought.picks) != NO_PICK
            picks, gains, values = (np.asarray(part)[made] for part in bought[:3])
            bounds = np.full(len(picks), np.nan)
            ran = "by gain per cost" if bought.per_cost else "by gain within the budget"
            evaluations = naive = int(bought.evaluations)
    if not np.isfinite(gains).all():
        raise InputError("graphdesign: noise or target weights too extreme for float32; bring them nearer to 1")
    info = SearchInfo(f"jax, {ran}, {values.dtype}", evaluations, naive)
    return make_selection(chosen.label, pool.take(picks), values, info, gains=gains, bounds=bounds)


def _objective(
    problem: DesignProblem, pool: Perturbations, before: Perturbations, most: int, criterion: Criterion
) -> criteria.DesignObjective:
    """The criterion over the pool and, after it, what counts as picked."""
    rows = pool.joined(before)
    return CRITERIA[criterion].of(problem, rows, jnp.arange(len(pool), len(rows)), most + len(before))


def _most_picks(budget: Real, prices: Float[np.ndarray, " candidates"] | None, available: int) -> int:
    if prices is None:
        check_budget(budget, available)
        return int(budget)
    if not is_number(budget) or budget <= 0:
        raise InputError(f"budget: expected a number above 0, what the picks may cost together, got {budget!r}")
    with np.errstate(over="ignore"):
        affordable = np.searchsorted(np.cumsum(np.sort(prices)), float(budget) * (1 + 1e-6), side="right")
    if affordable == 0:
        cheapest = f"the cheapest candidate costs {prices.min():g}" if len(prices) else "no candidate can be picked"
        raise InputError(f"budget: {budget:g} buys nothing: {cheapest}")
    return int(affordable)
