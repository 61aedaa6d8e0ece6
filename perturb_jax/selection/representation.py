"""How well a selection represents what was not selected: facility location and soft coverage, as objectives."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.kernel.columns import Edges, Members, pull, push
from perturb_jax.selection.objective import Objective, Properties

_EVALUATED_AT_ONCE = 64


class Similarities(NamedTuple):
    """A sparse matrix [candidates, targets], row by row.

    Attributes:
        targets: the columns of each row's entries; beyond the last target where a row has fewer than others.
        values: the entries, >= 0.
    """

    targets: Int[Array, "candidates width"]
    values: Float[Array, "candidates width"]


class RepresentationState(NamedTuple):
    """What is picked, and per target or embedding how well the picks represent it, from 0.

    Attributes:
        taken: what is picked.
        represented: facility location: the largest similarity to a pick; soft coverage: the degree of coverage.
    """

    taken: Bool[Array, " candidates"]
    represented: Float[Array, " represented"]


def facility_location(
    similar: Similarities, weights: Float[Array, " targets"], before: Int[Array, " before"], tie: float
) -> Objective:
    """f(S) = sum over targets t of w_t max over v in S of K_vt / sum of w_t: how near each target's nearest pick is.

    Monotone and submodular for K >= 0 (Nemhauser, Wolsey and Fisher 1978).

    Args:
        similar: K between candidates and targets; what is not listed is 0.
        weights: what each target is worth.
        before: candidates that count as picked before the first pick.
        tie: relative difference of gains that counts as none.

    Complexity: one gain and a pick O(width), the most targets that one candidate is alike to.
    """
    share, update = weights / weights.sum(), Partial(_facility_update, similar)
    return Objective(
        init=Partial(_facility_init, update, similar, share, before),
        gains=Partial(_facility_gains, similar, share),
        gain=Partial(_facility_gain, similar, share),
        update=update,
        value=Partial(_facility_value, share),
        layer=None,
        next_layer=None,
        properties=Properties(monotone=True, submodular=True, lazy=True, tie=tie),
    )


def soft_coverage(edges: Edges, members: Members, before: Int[Array, " before"], tie: float) -> Objective:
    """f(S) = sum over embeddings u of 1 - product over v in S of (1 - p_vu), p_v row v of P^k scaled to maximum 1.

    The expected number of nodes covered, if v covered u with probability p_vu: weighted coverage, which is monotone and
    submodular, averaged. It saturates later than coverage does.

    Args:
        edges: P and k.
        members: the candidates; their scale makes the largest entry of a row 1.
        before: candidates that count as picked before the first pick.
        tie: relative difference of gains that counts as none.

    Complexity: gains and a pick O(k x edges).
    """
    update = Partial(_soft_update, edges, members)
    return Objective(
        init=Partial(_soft_init, update, edges, members, before),
        gains=Partial(_soft_gains, edges, members),
        gain=Partial(_soft_gain, edges, members),
        update=update,
        value=Partial(_soft_value),
        layer=None,
        next_layer=None,
        properties=Properties(monotone=True, submodular=True, lazy=True, tie=tie),
    )


def _facility_init(
    update: Partial, similar: Similarities, share: Array, before: Int[Array, " before"]
) -> RepresentationState:
    state = RepresentationState(jnp.zeros(len(similar.values), bool), jnp.zeros_like(share))
    return _with(update, state, before)


def _facility_gain(similar: Similarities, share: Array, state: RepresentationState, candidate: Array) -> Array:
    targets, values = similar.targets[candidate], similar.values[candidate]
    nearer = jnp.maximum(values - state.represented.at[targets].get(mode="fill", fill_value=0), 0)
    return jnp.where(state.taken[candidate], 0, share.at[targets].get(mode="fill", fill_value=0) @ nearer)


def _facility_gains(similar: Similarities, share: Array, state: RepresentationState) -> Float[Array, " candidates"]:
    gain = Partial(_facility_gain, similar, share, state)
    return jax.lax.map(gain, jnp.arange(len(state.taken)), batch_size=_EVALUATED_AT_ONCE)


def _facility_update(similar: Similarities, state: RepresentationState, pick: Int[Array, ""]) -> RepresentationState:
    represented = state.represented.at[similar.targets[pick]].max(similar.values[pick], mode="drop")
    return RepresentationState(state.taken.at[pick].set(True), represented)


def _facility_value(share: Array, state: RepresentationState) -> Float[Array, ""]:
    return share @ state.represented


def _soft_init(update: Partial, edges: Edges, members: Members, before: Int[Array, " before"]) -> RepresentationState:
    nodes = jnp.zeros(len(edges.nodes), edges.weights.dtype)
    return _with(update, RepresentationState(jnp.zeros(len(members.scale), bool), nodes), before)


def _soft_gains(edges: Edges, members: Members, state: RepresentationState) -> Float[Array, " candidates"]:
    return jnp.where(state.taken, 0, pull(edges, members, 1 - state.represented))


def _soft_gain(edges: Edges, members: Members, state: RepresentationState, candidate: Array) -> Array:
    return _soft_gains(edges, members, state)[candidate]


def _soft_update(edges: Edges, members: Members, state: RepresentationState, pick: Array) -> RepresentationState:
    row = push(edges, members, jnp.zeros_like(members.scale).at[pick].set(1))
    missed = (1 - state.represented) * (1 - jnp.minimum(row, 1))
    return RepresentationState(state.taken.at[pick].set(True), 1 - missed)


def _with(update: Partial, state: RepresentationState, picks: Int[Array, " picks"]) -> RepresentationState:
    return jax.lax.scan(lambda state, pick: (update(state, pick), None), state, picks)[0]


def _soft_value(state: RepresentationState) -> Float[Array, ""]:
    return state.represented.sum()
