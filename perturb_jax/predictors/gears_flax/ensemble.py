"""Training models together to their end: stretches of steps with progress, checkpoints and a history."""

import hashlib
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from perturb_jax.predictors.gears_flax.batches import Conditions, Member
from perturb_jax.predictors.gears_flax.checkpoint import fingerprint, read_checkpoint, write_checkpoint
from perturb_jax.predictors.gears_flax.early_stopping import Fit, Held, advance, begin
from perturb_jax.predictors.gears_flax.model import Gears
from perturb_jax.predictors.gears_flax.training import Graphs, Plan, Weights
from perturb_jax.support.progress import progress_bar

CHECKPOINT_SECONDS = 10
"""Between checkpoints; a training that is interrupted loses at most these, and the stretch of steps it was in."""


class Pace(NamedTuple):
    """How a training is watched.

    Attributes:
        evaluate_every: steps between evaluations.
        patience: steps without a better validation error after which a model is stopped.
        checkpoint: a file to continue from and to keep up to date; None: none.
        progress: whether to show a progress bar on standard error.
    """

    evaluate_every: int
    patience: int
    checkpoint: Path | None
    progress: bool


class Problem(NamedTuple):
    """What is trained, and from what; members, what validates them and keys have a leading axis of models."""

    model: Gears
    plan: Plan
    graphs: Graphs
    conditions: Conditions
    members: Member
    held: Held
    keys: Array

    def fingerprint(self, pace: Pace) -> str:
        """Of everything that the result depends on."""
        plain = repr((self.model, self.plan, pace.evaluate_every, pace.patience))
        return fingerprint(hashlib.sha256(plain.encode()).hexdigest(), tuple(self[2:]))


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


class _Progress(NamedTuple):
    """What a checkpoint holds."""

    fits: Fit
    measured: np.ndarray
    seconds: np.ndarray


def train_models(problem: Problem, pace: Pace) -> list[Trained]:
    """Train until every model is stopped or all steps are done.

    Raises:
        InputError: a checkpoint that cannot be read or written, or of another training.
        FloatingPointError: training diverged.
    """
    plan, models = problem.plan, len(problem.keys)
    evaluations = -(-plan.steps // pace.evaluate_every)
    fits = begin(problem.model, plan, problem.graphs, problem.conditions, problem.keys)
    state = _Progress(fits, np.full((evaluations, 2, models), np.nan, np.float32), np.zeros(evaluations, np.float32))
    of = "" if pace.checkpoint is None else problem.fingerprint(pace)
    found: Any = None if pace.checkpoint is None else read_checkpoint(pace.checkpoint, of, state)
    if found is not None:
        state = _Progress(found.fits, np.array(found.measured), np.array(found.seconds))
    done = -(-int(state.fits.state.step[0]) // pace.evaluate_every)
    written = time.perf_counter()
    start = written - (state.seconds[done - 1] if done else 0)
    with progress_bar(pace.progress) as bar:
        bar.begin("GEARS Flax", plan.steps, done * pace.evaluate_every)
        while done < evaluations and not bool(state.fits.stopped.all()):
            steps = min(pace.evaluate_every, plan.steps - done * pace.evaluate_every)
            fits, measured = advance(
                problem.model, plan, problem.graphs, problem.conditions, problem.members, problem.held, state.fits,
                steps=steps, patience=pace.patience,
            )  # fmt: skip
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
            if pace.checkpoint is not None and time.perf_counter() - written > CHECKPOINT_SECONDS:
                write_checkpoint(pace.checkpoint, of, state)
                written = time.perf_counter()
    if pace.checkpoint is not None:
        write_checkpoint(pace.checkpoint, of, state)
    step = np.minimum(np.arange(1, done + 1) * pace.evaluate_every, plan.steps)
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
