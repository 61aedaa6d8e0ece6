"""Training the Flax GEARS on moments: members of an ensemble together, the best weights of each kept.

What happens to one member is pure functions, vmapped over members; around them stretches of steps with progress,
checkpoints and a history.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.graph.operator import Edges
from perturb_jax.predictors.gears_flax.batches import CHUNK, Batch, Conditions, Held, Member, draw_batch
from perturb_jax.predictors.gears_flax.checkpoint import fingerprint, read_checkpoint, write_checkpoint
from perturb_jax.predictors.gears_flax.model import Gears, Perturbed, Prediction, Rows, Weights, within_unit_norm
from perturb_jax.predictors.gears_flax.moments_loss import moments_loss
from perturb_jax.support.progress import progress_bar

CLIP = 1.0
"""Largest absolute value of an entry of the gradient, as cell-gears."""

CHECKPOINT_SECONDS = 10
"""Between checkpoints; a training that is interrupted loses at most these, and the stretch of steps it was in."""


class Plan(NamedTuple):
    """How to train: the rate falls as a cosine over the steps, to 0; the weight decay is a part of the gradient.

    A batch has `batch_size` perturbations, and stands for as many cells of the reference's batch. A model is evaluated
    every so many steps, and stopped after `patience` steps without a better evaluation.
    """

    steps: int
    learning_rate: float
    weight_decay: float
    batch_size: int
    uncertainty_weight: float
    evaluate_every: int
    patience: int


class Graphs(NamedTuple):
    """Operators of both graphs."""

    knowledge: Edges
    coexpression: Edges


class TrainState(NamedTuple):
    """What goes from step to step; the key is of the batches, by `fold_in` with the step."""

    weights: Weights
    optimizer: Any
    step: Int[Array, ""]
    key: Array


class Fit(NamedTuple):
    """A member while it is trained: `best` are the weights with the least validation error so far.

    They are the last ones where nothing validates. A member that is `stopped` had no better ones for too long.
    """

    state: TrainState
    best: Weights
    best_error: Float[Array, ""]
    best_step: Int[Array, ""]
    stopped: Bool[Array, ""]


class FlaxHistory(NamedTuple):
    """What was measured of a model while training, one value per evaluation.

    Attributes:
        step: steps done.
        loss: mean training loss since the evaluation before.
        validation_mse_de: squared error of the validation perturbations' differentially expressed genes; NaN where
            nothing validates.
        seconds: since training began; the first ones hold compilation.
        best_step: the step whose weights were kept.
    """

    step: Int[np.ndarray, " evaluations"]
    loss: Float[np.ndarray, " evaluations"]
    validation_mse_de: Float[np.ndarray, " evaluations"]
    seconds: Float[np.ndarray, " evaluations"]
    best_step: int


class Trained(NamedTuple):
    """A model after training: the weights that were kept, and its history."""

    weights: Weights
    history: FlaxHistory


class Problem(NamedTuple):
    """What is trained, and from what; members, what validates them and keys have a leading axis of models."""

    model: Gears
    plan: Plan
    graphs: Graphs
    conditions: Conditions
    members: Member
    held: Held
    keys: Array


def optimizer_of(plan: Plan) -> optax.GradientTransformation:
    """Adam as PyTorch's: the gradient clipped by value, then L2 added to it, then moments, then the rate."""
    return optax.chain(
        optax.clip(CLIP),
        optax.add_decayed_weights(plan.weight_decay),
        optax.scale_by_adam(),
        optax.scale_by_learning_rate(optax.cosine_decay_schedule(plan.learning_rate, plan.steps)),
    )


def start(model: Gears, plan: Plan, conditions: Conditions, graphs: Graphs, key: Array) -> TrainState:
    """New weights, distributed as PyTorch draws them."""
    of_weights, of_batches = jax.random.split(key)
    one = jax.tree.map(lambda part: part[:1], conditions.perturbed)
    weights = dict(model.init(of_weights, one, Rows(jnp.ones(1), 1.0), *graphs, True))
    weights["params"] = within_unit_norm(weights["params"])
    return TrainState(weights, optimizer_of(plan).init(weights["params"]), jnp.zeros((), jnp.int32), of_batches)


