"""GraphReach: pick the genes that together reach most of the knowledge graph, or of each of many noisy copies."""

from collections.abc import Iterable
from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.genes.perturbations import Perturbations, pool_and_selected
from perturb_jax.graph.knowledge_graph import Direction, GraphBatch, KnowledgeGraph
from perturb_jax.graph.reach import batch_steps, mask_by_steps, reach_sets
from perturb_jax.selection.coverage import cover_bounds, coverage, covered_after, fixed_point, rarity
from perturb_jax.selection.device.sharded import sharded_cover
from perturb_jax.selection.greedy import greedy, tie_order
from perturb_jax.selection.host import coverage as host
from perturb_jax.selection.selection import SearchInfo, Selection, make_selection, naive_evaluations
from perturb_jax.support.checks import check_budget, check_choice, check_count, check_seed
from perturb_jax.support.errors import InputError
from perturb_jax.support.loops import Backend, on_host

Ties = Literal["rare", "first"]
Method = Literal["auto", "host", "naive", "lazy"]
_LARGEST_MASK = 2**32  # bytes; beyond, sparse sets on the host


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
    check_choice("ties", ties, get_args(Ties))
    check_choice("method", method, get_args(Method))
    check_seed(seed)
    if mesh is not None and (weights is not None or method != "auto"):
        raise InputError("mesh: expected neither weights nor a method beside it; omit them")
    nodes, graphs = (graph.graph, len(graph)) if isinstance(graph, GraphBatch) else (graph, 1)
    pool, before = pool_and_selected(nodes.names, candidates, selected)
    check_budget(budget, len(pool))
    numbers, unit = None, 1.0
    if weights is not None:
        each = np.asarray(weights, np.float64)
        if each.shape != (nodes.num_nodes,):
            raise InputError(f"weights: expected one number per node, shape ({nodes.num_nodes},), got {each.shape}")
        numbers, unit = fixed_point(np.tile(each, graphs))
    unit /= graphs
    if method == "auto":
        small = len(pool) * graphs * nodes.num_nodes <= _LARGEST_MASK
        method = "naive" if small and jax.default_backend() != "cpu" else "host"
    sets, counts, order = _cover_problem(graph, pool, before, hops, direction, ties, seed)
    ran, evaluations = str(method), len(pool) * budget
    if mesh is not None:
        ran = f"mesh of {mesh.devices.size}"
        picks, gains, layers = sharded_cover(sets, budget, counts, order, mesh)
    elif method == "host":
        picks, gains, layers, evaluations = host.lazy_greedy(
            sets.indptr, sets.indices, numbers, counts.copy(), order, budget
        )
    else:
        worth = None if numbers is None else jnp.asarray(numbers)
        objective = coverage(jnp.asarray(sets[order].toarray()), worth, jnp.asarray(counts))
        run = greedy(objective, budget, jnp.ones(len(order), bool), method)
        picks, gains, layers = order[np.asarray(run.picks)], np.asarray(run.gains), np.asarray(run.layers)
        evaluations = int(run.evaluations)
    reachable = covered_after(sets, counts, None, numbers)[-1]
    return make_selection(
        "coverage" if graphs == 1 else "mean coverage",
        pool.take(picks),
        covered_after(sets, counts, picks, numbers) * unit,
        SearchInfo(ran, int(evaluations), naive_evaluations(len(pool), budget)),
        gains=gains * unit,
        layers=layers,
        bounds=np.minimum(cover_bounds(sets, counts, picks, numbers), reachable) * unit,
        reachable=float(reachable * unit),
    )


def _cover_problem(
    graph: KnowledgeGraph | GraphBatch,
    pool: Perturbations,
    before: Perturbations,
    hops: int,
    direction: Direction,
    ties: Ties,
    seed: int | None,
) -> tuple[sp.csr_array, Int[np.ndarray, " nodes"], Int[np.ndarray, " candidates"]]:
    """What each candidate reaches, how often each node is covered beforehand, and candidates by precedence."""
    sets = reach_sets(graph, pool.members, hops, direction)
    rarities = rarity(sets) if ties == "rare" and seed is None else None
    counts = reach_sets(graph, before.members, hops, direction).sum(0, dtype=np.int32)
    return sets, counts, tie_order(len(pool), rarities, seed)


