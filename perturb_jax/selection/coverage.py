"""Coverage of the knowledge graph: how many nodes a selection reaches, and the greedy selection that reaches most."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.graph.knowledge_graph import Direction, GraphBatch, KnowledgeGraph
from perturb_jax.graph.reach import ReachSets, reach_mask, reach_sets
from perturb_jax.selection.device.sharded import sharded_cover
from perturb_jax.selection.greedy import greedy, tie_order, upper_bounds
from perturb_jax.selection.host import coverage as host
from perturb_jax.selection.host.coverage import RARITY_UNIT
from perturb_jax.selection.objective import Objective, Properties
from perturb_jax.support.errors import InputError
from perturb_jax.support.loops import group_by

Ties = Literal["rare", "first"]

_TOTAL_WEIGHT = 2**30
_UNCOVERABLE = 2**31 - 1


class CoverageState(NamedTuple):
    """How often each node is covered, and the level at which nodes count: the cover layer minus one."""

    counts: Int[Array, " nodes"]
    level: Int[Array, ""]


def coverage(
    covers: Bool[Array, "candidates nodes"],
    weights: Int[Array, " nodes"] | None = None,
    counts: Int[Array, " nodes"] | None = None,
) -> Objective:
    """Weighted coverage f(S) = sum of w_u over the nodes u that some v in S covers. Monotone and submodular.

    Monotone since w >= 0. Submodular: a node that v would newly cover given a set T, it would newly cover given any
    S inside T. Once no candidate gains, the next layer m begins and a gain counts the nodes covered exactly m - 1
    times; within a layer this is again coverage, of the nodes that the layer began with.

    Args:
        covers: which nodes each candidate covers (see `perturb_jax.reach`).
        weights: whole numbers >= 0 with a sum below 2^31, so that no sum depends on its order (`fixed_point`).
        counts: how often each node is covered before the first pick.

    Complexity: one gain O(nodes), all gains O(candidates x nodes), on whatever device holds `covers`.
    """
    num_nodes = covers.shape[1]
    weights = jnp.ones(num_nodes, jnp.int32) if weights is None else weights
    counts = jnp.zeros(num_nodes, jnp.int32) if counts is None else counts
    return Objective(
        init=Partial(_init, counts),
        gains=Partial(_gains, covers, weights),
        gain=Partial(_gain, covers, weights),
        update=Partial(_update, covers),
        value=Partial(_value, weights),
        layer=Partial(_layer),
        next_layer=Partial(_next_layer, covers, weights),
        properties=Properties(monotone=True, submodular=True, lazy=True),
    )


def fixed_point(weights: Float[np.ndarray, " nodes"]) -> tuple[Int[np.ndarray, " nodes"], float]:
    """Node weights as whole numbers, and their unit: weights ~ numbers x unit.

    Sums of whole numbers do not depend on their order, so every path, device and shard makes the same picks. Whole
    numbers with a sum of at most 2^30 stay as they are; others are rounded to 2^-30 of their sum, and a positive
    weight never becomes 0.

    Raises:
        InputError: weights that are negative, infinite or NaN, or whose sum is infinite.
    """
    weights = np.asarray(weights, np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        bad = weights[~(np.isfinite(weights) & (weights >= 0))][0]
        raise InputError(f"weights: expected finite numbers >= 0, got {bad}; correct or leave out such nodes")
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not np.isfinite(total):
        raise InputError("weights: expected a finite sum, got an infinite one; divide them by their largest")
    whole = bool((weights == np.rint(weights)).all()) and total <= _TOTAL_WEIGHT
    if whole:
        return weights.astype(np.int32), 1.0
    numbers = np.maximum(np.rint(weights / total * _TOTAL_WEIGHT), weights > 0)
    return numbers.astype(np.int32), float(total / _TOTAL_WEIGHT)


def rarity(covers: Bool[Array, "candidates nodes"]) -> Int[Array, " candidates"]:
    """Per candidate, the sum over its nodes of one over how many candidates cover the node, in fixed point.

    Among candidates of equal gain, the one whose nodes fewest others reach is the better pick: what it leaves out may
    never be reached, what the others leave out will be. The same whole numbers as on the host.
    """
    worth = (RARITY_UNIT // covers.shape[1]) // jnp.maximum(covers.sum(0, dtype=jnp.int32), 1)
    return jax.vmap(_covered_weight, (0, None))(covers, worth)


def _init(counts: Int[Array, " nodes"]) -> CoverageState:
    return CoverageState(counts, jnp.int32(0))


def _open_weights(weights: Int[Array, " nodes"], state: CoverageState) -> Int[Array, " nodes"]:
    return jnp.where(state.counts == state.level, weights, 0)


def _covered_weight(row: Bool[Array, " nodes"], weights: Int[Array, " nodes"]) -> Int[Array, ""]:
    return jnp.where(row, weights, 0).sum(dtype=jnp.int32)


def _gains(covers: Array, weights: Array, state: CoverageState) -> Int[Array, " candidates"]:
    return jax.vmap(_covered_weight, (0, None))(covers, _open_weights(weights, state))


def _gain(covers: Array, weights: Array, state: CoverageState, candidate: Int[Array, ""]) -> Int[Array, ""]:
    return _covered_weight(covers[candidate], _open_weights(weights, state))


def _update(covers: Array, state: CoverageState, pick: Int[Array, ""]) -> CoverageState:
    return state._replace(counts=state.counts + covers[pick])


def _value(weights: Array, state: CoverageState) -> Int[Array, ""]:
    return jnp.where(state.counts > 0, weights, 0).sum(dtype=jnp.int32)


def _layer(state: CoverageState) -> Int[Array, ""]:
    return state.level + 1


def _next_layer(
    covers: Array, weights: Array, state: CoverageState, available: Bool[Array, " candidates"]
) -> CoverageState:
    reachable = (covers & available[:, None]).any(0) & (weights > 0)
    lowest = jnp.where(reachable, state.counts, _UNCOVERABLE).min()
    return state._replace(level=jnp.where(lowest == _UNCOVERABLE, state.level, lowest))


class CoverRun(NamedTuple):
    """What a greedy coverage did, in whole numbers of the weights' unit.

    Attributes:
        picks: candidate numbers, in order.
        gains: what each pick added to its layer.
        values: what is covered after each pick.
        layers: the cover layer of each pick.
        bounds: what any selection of as many picks covers at most; empty where no certificate was wanted.
        reachable: what all candidates cover together.
        evaluations: gains computed.
        method: which machine did it.
    """

    picks: Int[np.ndarray, " budget"]
    gains: Int[np.ndarray, " budget"]
    values: Int[np.ndarray, " budget"]
    layers: Int[np.ndarray, " budget"]
    bounds: Int[np.ndarray, " bounds"]
    reachable: int
    evaluations: int
    method: str


def maximum_coverage(
    graph: KnowledgeGraph | GraphBatch,
    members: Int[np.ndarray, "candidates arity"],
    before: Int[np.ndarray, "selected arity2"],
    budget: int,
    hops: int = 1,
    direction: Direction = "in",
    weights: Int[np.ndarray, " columns"] | None = None,
    ties: Ties = "rare",
    seed: int | None = None,
    engine: Literal["host", "naive", "lazy"] | Mesh = "host",
    certified: bool = True,
) -> CoverRun:
    """Greedy maximum coverage of a graph, or of all graphs of a batch side by side; the same picks on every machine.

    Args:
        graph: what is to be covered.
        members: the candidates, as node numbers.
        before: what counts as covered before the first pick.
        budget: picks to make.
        hops: steps of reach.
        direction: of reach.
        weights: what covering each node is worth, in whole numbers (`fixed_point`); None: 1.
        ties: "rare": among equal gains, the candidate whose nodes fewest others reach; "first": the earliest.
        seed: a number: ties go to a seeded random candidate instead.
        engine: "host": compiled lazy greedy over sparse sets; "naive", "lazy": `greedy` over a mask on the default
            device; a mesh: candidates split among its devices, without weights.
        certified: compute `bounds`.
    """
    rare = ties == "rare" and seed is None
    if engine == "naive" or engine == "lazy":
        covers = reach_mask(graph, members, hops, direction)
        covered = reach_mask(graph, before, hops, direction).sum(0, dtype=jnp.int32)
        order = tie_order(len(members), np.asarray(rarity(covers)) if rare else None, seed)
        return _cover_on_device(covers, covered, order, budget, weights, engine, certified)
    sets = reach_sets(graph, members, hops, direction)
    counts = reach_sets(graph, before, hops, direction).counts()
    order = tie_order(len(members), host.rarity(sets.indptr, sets.indices, sets.num_nodes) if rare else None, seed)
    if engine == "host":
        method = "host"
        picks, gains, layers, evaluations = host.lazy_greedy(
            sets.indptr, sets.indices, weights, counts.copy(), order, budget
        )
    else:
        method = f"mesh of {engine.devices.size}"
        picks, gains, layers = sharded_cover(sets, budget, counts, order, engine)
        evaluations = len(order) * budget
    values = covered_after(sets, counts, picks, weights)
    bounds = cover_bounds(sets, counts, picks, weights) if certified else np.empty(0, np.int64)
    within_reach = (counts + sets.counts()) > 0
    reachable = within_reach.sum() if weights is None else weights[within_reach].sum(dtype=np.int64)
    return CoverRun(picks, gains, values, layers, bounds, int(reachable), int(evaluations), method)


def _cover_on_device(
    covers: Bool[Array, "candidates columns"],
    covered: Int[Array, " columns"],
    order: Int[np.ndarray, " candidates"],
    budget: int,
    weights: Int[np.ndarray, " columns"] | None,
    method: Literal["naive", "lazy"],
    certified: bool,
) -> CoverRun:
    objective = coverage(covers[order], None if weights is None else jnp.asarray(weights), covered)
    run = greedy(objective, budget, jnp.ones(len(order), bool), method)
    bounds = np.asarray(upper_bounds(objective, run.picks, budget)) if certified else np.empty(0, np.int32)
    everything = CoverageState(covered + covers.sum(0, dtype=jnp.int32), jnp.int32(0))
    picks, gains, values, layers, evaluations = (np.asarray(part) for part in run)
    reachable = int(objective.value(everything))
    return CoverRun(order[picks], gains, values, layers, bounds, reachable, int(evaluations), method)


def covered_after(
    sets: ReachSets,
    counts: Int[np.ndarray, " nodes"],
    picks: Int[np.ndarray, " picks"] | None = None,
    weights: Int[np.ndarray, " nodes"] | None = None,
) -> Int[np.ndarray, " picks"]:
    """What is covered after each of the sets picked (None: all, as they come), what `counts` covers included."""
    order = np.arange(len(sets.indptr) - 1) if picks is None else picks
    values: np.ndarray = host.covered_after(sets.indptr, sets.indices, weights, counts, order)
    return values


def cover_bounds(
    sets: ReachSets,
    counts: Int[np.ndarray, " nodes"],
    picks: Int[np.ndarray, " picks"],
    weights: Int[np.ndarray, " nodes"] | None = None,
) -> Int[np.ndarray, " picks"]:
    """For each number of picks, an upper bound of the value of any selection of that size (see `upper_bounds`)."""
    rows = np.repeat(np.arange(len(sets.indptr) - 1, dtype=np.int32), np.diff(sets.indptr))
    inverted = group_by(sets.indices, rows, sets.num_nodes)
    bounds: np.ndarray = host.upper_bounds(sets.indptr, sets.indices, *inverted, weights, counts, picks)
    return bounds
