"""The spectral norm of the operator on what a selection reaches, as an objective for an accelerator."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.selection.objective import Objective, Properties
from perturb_jax.selection.spectral_norm import spectral_norm

_EVALUATED_AT_ONCE = 64


class SpectralState(NamedTuple):
    """The nodes reached, the norm of the operator on them, and its right singular vector."""

    mask: Bool[Array, " nodes"]
    norm: Float[Array, ""]
    vector: Float[Array, " nodes"]


def spectral(
    covers: Bool[Array, "candidates nodes"],
    senders: Int[Array, " edges"],
    receivers: Int[Array, " edges"],
    weights: Float[Array, " edges"],
    before: Bool[Array, " nodes"],
    tie: float,
    renormalize: bool = False,
    sense: Literal["min", "max"] = "min",
) -> Objective:
    """-sigma(A restricted to what is reached), or sigma: an absolute score, not a difference.

    The norm of a submatrix never exceeds the norm of the matrix, so sigma never falls when nodes are added: an old
    -sigma(S + v) is an upper bound of the new one and lazy minimisation is exact. Not so when the operator is
    renormalised on every subset, nor when sigma is maximised.

    Args:
        covers: which nodes each candidate reaches.
        senders: columns of the operator's entries.
        receivers: rows of the operator's entries.
        weights: the entries; raw weights with self-loops where `renormalize`.
        before: nodes reached before the first pick.
        tie: relative difference of norms that counts as none.
        renormalize: scale by the in-degrees within the nodes reached.
        sense: "min" or "max".

    Complexity: one gain O(iterations x edges); all gains in chunks of 64 candidates, 64 x 20 x nodes numbers.
    """
    edges = (senders, receivers, weights)
    sign = jnp.float32(-1 if sense == "min" else 1)
    norm = Partial(_renormalized_norm if renormalize else norm_within, *edges)
    exact = sense == "min" and not renormalize
    return Objective(
        init=Partial(_init, norm, before),
        gains=Partial(_gains, norm, sign, covers),
        gain=Partial(_gain, norm, sign, covers),
        update=Partial(_update, norm, covers),
        value=Partial(_value),
        layer=None,
        next_layer=None,
        properties=Properties(monotone=exact, submodular=False, lazy=exact, tie=tie),
    )


def norm_within(
    senders: Array, receivers: Array, weights: Array, mask: Bool[Array, " nodes"], start: Float[Array, " nodes"]
) -> tuple[Array, Array]:
    """The norm of an operator's rows and columns within a mask, and its right singular vector; `start` may be zero."""
    nodes = len(mask)

    def matvec(x: Array) -> Array:
        return jax.ops.segment_sum(weights * x[senders], receivers, nodes)

    def rmatvec(y: Array) -> Array:
        return jax.ops.segment_sum(weights * y[receivers], senders, nodes)

    # The old top vector, and as much of everything: what is new may have become the top.
    spread = jnp.abs(jax.random.normal(jax.random.key(0), (nodes,))) * mask
    begin = start + spread / jnp.maximum(jnp.linalg.norm(spread), 1e-30)
    norm, info = spectral_norm((matvec, rmatvec), (nodes, nodes), mask, start=begin, return_info=True)
    return norm, info.vector


def _renormalized_norm(
    senders: Array, receivers: Array, weights: Array, mask: Bool[Array, " nodes"], start: Float[Array, " nodes"]
) -> tuple[Array, Array]:
    inside = jnp.where(mask[senders] & mask[receivers], weights, 0.0)
    degrees = jax.ops.segment_sum(inside, receivers, len(mask))
    scale = jnp.where(degrees > 0, jax.lax.rsqrt(jnp.where(degrees > 0, degrees, 1.0)), 0.0)
    return norm_within(senders, receivers, inside * scale[receivers] * scale[senders], mask, start)


def _init(norm: Partial, before: Array) -> SpectralState:
    return SpectralState(before, *norm(before, jnp.zeros(len(before))))


def _gain(norm: Partial, sign: Array, covers: Array, state: SpectralState, candidate: Int[Array, ""]) -> Array:
    return sign * norm(state.mask | covers[candidate], state.vector)[0]


def _gains(norm: Partial, sign: Array, covers: Array, state: SpectralState) -> Float[Array, " candidates"]:
    def one(row: Bool[Array, " nodes"]) -> Float[Array, ""]:
        return sign * norm(state.mask | row, state.vector)[0]

    return jax.lax.map(one, covers, batch_size=_EVALUATED_AT_ONCE)


def _update(norm: Partial, covers: Array, state: SpectralState, pick: Int[Array, ""]) -> SpectralState:
    mask = state.mask | covers[pick]
    return SpectralState(mask, *norm(mask, state.vector))


def _value(state: SpectralState) -> Float[Array, ""]:
    return state.norm