def train_steps(
    model: Gears, plan: Plan, graphs: Graphs, conditions: Conditions, member: Member, state: TrainState, steps: int
) -> tuple[TrainState, Float[Array, ""]]:
    """Several batches, and the mean of their losses before each step."""
    size = min(plan.batch_size, len(member.cells) - 1)

    def loss(params: Weights, stats: Weights, batch: Batch) -> tuple[Array, Weights]:
        (perturbed, moments), variables = batch.conditions, {"params": params, "batch_stats": stats}
        prediction, moved = model.apply(variables, perturbed, batch.rows, *graphs, True, mutable=["batch_stats"])
        losses = moments_loss(prediction.effect, moments, prediction.log_variance, plan.uncertainty_weight)
        return batch.loss_weights @ losses, moved["batch_stats"]

    def step(state: TrainState, _: None) -> tuple[TrainState, Array]:
        batch = draw_batch(conditions, member, jax.random.fold_in(state.key, state.step), size, plan.batch_size)
        params = state.weights["params"]
        (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(params, state.weights["batch_stats"], batch)
        updates, optimizer = optimizer_of(plan).update(gradient, state.optimizer, params)
        weights = {"params": within_unit_norm(optax.apply_updates(params, updates)), "batch_stats": stats}
        return TrainState(weights, optimizer, state.step + 1, state.key), value

    state, losses = jax.lax.scan(step, state, None, steps)
    return state, losses.mean()


def predict(model: Gears, weights: Weights, graphs: Graphs, perturbed: Perturbed) -> Prediction:
    """In evaluation mode, where a row does not depend on the others.

    Where co-expression reaches row 0 only, all rows are predicted as others than it.
    """
    if model.first_row_only:
        perturbed = jax.tree.map(lambda part: jnp.concatenate([jnp.zeros_like(part[:1]), part]), perturbed)
    count = len(perturbed.genes)
    rows = Rows(jnp.full(count, 1 / count), 1.0)
    prediction: Any = model.apply(weights, perturbed, rows, *graphs, False)
    return jax.tree.map(lambda part: part[1:], prediction) if model.first_row_only else prediction


def validation_error(model: Gears, weights: Weights, graphs: Graphs, perturbed: Perturbed, held: Held) -> Array:
    """Mean squared error over differentially expressed genes, then over perturbations; as cell-gears, on means."""

    def error(part: Held) -> Array:
        rows = jax.tree.map(lambda of: of[part.rows], perturbed)
        effect = predict(model, weights, graphs, rows).effect
        squares = jnp.square(jnp.take_along_axis(effect, part.de_genes, axis=1) - part.changes)
        return part.weights @ squares.mean(1)

    size = min(CHUNK, len(held.rows))
    parts = jax.tree.map(lambda of: of.reshape(-1, size, *of.shape[1:]), held)
    return jnp.where(held.weights.sum() > 0, jax.lax.map(error, parts).sum(), jnp.nan)


@partial(jax.jit, static_argnames=("model", "plan"))
def begin(model: Gears, plan: Plan, graphs: Graphs, conditions: Conditions, keys: Array) -> Fit:
    """Members before their first step, one for each key."""

    def one(key: Array) -> Fit:
        state = start(model, plan, conditions, graphs, key)
        return Fit(state, state.weights, jnp.array(jnp.inf, jnp.float32), state.step, jnp.array(False))

    return for_each_model(one, keys)


@partial(jax.jit, static_argnames=("model", "plan", "steps"), donate_argnames="fits")
def advance(
    model: Gears, plan: Plan, graphs: Graphs, conditions: Conditions, members: Member, held: Held, fits: Fit, steps: int
) -> tuple[Fit, tuple[Array, Array]]:
    """`steps` of every member, and their mean loss; then its validation error, NaN where nothing validates.

    `fits` are not to be used again.
    """

    def one(member: Member, held: Held, fit: Fit) -> tuple[Fit, tuple[Array, Array]]:
        state, loss = train_steps(model, plan, graphs, conditions, member, fit.state, steps)
        error = validation_error(model, state.weights, graphs, conditions.perturbed, held)
        better = ~fit.stopped & ~(error >= fit.best_error)  # also where the error is NaN: nothing validates
        best = jax.tree.map(lambda old, new: jnp.where(better, new, old), fit.best, state.weights)
        best_error = jnp.where(better, error, fit.best_error)
        best_step = jnp.where(better, state.step, fit.best_step)
        stopped = fit.stopped | (state.step - best_step >= plan.patience)
        return Fit(state, best, best_error, best_step, stopped), (loss, error)

    return for_each_model(one, members, held, fits)


def for_each_model(function: Callable[..., Any], *models: Any) -> Any:
    """The function for every entry of the leading axis: vmapped, or as it is where there is one entry."""
    if len(jax.tree.leaves(models)[0]) > 1:
        return jax.vmap(function)(*models)
    return jax.tree.map(lambda leaf: leaf[None], function(*jax.tree.map(lambda leaf: leaf[0], models)))


class _Progress(NamedTuple):
    """What a checkpoint holds."""

    fits: Fit
    measured: np.ndarray
    seconds: np.ndarray


def train_models(problem: Problem, checkpoint: Path | None, progress: bool) -> list[Trained]:
    """Train until every model is stopped or all steps are done."""
    plan, models = problem.plan, len(problem.keys)
    evaluations = -(-plan.steps // plan.evaluate_every)
    fits = begin(*problem[:4], problem.keys)
    state = _Progress(fits, np.full((evaluations, 2, models), np.nan, np.float32), np.zeros(evaluations, np.float32))
    of = "" if checkpoint is None else fingerprint(repr(problem[:2]), problem[2:])
    found: Any = None if checkpoint is None else read_checkpoint(checkpoint, of, state)
    if found is not None:
        state = _Progress(found.fits, np.array(found.measured), np.array(found.seconds))
    done = -(-int(state.fits.state.step[0]) // plan.evaluate_every)
    written = time.perf_counter()
    start = written - (state.seconds[done - 1] if done else 0)
    with progress_bar(progress) as bar:
        bar.begin("GEARS Flax", plan.steps, done * plan.evaluate_every)
        while done < evaluations and not bool(state.fits.stopped.all()):
            steps = min(plan.evaluate_every, plan.steps - done * plan.evaluate_every)
            fits, measured = advance(*problem[:6], state.fits, steps)
            state = state._replace(fits=fits)
            state.measured[done] = np.stack([np.asarray(part) for part in measured])
            state.seconds[done] = time.perf_counter() - start
            if not np.isfinite(state.measured[done, 0]).all():
                raise FloatingPointError(
                    "gears_flax: the loss is NaN or infinite, training diverged at learning rate "
                    f"{plan.learning_rate:g}; lower it"
                )
            done += 1
            bar.advance(steps)
            if checkpoint is not None and time.perf_counter() - written > CHECKPOINT_SECONDS:
                write_checkpoint(checkpoint, of, state)
                written = time.perf_counter()
    if checkpoint is not None:
        write_checkpoint(checkpoint, of, state)
    step = np.minimum(np.arange(1, done + 1) * plan.evaluate_every, plan.steps)
    measured, seconds, best = state.measured[:done], state.seconds[:done], np.asarray(state.fits.best_step)
    return [
        Trained(
            jax.tree.map(lambda leaf: leaf[model], state.fits.best),  # noqa: B023
            FlaxHistory(step, measured[:, 0, model], measured[:, 1, model], seconds, int(best[model])),
        )
        for model in range(models)
    ]


def keys_of(seeds: list[int], models: int) -> Array:
    """Raw keys, `models` for each seed."""
    return jnp.stack(
        [jax.random.key_data(jax.random.fold_in(jax.random.key(seed), n)) for seed in seeds for n in range(models)]
    )