class PickCounts(NamedTuple):
    """GraphReach's picks on each graph.

    Attributes:
        candidates: current gene names, or "A+B".
        picks: numbers of candidates, in the order picked.
        counts: on how many graphs each candidate is picked.
    """

    candidates: tuple[str, ...]
    picks: Int[np.ndarray, "graphs budget"]
    counts: Int[np.ndarray, " candidates"]


def pick_counts(
    graphs: GraphBatch,
    candidates: Iterable[str] | None,
    budget: int,
    hops: int = 1,
    direction: Direction = "in",
    selected: Iterable[str] = (),
    seed: int | None = None,
    *,
    ties: Ties = "rare",
    backend: Backend = "auto",
    memory: int = 2**30,
) -> PickCounts:
    """On how many graphs of a batch GraphReach picks each candidate; arguments are those of `graphreach`.

    Args:
        graphs: such as the noisy copies of `edge_dropout`.
        candidates: what may be picked.
        budget: picks to make on each graph.
        hops: steps of reach.
        direction: of reach.
        selected: what counts as covered.
        seed: for random ties, the same on every graph.
        ties: "rare" or "first".
        backend: "host": compiled lazy greedy, a graph at a time; "jax": on the default device, as many graphs at once
            as `memory` allows; "auto": "host" on a CPU. Both make the same picks.
        memory: bytes for the masks of the graphs that are treated at once.

    Raises:
        InputError: what `graphreach` refuses, or another backend.

    Complexity: that of `graphreach`, times the number of graphs.
    """
    compiled = on_host(backend)
    check_seed(seed)
    check_count("hops", hops)
    pool, before = pool_and_selected(graphs.graph.names, candidates, selected)
    check_budget(budget, len(pool))
    if compiled:
        picks = np.empty((len(graphs), budget), np.int64)
        for i in range(len(graphs)):
            sets, counts, order = _cover_problem(graphs.variant(i), pool, before, hops, direction, ties, seed)
            picks[i] = host.lazy_greedy(sets.indptr, sets.indices, None, counts, order, budget)[0]
    else:
        here, there = batch_steps(graphs, direction)
        nodes = graphs.graph.num_nodes
        fixed = None if seed is None and ties == "rare" else jnp.asarray(tie_order(len(pool), None, seed))
        at_once = max(1, min(len(graphs), memory // (2 * len(pool) * nodes)))
        picks = np.asarray(
            _all_picks(here, there, pool.members, before.members, min(hops, nodes), fixed, budget, nodes, at_once)
        )
    return PickCounts(pool.labels, picks, np.bincount(picks.ravel(), minlength=len(pool)))


@partial(jax.jit, static_argnames=("budget", "num_nodes", "at_once"))
def _all_picks(
    here: Int[Array, " steps"],
    there: Int[Array, "graphs steps"],
    members: Int[Array, "candidates arity"],
    before: Int[Array, "selected arity2"],
    hops: int | Int[Array, ""],
    order: Int[Array, " candidates"] | None,
    budget: int,
    num_nodes: int,
    at_once: int,
) -> Int[Array, "graphs budget"]:
    def one_graph(ends: Int[Array, " steps"]) -> Int[Array, " budget"]:
        covers: Bool[Array, "candidates nodes"] = mask_by_steps(members, here, ends, hops, num_nodes)
        covered = mask_by_steps(before, here, ends, hops, num_nodes).sum(0, dtype=jnp.int32)
        first = jnp.argsort(-rarity(covers), stable=True) if order is None else order
        run = greedy(coverage(covers[first], None, covered), budget, jnp.ones(len(members), bool))
        return first[run.picks]

    return jax.lax.map(one_graph, there, batch_size=at_once)
