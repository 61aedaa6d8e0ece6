"""Training with the best weights kept: the error of the validation perturbations' differentially expressed genes."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.predictors.gears_flax.batches import Conditions, Member
from perturb_jax.predictors.gears_flax.model import Gears, Perturbed
from perturb_jax.predictors.gears_flax.training import (
    Graphs,
    Plan,
    TrainState,
    Weights,
    predict,
    start,
    train_steps,
)

CHUNK = 32
"""Perturbations that are predicted at once."""


class Held(NamedTuple):
    """The validation perturbations of one member.

    Attributes:
        rows: of the conditions.
        de_genes: columns of their differentially expressed genes.
        changes: of these genes.
        weights: sum 1, 0 for padding; all 0 where nothing validates.
    """

    rows: Int[Array, " held"]
    de_genes: Int[Array, "held de"]
    changes: Float[Array, "held de"]
    weights: Float[Array, " held"]


class Fit(NamedTuple):
    """A member while it is trained.

    Attributes:
        state: of training.
        best: the weights with the least validation error so far; the last ones where nothing validates.
        best_error: that error.
        best_step: when.
        stopped: no longer looked at, since there was no better one for too long.
    """

    state: TrainState
    best: Weights
    best_error: Float[Array, ""]
    best_step: Int[Array, ""]
    stopped: Bool[Array, ""]


class Measured(NamedTuple):
    """What was seen of a member in a stretch of steps.

    Attributes:
        loss: mean over the steps.
        validation_mse_de: after them; NaN where nothing validates.
    """

    loss: Float[Array, ""]
    validation_mse_de: Float[Array, ""]


def validation_error(model: Gears, weights: Weights, graphs: Graphs, perturbed: Perturbed, held: Held) -> Array:
    """Mean squared error over differentially expressed genes, then over perturbations; as cell-gears, on means."""

    def error(part: Held) -> Array:
        asked = jax.tree.map(lambda of: of[part.rows], perturbed)
        effect = predict(model, weights, graphs, asked).effect
        squares = jnp.square(jnp.take_along_axis(effect, part.de_genes, axis=1) - part.changes)
        return part.weights @ squares.mean(1)

    size = min(CHUNK, len(held.rows))
    parts = jax.tree.map(lambda of: of.reshape(-1, size, *of.shape[1:]), held)
    return jnp.where(held.weights.sum() > 0, jax.lax.map(error, parts).sum(), jnp.nan)


def padded_size(count: int) -> int:
    """How many rows `Held` needs for so many perturbations: at least 1, and whole chunks where there are several."""
    return max(count, 1) if count <= CHUNK else -(-count // CHUNK) * CHUNK


@partial(jax.jit, static_argnames=("model", "plan"))
def begin(model: Gears, plan: Plan, graphs: Graphs, conditions: Conditions, keys: Array) -> Fit:
    """Members before their first step, one for each key."""

    def one(key: Array) -> Fit:
        state = start(model, plan, conditions, graphs, key)
        nothing = jnp.zeros((), jnp.int32)
        return Fit(state, state.weights, jnp.array(jnp.inf, jnp.float32), nothing, jnp.array(False))

    return for_each_model(one, keys)


@partial(jax.jit, static_argnames=("model", "plan", "steps", "patience"), donate_argnames="fits")
def advance(
    model: Gears,
    plan: Plan,
    graphs: Graphs,
    conditions: Conditions,
    members: Member,
    held: Held,
    fits: Fit,
    *,
    steps: int,
    patience: int,
) -> tuple[Fit, Measured]:
    """Some steps of every member, then its validation.

    Args:
        model: what is trained.
        plan: how.
        graphs: the operators.
        conditions: what all members learn from and validate on.
        members: leading axis.
        held: leading axis.
        fits: leading axis; not to be used again.
        steps: how many.
        patience: steps without a better validation error after which a member is stopped.
    """

    def one(member: Member, held: Held, fit: Fit) -> tuple[Fit, Measured]:
        state, loss = train_steps(model, plan, graphs, conditions, member, fit.state, steps)
        error = validation_error(model, state.weights, graphs, conditions.perturbed, held)
        better = ~fit.stopped & ~(error >= fit.best_error)  # also where the error is NaN: nothing validates
        best = jax.tree.map(lambda old, new: jnp.where(better, new, old), fit.best, state.weights)
        best_error = jnp.where(better, error, fit.best_error)
        best_step = jnp.where(better, state.step, fit.best_step)
        stopped = fit.stopped | (state.step - best_step >= patience)
        return Fit(state, best, best_error, best_step, stopped), Measured(loss, error)

    return for_each_model(one, members, held, fits)


def for_each_model(function: Callable[..., Any], *models: Any) -> Any:
    """The function for every entry of the leading axis: vmapped, or as it is where there is one entry."""
    if len(jax.tree.leaves(models)[0]) > 1:
        return jax.vmap(function)(*models)
    return jax.tree.map(lambda leaf: leaf[None], function(*jax.tree.map(lambda leaf: leaf[0], models)))
