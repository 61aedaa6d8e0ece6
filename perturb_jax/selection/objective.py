"""The contract of everything that greedy can optimise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

State = Any
Number = Float[Array, ""] | Int[Array, ""]


@jax.tree_util.register_static
@dataclass(frozen=True)
class Properties:
    """What an objective states about itself; a test holds it to that.

    Attributes:
        monotone: the value never falls when a candidate is added.
        submodular: a candidate's gain never rises as the set grows (within a cover layer).
        lazy: a stale gain is an upper bound of the fresh one, so that lazy greedy makes the naive greedy's picks.
        tie: gains that differ by at most this share of the best are equal; at least 10 times the evaluation error.
    """

    monotone: bool
    submodular: bool
    lazy: bool
    tie: float = 0.0


class Objective(NamedTuple):
    """A set function to be maximised greedily, as pure functions of a state.

    The functions are `jax.tree_util.Partial`s over arrays, so that an objective is a pytree: it passes through `jit`,
    and a second one of the same shapes compiles nothing. The objective knows the graph; greedy does not.

    Attributes:
        init: () -> state of the empty selection (what is selected beforehand included).
        gains: state -> [candidates], what each candidate would add, by `vmap` over all of them.
        gain: (state, candidate) -> the same for one.
        update: (state, candidate) -> state with the candidate added.
        value: state -> the objective.
        layer: state -> number of the cover layer, or None: no layers.
        next_layer: (state, available) -> state at the next layer in which an available candidate gains, if any.
        properties: what holds for this objective.
    """

    init: Callable[[], State]
    gains: Callable[[State], Float[Array, " candidates"] | Int[Array, " candidates"]]
    gain: Callable[[State, Int[Array, ""]], Number]
    update: Callable[[State, Int[Array, ""]], State]
    value: Callable[[State], Number]
    layer: Callable[[State], Int[Array, ""]] | None
    next_layer: Callable[[State, Bool[Array, " candidates"]], State] | None
    properties: Properties


def first_best(gains: Array, tie: float, eligible: Bool[Array, " candidates"]) -> tuple[Int[Array, ""], Array]:
    """The first eligible candidate whose gain is within the tie tolerance of the best eligible one, and that limit."""
    best = jnp.where(eligible, gains, never(gains)).max()
    limit = best if tie == 0 else best - tie * jnp.abs(best)
    return (eligible & (gains >= limit)).argmax(), limit


def never(gains: Float[Array, " candidates"] | Int[Array, " candidates"]) -> Array:
    """The smallest number of the gains' type: what a candidate that cannot be picked gains."""
    if jnp.issubdtype(gains.dtype, jnp.integer):
        return jnp.array(jnp.iinfo(gains.dtype).min, gains.dtype)
    return jnp.array(-jnp.inf, gains.dtype)
