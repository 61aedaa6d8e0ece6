"""Training the Flax GEARS on moments: pure functions of one member of an ensemble, to be vmapped over members."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from perturb_jax.graph.operator import Edges
from perturb_jax.predictors.gears_flax.batches import Conditions, Member, draw_batch
from perturb_jax.predictors.gears_flax.model import Gears, Perturbed, Prediction, Rows, within_unit_norm
from perturb_jax.predictors.gears_flax.moments_loss import moments_loss

CLIP = 1.0
"""Largest absolute value of an entry of the gradient, as cell-gears."""

Weights = dict[str, Any]
"""Flax collections "params" and "batch_stats"."""


class Plan(NamedTuple):
    """How to train.

    Attributes:
        steps: of the whole schedule: the rate falls as a cosine from `learning_rate` to 0.
        learning_rate: of Adam.
        weight_decay: L2, a part of the gradient.
        batch_size: perturbations of a batch, and cells of the reference's batch that it stands for.
        uncertainty_weight: of the part of the loss that log-variances scale.
    """

    steps: int
    learning_rate: float
    weight_decay: float
    batch_size: int
    uncertainty_weight: float


class Graphs(NamedTuple):
    """Operators of both graphs."""

    knowledge: Edges
    coexpression: Edges


class TrainState(NamedTuple):
    """What goes from step to step.

    Attributes:
        weights: of the model.
        optimizer: optax's state.
        step: steps done.
        key: of the batches, by `fold_in` with the step.
    """

    weights: Weights
    optimizer: Any
    step: Int[Array, ""]
    key: Array


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


def train_step(
    model: Gears, plan: Plan, graphs: Graphs, conditions: Conditions, member: Member, state: TrainState
) -> tuple[TrainState, Float[Array, ""]]:
    """One batch, and its loss before the step."""
    key = jax.random.fold_in(state.key, state.step)
    size = min(plan.batch_size, len(member.shares) - 1)
    batch = draw_batch(conditions, member, key, size, plan.batch_size)

    def loss(params: Weights) -> tuple[Array, Weights]:
        variables = {"params": params, "batch_stats": state.weights["batch_stats"]}
        prediction, moved = model.apply(
            variables, batch.conditions.perturbed, batch.rows, *graphs, True, mutable=["batch_stats"]
        )
        losses = moments_loss(
            prediction.effect, batch.conditions.moments, prediction.log_variance, plan.uncertainty_weight
        )
        return batch.loss_weights @ losses, moved["batch_stats"]

    params = state.weights["params"]
    (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    updates, optimizer = optimizer_of(plan).update(gradient, state.optimizer, params)
    weights = {"params": within_unit_norm(optax.apply_updates(params, updates)), "batch_stats": stats}
    return TrainState(weights, optimizer, state.step + 1, state.key), value


def train_steps(
    model: Gears, plan: Plan, graphs: Graphs, conditions: Conditions, member: Member, state: TrainState, steps: int
) -> tuple[TrainState, Float[Array, ""]]:
    """Several batches, and their mean loss."""

    def body(state: TrainState, _: None) -> tuple[TrainState, Array]:
        return train_step(model, plan, graphs, conditions, member, state)

    state, losses = jax.lax.scan(body, state, None, steps)
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
