"""GraphDesign: pick the experiments that teach most about every gene, by the kernel that GEARS' graph implies."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.genes.perturbations import Perturbations, as_names, parse_perturbations, without
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.kernel.columns import block_columns, edges_of, members_of, operator_columns
from perturb_jax.kernel.graph import Block, Rows
from perturb_jax.selection.design import (
    DesignProblem,
    Numbers,
    Real,
    Targets,
    design_problem,
    parse_costs,
    parse_targets,
)
from perturb_jax.selection.greedy import greedy, tie_order, upper_bounds
from perturb_jax.selection.knapsack import NO_PICK, knapsack
from perturb_jax.selection.objective import Objective
from perturb_jax.selection.posterior import information, variance_reduction
from perturb_jax.selection.representation import Similarities, facility_location, soft_coverage
from perturb_jax.selection.selection import SearchInfo, Selection, make_selection, naive_evaluations
from perturb_jax.support.checks import check_budget, check_seed
from perturb_jax.support.errors import InputError

Criterion = Literal["variance", "information", "facility", "soft"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)

_OBJECTIVE: dict[Criterion, Literal["explained variance", "information", "facility location", "soft coverage"]] = {
    "variance": "explained variance",
    "information": "information",
    "facility": "facility location",
    "soft": "soft coverage",
}
_BATCH = 8  # stale candidates that lazy greedy evaluates at once
_CERTIFIED = 32  # states of a run in which the certificate evaluates all candidates, where that is expensive
_LARGEST_BLOCK = 4096  # candidates up to which K and B0 are held as dense blocks


def graphdesign(
    graph: KnowledgeGraph,
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

    - "variance" (V-optimal): the share of the targets' prior variance that S explains, sum_t w_t (K_tt - C_tt) over
      sum_t w_t K_tt. Monotone, not submodular: no certificate.
    - "information" (D-optimal): log det(I + K_SS / noise), in nats (Krause, Singh and Guestrin 2008).
    - "facility": how alike each target is to its nearest pick, sum_t w_t max_v K_vt / sum_t w_t.
    - "soft": the expected number of embeddings covered, sum_u 1 - prod_v (1 - p_vu), p_v row v of P^k scaled to
      maximum 1: GraphReach without its hard edge, so that it saturates later.

    The last three are monotone and submodular: without `costs` the result has at least (1 - 1/e) of the best possible
    value, and `Selection.bounds` says how much at least in this very case.

    Why once and not in rounds: C does not depend on the outcomes. So for this model (linear, Gaussian, kernel and noise
    known beforehand) no sequence of rounds, whatever it learns on the way, can beat choosing all experiments at once
    by the optimum of the same criterion. Where the kernel or the noise is wrong, outcomes do carry news, and rounds can
    help. And greedy is not the optimum, only near it.

    Args:
        graph: the knowledge graph.
        candidates: genes or combinations "A+B" that may be picked; None: every gene of the graph.
        budget: picks to make; with `costs`, what they may cost together.
        criterion: "variance", "information", "facility" or "soft".
        hops: the number k of graph-convolution layers of the model that will be trained.
        noise: variance of a measurement relative to the targets' mean prior variance: all that the kernel does not
            explain, not only the error of a mean over cells (see `perturb_jax.relative_noise`). It is not estimated
            from a screen: some hundred perturbations do not determine it (see the limits of `graph_gp`).
        normalize: scale K to unit diagonal, so that every perturbation is equally uncertain beforehand.
        direction: "in": effects are alike where genes read the same embeddings, as in GEARS; "out": where the same
            genes read them (the transpose of P); "both": P of the symmetrised graph.
        weighted: use the edge weights; else every edge weighs 1.
        targets: what is to be predicted: genes or combinations, or a mapping from each to what it is worth; None:
            the candidates. Name what will be predicted and nothing else: with the whole graph as targets picks serve
            genes that nobody asks about. "information" and "soft" choose without them, but for the scale of `noise`.
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
    if criterion not in CRITERIA:
        raise InputError(f"criterion: expected one of {', '.join(CRITERIA)}, got {criterion!r}")
    check_seed(seed)
    candidates = None if candidates is None else as_names(candidates)
    selected = as_names(selected)
    pool = without(graph.names, candidates, selected)
    pool = pool.take(tie_order(len(pool), None, seed))
    prices = None if costs is None else parse_costs(graph, costs, pool)
    most = _most_picks(budget, prices, len(pool))
    aims, weights = parse_targets(graph, candidates if targets is None else targets)
    problem = design_problem(graph, aims, weights, hops, direction, weighted, normalize, noise)
    before = parse_perturbations(graph.names, selected)
    with jax.enable_x64(jax.config.read("jax_enable_x64") or jax.default_backend() == "cpu"):
        objective = _objective(problem, pool.joined(before), len(before), most, criterion)
        available = jnp.arange(len(pool) + len(before)) < len(pool)
        if prices is None:
            run = _pick(objective, most, available, lazy=criterion == "facility")
        else:
            run = _spend(objective, most, available, prices, float(budget))
    if not np.isfinite(run.gains).all():
        raise InputError("graphdesign: noise or target weights too extreme for float32; bring them nearer to 1")
    info = SearchInfo(f"jax, {run.method}, {run.values.dtype}", run.evaluations, run.naive_evaluations)
    return make_selection(
        _OBJECTIVE[criterion], pool.take(run.picks), run.values, info, gains=run.gains, bounds=run.bounds
    )


class _Run(NamedTuple):
    picks: Int[np.ndarray, " picks"]
    gains: Float[np.ndarray, " picks"]
    values: Float[np.ndarray, " picks"]
    bounds: Float[np.ndarray, " picks"]
    evaluations: int
    naive_evaluations: int
    method: str


def _pick(objective: Objective, budget: int, available: Bool[Array, " candidates"], lazy: bool) -> _Run:
    """Greedy with its certificate. Lazy where one gain costs much less than all: for the others they cost the same."""
    method: Literal["lazy", "naive"] = "lazy" if lazy else "naive"
    run = greedy(objective, budget, available, method, _BATCH)
    bounds = np.full(budget, np.nan)
    if objective.properties.submodular:
        bounds = np.asarray(upper_bounds(objective, run.picks, budget, max(1, budget // _CERTIFIED) if lazy else 1))
    picks, gains, values = (np.asarray(part) for part in run[:3])
    bounds = np.maximum(bounds, values)  # which rounding may have put below what was reached
    naive = naive_evaluations(int(available.sum()), budget)
    return _Run(picks, gains, values, bounds, int(run.evaluations), naive, method)


def _spend(
    objective: Objective,
    most: int,
    available: Bool[Array, " rows"],
    prices: Float[np.ndarray, " pool"],
    budget: float,
) -> _Run:
    costs = jnp.ones(len(available)).at[: len(prices)].set(prices / budget)
    run = knapsack(objective, costs, jnp.ones((), costs.dtype), available, most)
    made = np.asarray(run.picks) != NO_PICK
    picks, gains, values = (np.asarray(part)[made] for part in run[:3])
    evaluations = int(run.evaluations)
    method = "by gain per cost" if run.per_cost else "by gain within the budget"
    return _Run(picks, gains, values, np.full(len(picks), np.nan), evaluations, evaluations, method)


def _most_picks(budget: Real, prices: Float[np.ndarray, " candidates"] | None, available: int) -> int:
    if prices is None:
        check_budget(budget, available)
        return int(budget)
    if isinstance(budget, bool) or not isinstance(budget, Real) or not 0 < budget < np.inf:
        raise InputError(f"budget: expected a number above 0, what the picks may cost together, got {budget!r}")
    with np.errstate(over="ignore"):
        affordable = np.searchsorted(np.cumsum(np.sort(prices)), float(budget) * (1 + 1e-6), side="right")
    if affordable == 0:
        cheapest = f"the cheapest candidate costs {prices.min():g}" if len(prices) else "no candidate can be picked"
        raise InputError(f"budget: {budget:g} buys nothing: {cheapest}")
    return int(affordable)


def _objective(
    problem: DesignProblem, rows: Perturbations, measured: int, most: int, criterion: Criterion
) -> Objective:
    """The criterion over all candidates and, after them, the `measured` ones that count as picked."""
    kernel = problem.kernel
    everyone = kernel.rows(rows.members)
    tie = 1e-9 if jnp.zeros(()).dtype == jnp.float64 else 1e-5
    before = jnp.arange(len(rows) - measured, len(rows))
    if criterion == "soft":
        peaks = [_largest(features) for _, features in kernel.features(rows.members)]
        edges = edges_of(kernel)
        members = members_of(everyone._replace(scale=1 / np.concatenate(peaks)), kernel.num_nodes)
        return soft_coverage(edges, members, before, tie)
    if criterion == "facility":
        weights = jnp.asarray(problem.weights, float)
        return facility_location(_similarities(problem, everyone), weights, before, tie)
    variance, noise = jnp.asarray(everyone.variance, float), jnp.asarray(problem.noise, float)
    if criterion == "information":
        return information(_columns(problem, everyone, None), variance, noise, before, most + measured, tie)
    if len(rows) <= _LARGEST_BLOCK:
        block = kernel.taught(everyone, problem.rows, problem.weights)
        taught = block.diagonal()
    else:
        block, taught = None, kernel.taught_alone(everyone, problem.rows, problem.weights)
    return variance_reduction(
        _columns(problem, everyone, block),
        variance,
        jnp.asarray(taught, float),
        jnp.asarray(problem.prior, float),
        noise,
        before,
        most + measured,
        tie,
    )


def _columns(problem: DesignProblem, rows: Rows, taught: Float[np.ndarray, "rows rows"] | None) -> Partial:
    """Columns of K and B0 for `posterior`: dense where candidates are few, else by message passing."""
    if len(rows.scale) <= _LARGEST_BLOCK:
        gram = jnp.asarray(problem.kernel.gram(rows), float)
        return block_columns(gram, None if taught is None else jnp.asarray(taught, float))
    nodes = problem.kernel.num_nodes
    return operator_columns(
        edges_of(problem.kernel),
        members_of(rows, nodes),
        members_of(problem.rows, nodes),
        jnp.asarray(problem.weights, float),
    )


def _similarities(problem: DesignProblem, rows: Rows) -> Similarities:
    """The kernel between candidates and targets, padded to the longest row."""
    blocks = [sp.csr_array(block) for _, block in problem.kernel.between(rows, problem.rows)]
    width = max(int(np.diff(block.indptr).max()) for block in blocks)
    targets = np.full((len(rows.scale), width), len(problem.targets), np.int32)
    values = np.zeros((len(rows.scale), width), jnp.asarray(0.0).dtype)
    start = 0
    for block in blocks:
        lengths = np.diff(block.indptr)
        within = np.arange(block.nnz) - np.repeat(block.indptr[:-1], lengths)
        candidates = start + np.repeat(np.arange(len(lengths)), lengths)
        targets[candidates, within], values[candidates, within] = block.indices, block.data
        start += len(lengths)
    return Similarities(jnp.asarray(targets), jnp.asarray(values))


def _largest(features: Block) -> Float[np.ndarray, " rows"]:
    largest = features.max(axis=1)
    return largest if isinstance(largest, np.ndarray) else largest.toarray().ravel()
