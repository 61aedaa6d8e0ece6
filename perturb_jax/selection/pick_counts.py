"""On how many graphs of a batch GraphReach picks each candidate: how a selection depends on noise in the graph."""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from perturb_jax.genes.perturbations import as_names, parse_perturbations, without
from perturb_jax.graph.knowledge_graph import Direction, GraphBatch
from perturb_jax.graph.reach import batch_steps, mask_by_steps
from perturb_jax.selection.coverage import Ties, coverage, maximum_coverage, rarity
from perturb_jax.selection.greedy import greedy, tie_order
from perturb_jax.support.checks import check_budget, check_hops, check_seed
from perturb_jax.support.loops import Backend, on_host


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
    host = on_host(backend)
    check_seed(seed)
    check_hops(hops)
    names = as_names(selected)
    pool, before = without(graphs.graph.names, candidates, names), parse_perturbations(graphs.graph.names, names)
    check_budget(budget, len(pool))
    if not host:
        here, there = batch_steps(graphs, direction)
        nodes = graphs.graph.num_nodes
        fixed = None if seed is None and ties == "rare" else jnp.asarray(tie_order(len(pool), None, seed))
        at_once = max(1, min(len(graphs), memory // (2 * len(pool) * nodes)))
        picks = np.asarray(
            _all_picks(here, there, pool.members, before.members, min(hops, nodes), fixed, budget, nodes, at_once)
        )
    else:
        runs = [
            maximum_coverage(
                graphs.variant(i), pool.members, before.members, budget, hops, direction, None, ties, seed,
                certified=False,
            )
            for i in range(len(graphs))
        ]  # fmt: skip
        picks = np.stack([run.picks for run in runs])
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
