"""Coverage of the knowledge graph: how many nodes a selection reaches, and the greedy selection that reaches most."""

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.selection.greedy import Objective, Properties
from perturb_jax.selection.host import coverage as host
from perturb_jax.support.errors import InputError

_TOTAL_WEIGHT = 2**30
_RARITY_UNIT = 2**30  # of all nodes together, so that no sum leaves int32
_UNCOVERABLE = 2**31 - 1


class CoverageState(NamedTuple):
    """How often each node is covered, and the level at which nodes count: the cover layer minus one."""

    counts: Int[Array, " nodes"]
    level: Int[Array, ""]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Coverage(Objective):
    """Weighted coverage f(S) = sum of w_u over the nodes u that some v in S covers. Monotone and submodular.

    Monotone since w >= 0. Submodular: a node that v would newly cover given a set T, it would newly cover given any
    S inside T. Once no candidate gains, the next layer m begins and a gain counts the nodes covered exactly m - 1
    times; within a layer this is again coverage, of the nodes that the layer began with.

    Attributes:
        covers: which nodes each candidate covers (see `perturb_jax.reach`).
        weights: whole numbers >= 0 with a sum below 2^31, so that no sum depends on its order (`fixed_point`).
        counts: how often each node is covered before the first pick.

    Complexity: one gain O(nodes), all gains O(candidates x nodes), on whatever device holds `covers`.
    """

    covers: Bool[Array, "candidates nodes"]
    weights: Int[Array, " nodes"]
    counts: Int[Array, " nodes"]
    properties: Properties = field(default=Properties(True, True, True, layered=True), metadata={"static": True})

    def init(self) -> CoverageState:
        """The first layer."""
        return CoverageState(self.counts, jnp.int32(0))

    def gains(self, state: CoverageState) -> Int[Array, " candidates"]:
        """What each candidate covers of the nodes that count."""
        return jax.vmap(_weight_of, (0, None))(self.covers, self._open_weights(state))

    def gain(self, state: CoverageState, candidate: Int[Array, ""]) -> Int[Array, ""]:
        """The same for one."""
        return _weight_of(self.covers[candidate], self._open_weights(state))

    def update(self, state: CoverageState, pick: Int[Array, ""]) -> CoverageState:
        """What the pick covers is covered once more."""
        return state._replace(counts=state.counts + self.covers[pick])

    def value(self, state: CoverageState) -> Int[Array, ""]:
        """The weight of what is covered."""
        return _weight_of(state.counts > 0, self.weights)

    def layer(self, state: CoverageState) -> Int[Array, ""]:
        """The number of the layer."""
        return state.level + 1

    def next_layer(self, state: CoverageState, available: Bool[Array, " candidates"]) -> CoverageState:
        """The lowest level of a node that an available candidate covers."""
        reachable = (self.covers & available[:, None]).any(0) & (self.weights > 0)
        lowest = jnp.where(reachable, state.counts, _UNCOVERABLE).min()
        return state._replace(level=jnp.where(lowest == _UNCOVERABLE, state.level, lowest))

    def _open_weights(self, state: CoverageState) -> Int[Array, " nodes"]:
        return jnp.where(state.counts == state.level, self.weights, 0)


def _weight_of(nodes: Bool[Array, " nodes"], weights: Int[Array, " nodes"]) -> Int[Array, ""]:
    return jnp.where(nodes, weights, 0).sum(dtype=jnp.int32)


def coverage(
    covers: Bool[Array, "candidates nodes"],
    weights: Int[Array, " nodes"] | None = None,
    counts: Int[Array, " nodes"] | None = None,
) -> Coverage:
    """`Coverage` with weights of 1 and nothing covered beforehand where none are given."""
    num_nodes = covers.shape[1]
    weights = jnp.ones(num_nodes, jnp.int32) if weights is None else weights
    return Coverage(covers, weights, jnp.zeros(num_nodes, jnp.int32) if counts is None else counts)


def fixed_point(weights: Float[np.ndarray, " nodes"]) -> tuple[Int[np.ndarray, " nodes"], float]:
    """Node weights as whole numbers, and their unit: weights ~ numbers x unit.

    Sums of whole numbers do not depend on their order, so every path, device and shard makes the same picks. Whole
    numbers with a sum of at most 2^30 stay as they are; others are rounded to 2^-30 of their sum, and a positive
    weight never becomes 0.
    """
    weights = np.asarray(weights, np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        bad = weights[~(np.isfinite(weights) & (weights >= 0))][0]
        raise InputError(f"weights: expected finite numbers >= 0, got {bad}; correct or leave out such nodes")
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not np.isfinite(total):
        raise InputError("weights: expected a finite sum, got an infinite one; divide them by their largest")
    if (weights == np.rint(weights)).all() and total <= _TOTAL_WEIGHT:
        return weights.astype(np.int32), 1.0
    numbers = np.maximum(np.rint(weights / total * _TOTAL_WEIGHT), weights > 0)
    return numbers.astype(np.int32), float(total / _TOTAL_WEIGHT)


def rarity(
    covers: Bool[Array, "candidates nodes"] | sp.csr_array,
) -> Int[Array, " candidates"] | Int[np.ndarray, " candidates"]:
    """Per candidate, the sum over its nodes of one over how many candidates cover the node, in fixed point.

    Among candidates of equal gain, the one whose nodes fewest others reach is the better pick: what it leaves out may
    never be reached, what the others leave out will be. The same whole numbers of a mask and of sparse sets.
    """
    worth = (_RARITY_UNIT // covers.shape[1]) // covers.sum(0, dtype=np.int32).clip(1)
    return covers @ worth if isinstance(covers, sp.csr_array) else jax.vmap(_weight_of, (0, None))(covers, worth)


def covered_after(
    sets: sp.csr_array,
    counts: Int[np.ndarray, " nodes"],
    picks: Int[np.ndarray, " picks"] | None = None,
    weights: Int[np.ndarray, " nodes"] | None = None,
) -> Int[np.ndarray, " picks"]:
    """What is covered after each of the sets picked (None: all, as they come), what `counts` covers included."""
    order = np.arange(sets.shape[0]) if picks is None else picks
    return host.covered_after(sets.indptr, sets.indices, weights, counts, order)


def cover_bounds(
    sets: sp.csr_array,
    counts: Int[np.ndarray, " nodes"],
    picks: Int[np.ndarray, " picks"],
    weights: Int[np.ndarray, " nodes"] | None = None,
) -> Int[np.ndarray, " picks"]:
    """For each number of picks, an upper bound of the value of any selection of that size (see `upper_bounds`)."""
    inverted, of_sets = sets.tocsc(), (sets.indptr, sets.indices)
    return host.upper_bounds(*of_sets, inverted.indptr, inverted.indices, weights, counts, picks)
