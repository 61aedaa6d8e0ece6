"""GraphReach: pick the genes that together reach most of the knowledge graph."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int

from perturb_jax.genes.perturbations import Perturbations, as_names, parse_perturbations, without
from perturb_jax.graph.knowledge_graph import Direction, KnowledgeGraph
from perturb_jax.graph.reach import ReachSets
from perturb_jax.graph.variant_reach import mask_on, sets_on
from perturb_jax.graph.variants import GraphBatch
from perturb_jax.selection.coverage import CoverageState, coverage, fixed_point, rarity
from perturb_jax.selection.device.sharded import sharded_cover
from perturb_jax.selection.greedy import greedy, upper_bounds
from perturb_jax.selection.host import coverage as coverage_host
from perturb_jax.selection.selection import SearchInfo, Selection, make_selection, naive_evaluations
from perturb_jax.support.checks import check_budget, check_seed
from perturb_jax.support.errors import InputError
from perturb_jax.support.loops import group_by

Ties = Literal["rare", "first"]
Method = Literal["auto", "host", "naive", "lazy"]
_LARGEST_MASK = 2**32  # bytes; beyond, sparse sets on the host
TIES = ("rare", "first")
METHODS = ("auto", "host", "naive", "lazy")


def graphreach(
    graph: KnowledgeGraph | GraphBatch,
    candidates: Iterable[str] | None,
    budget: int,
    hops: int = 1,
    direction: Direction = "in",
    selected: Iterable[str] = (),
    seed: int | None = None,
    *,
    weights: Float[np.ndarray, " nodes"] | None = None,
    ties: Ties = "rare",
    method: Method = "auto",
    mesh: Mesh | None = None,
) -> Selection:
    """Pick `budget` candidates that together reach the most nodes of the knowledge graph within `hops` steps.

    f(S) = |union over v in S of R_k(v)|, R_k(v) the nodes within k hops of v, v itself included; greedy picks the
    largest gain f(S + v) - f(S) (GraphReach: Panagopoulos et al., arXiv 2503.14571). f is monotone and submodular, so
    the result has at least (1 - 1/e) of the best possible value, and `Selection.bounds` says how much at least in
    this very case. Once everything reachable is covered, a new cover layer begins (see `Selection.layers`).

    On a batch of graphs f is the mean of their coverages: robust against noise in the graph. A mean of monotone
    submodular functions is monotone and submodular (it is coverage of the graphs laid side by side, divided by their
    number), so guarantee and bounds hold for it too.

    Args:
        graph: the knowledge graph, or a batch of them (`edge_dropout`, `graph_batch`).
        candidates: genes or combinations "A+B" that may be picked; None: every gene of the graph.
        budget: picks to make.
        hops: the number k of graph-convolution layers of the model that will be trained.
        direction: "in": the genes whose embeddings training on v updates; "out": those that read v; "both".
        selected: genes or combinations that count as covered before the first pick; never picked.
        seed: a number: ties go to a seeded random candidate; None: see `ties`.
        weights: what covering each node is worth, finite and >= 0; None: every node counts 1.
        ties: "rare": among equal gains, the candidate whose nodes fewest other candidates reach, sum over u in R(v) of
            1 / |{c: u in R(c)}|, then the earliest; "first": the earliest candidate in the given order.
        method: "host": compiled lazy greedy over sparse reach sets; "naive", "lazy": in JAX, on the default device,
            over a dense mask. "auto": "naive" on an accelerator where the mask has at most 4 GB, else "host".
            All make the same picks.
        mesh: devices (`jax.make_mesh`) to split the candidates among instead, with the same picks; with
            `jax.distributed` every process makes the same call. Without `weights`.

    Raises:
        InputError: unknown, repeated or malformed names; a budget below 1 or above the number of candidates; hops
            below 1; a seed below 0; another direction or method; weights that cannot be used.

    Complexity: reach sets O(edges visited); host greedy O(entries + evaluations x reach), certificate O(entries +
        budget x (budget + largest gain)); JAX O(budget x candidates x nodes) and as many bytes as the mask has entries.
        All of it times the number of graphs in a batch.

    Examples:
        >>> import pandas as pd
        >>> from perturb_jax import graph_from_edges
        >>> edges = pd.DataFrame({"source": ["A", "B", "D"], "target": ["B", "C", "E"], "importance": 1.0})
        >>> picks = graphreach(graph_from_edges(edges), None, budget=2)
        >>> picks.genes, picks.values.tolist(), picks.bounds.tolist()
        (('C', 'E'), [2.0, 4.0], [2.0, 4.0])
    """
    if ties not in TIES:
        raise InputError(f"ties: expected one of {', '.join(TIES)}, got {ties!r}")
    if method not in METHODS:
        raise InputError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    check_seed(seed)
    selected = as_names(selected)
    nodes = graph.graph if isinstance(graph, GraphBatch) else graph
    graphs = len(graph) if isinstance(graph, GraphBatch) else 1
    pool = without(nodes.names, candidates, selected)
    check_budget(budget, len(pool))
    before = parse_perturbations(nodes.names, selected)
    numbers, unit = (None, 1.0) if weights is None else fixed_point(np.tile(_per_node(weights, nodes), graphs))
    unit /= graphs
    if mesh is not None and (weights is not None or method != "auto"):
        raise InputError("mesh: expected neither weights nor a method beside it; leave them away")
    if method == "auto" and mesh is None:
        on_host = jax.default_backend() == "cpu" or len(pool) * graphs * nodes.num_nodes > _LARGEST_MASK
        method = "host" if on_host else "naive"
    if method == "host" or mesh is not None:
        sets = sets_on(graph, pool.members, hops, direction)
        counts = cover_counts(sets_on(graph, before.members, hops, direction))
        rarities = None if ties == "first" else coverage_host.rarity(sets.indptr, sets.indices, sets.num_nodes)
        picks = cover_host(pool, sets, budget, numbers, unit, counts, tie_order(len(pool), rarities, seed), mesh)
        return replace(picks, objective="coverage" if graphs == 1 else "mean coverage")
    covers = mask_on(graph, pool.members, hops, direction)
    covered = mask_on(graph, before.members, hops, direction).sum(0, dtype=jnp.int32)
    order = tie_order(len(pool), None if ties == "first" else np.asarray(rarity(covers)), seed)
    objective = coverage(covers[order], None if numbers is None else jnp.asarray(numbers), covered)
    run = greedy(objective, budget, jnp.ones(len(pool), bool), "lazy" if method == "lazy" else "naive")
    bounds = upper_bounds(objective, run.picks, budget)
    numbers_of, gains, values, layers, evaluations = (np.asarray(part) for part in run)
    reachable = objective.value(CoverageState(covered + covers.sum(0, dtype=jnp.int32), jnp.int32(0)))
    picks = _as_selection(
        pool, order[numbers_of], gains, values, layers, np.asarray(bounds), int(reachable), unit, method,
        int(evaluations),
    )  # fmt: skip
    return replace(picks, objective="coverage" if graphs == 1 else "mean coverage")


def tie_order(
    num_candidates: int, rarities: Int[np.ndarray, " candidates"] | None, seed: int | None
) -> Int[np.ndarray, " candidates"]:
    """Perturbations by precedence among equal gains: seeded random, or rarest first, or as given."""
    if seed is not None:
        return np.random.default_rng(seed).permutation(num_candidates)
    if rarities is None:
        return np.arange(num_candidates)
    return np.argsort(-rarities, kind="stable")


def cover_counts(sets: ReachSets) -> Int[np.ndarray, " nodes"]:
    """How many of the sets cover each node."""
    return np.bincount(sets.indices, minlength=sets.num_nodes).astype(np.int32)


def cover_host(
    pool: Perturbations,
    sets: ReachSets,
    budget: int,
    weights: Int[np.ndarray, " nodes"] | None,
    unit: float,
    counts: Int[np.ndarray, " nodes"],
    order: Int[np.ndarray, " candidates"],
    mesh: Mesh | None = None,
) -> Selection:
    """Greedy coverage on the host, or on the devices of a mesh, and its certificate on the host."""
    if mesh is None:
        method = "host"
        picks, gains, layers, evaluations = coverage_host.lazy_greedy(
            sets.indptr, sets.indices, weights, counts.copy(), order, budget
        )
    else:
        method = f"mesh of {mesh.devices.size}"
        picks, gains, layers = sharded_cover(sets, budget, counts, order, mesh)
        evaluations = len(order) * budget
    values = coverage_host.covered_after(sets.indptr, sets.indices, weights, counts, picks)
    bounds = host_bounds(sets, weights, counts, picks)
    within_reach = (counts + cover_counts(sets)) > 0
    reachable = int(within_reach.sum() if weights is None else weights[within_reach].sum(dtype=np.int64))
    return _as_selection(pool, picks, gains, values, layers, bounds, reachable, unit, method, evaluations)


def host_bounds(
    sets: ReachSets,
    weights: Int[np.ndarray, " nodes"] | None,
    counts: Int[np.ndarray, " nodes"],
    picks: Int[np.ndarray, " picks"],
) -> Int[np.ndarray, " picks"]:
    """The certificate: for each number of picks, an upper bound of the value of any selection of that size."""
    rows = np.repeat(np.arange(len(sets.indptr) - 1, dtype=np.int32), np.diff(sets.indptr))
    inverted = group_by(sets.indices, rows, sets.num_nodes)
    bounds: np.ndarray = coverage_host.upper_bounds(sets.indptr, sets.indices, *inverted, weights, counts, picks)
    return bounds


def _per_node(weights: Float[np.ndarray, " nodes"], graph: KnowledgeGraph) -> Float[np.ndarray, " nodes"]:
    weights = np.asarray(weights, np.float64)
    if weights.shape != (graph.num_nodes,):
        raise InputError(f"weights: expected one number per node, shape ({graph.num_nodes},), got {weights.shape}")
    return weights


def _as_selection(
    pool: Perturbations,
    picks: np.ndarray,
    gains: np.ndarray,
    values: np.ndarray,
    layers: np.ndarray,
    bounds: np.ndarray,
    reachable: int,
    unit: float,
    method: str,
    evaluations: int,
) -> Selection:
    return make_selection(
        "coverage",
        pool.take(picks),
        values * unit,
        SearchInfo(method, evaluations, naive_evaluations(len(pool), len(picks))),
        gains=gains * unit,
        layers=layers,
        bounds=np.minimum(bounds, reachable) * unit,
        reachable=reachable * unit,
    )
