"""How well a selection represents what was not selected: facility location and soft coverage, as objectives."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.kernel.kernel import FeatureMap, Rows
from perturb_jax.selection.design import DesignProblem
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


def soft_coverage(features: FeatureMap, count: int, before: Int[Array, " before"], tie: float) -> Objective:
    """f(S) = sum over embeddings u of 1 - product over v in S of (1 - p_vu), p_v row v of P^k scaled to maximum 1.

    The expected number of nodes covered, if v covered u with probability p_vu: weighted coverage, which is monotone and
    submodular, averaged. It saturates later than coverage does.

    Args:
        features: p, the rows of the candidates.
        count: the number of candidates.
        before: candidates that count as picked before the first pick.
        tie: relative difference of gains that counts as none.

    Complexity: gains and a pick O(k x edges).
    """
    update = Partial(_soft_update, features)
    return Objective(
        init=Partial(_soft_init, update, features, jnp.zeros(count), before),
        gains=Partial(_soft_gains, features),
        gain=Partial(_soft_gain, features),
        update=update,
        value=Partial(_soft_value),
        layer=None,
        next_layer=None,
        properties=Properties(monotone=True, submodular=True, lazy=True, tie=tie),
    )


def facility_location_of(
    problem: DesignProblem,
    candidates: Perturbations,
    before: Int[Array, " before"],
    capacity: int,  # noqa: ARG001  (of picks: its state has none)
    tie: float,
) -> Objective:
    """`facility_location` of a design problem's targets."""
    similar = _similarities(problem, problem.kernel.rows(candidates.members))
    return facility_location(similar, jnp.asarray(problem.weights, float), before, tie)


def soft_coverage_of(
    problem: DesignProblem,
    candidates: Perturbations,
    before: Int[Array, " before"],
    capacity: int,  # noqa: ARG001  (of picks: its state has none)
    tie: float,
) -> Objective:
    """`soft_coverage` by a design problem's candidates."""
    return soft_coverage(problem.kernel.feature_map(candidates.members), len(candidates), before, tie)


def _similarities(problem: DesignProblem, rows: Rows) -> Similarities:
    """The kernel between candidates and targets, padded to the longest row."""
    blocks = [sp.csr_array(block) for _, block in problem.kernel.between(rows, problem.rows)]
    width = max(int(np.diff(block.indptr).max()) for block in blocks)
    targets = np.full((len(rows), width), len(problem.targets), np.int32)
    values = np.zeros((len(rows), width), jnp.asarray(0.0).dtype)
    start = 0
    for block in blocks:
        lengths = np.diff(block.indptr)
        within = np.arange(block.nnz) - np.repeat(block.indptr[:-1], lengths)
        candidates = start + np.repeat(np.arange(len(lengths)), lengths)
        targets[candidates, within], values[candidates, within] = block.indices, block.data
        start += len(lengths)
    return Similarities(jnp.asarray(targets), jnp.asarray(values))


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


def _soft_init(
    update: Partial, features: FeatureMap, nothing: Float[Array, " candidates"], before: Int[Array, " before"]
) -> RepresentationState:
    embeddings = jax.eval_shape(features.read_by, nothing)
    state = RepresentationState(nothing.astype(bool), jnp.zeros(embeddings.shape, embeddings.dtype))
    return _with(update, state, before)


def _soft_gains(features: FeatureMap, state: RepresentationState) -> Float[Array, " candidates"]:
    return jnp.where(state.taken, 0, features.reads(1 - state.represented))


def _soft_gain(features: FeatureMap, state: RepresentationState, candidate: Array) -> Array:
    return _soft_gains(features, state)[candidate]


def _soft_update(features: FeatureMap, state: RepresentationState, pick: Array) -> RepresentationState:
    row = features.read_by(jnp.zeros(len(state.taken), state.represented.dtype).at[pick].set(1))
    missed = (1 - state.represented) * (1 - jnp.minimum(row, 1))
    return RepresentationState(state.taken.at[pick].set(True), 1 - missed)


def _with(update: Partial, state: RepresentationState, picks: Int[Array, " picks"]) -> RepresentationState:
    return jax.lax.scan(lambda state, pick: (update(state, pick), None), state, picks)[0]


def _soft_value(state: RepresentationState) -> Float[Array, ""]:
    return state.represented.sum()
