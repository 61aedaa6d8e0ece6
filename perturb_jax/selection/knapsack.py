"""Greedy under a budget of costs: experiments that cost more, or fail more often, than others."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.selection.objective import Objective, State, first_best

NO_PICK = -1
"""Fills `KnapsackRun.picks` once nothing is affordable."""


_SLACK = 1e-6  # share of the budget that may be overspent: sums of costs are rounded


class KnapsackRun(NamedTuple):
    """What greedy did with its money.

    Attributes:
        picks: candidate numbers in order, then `NO_PICK`.
        gains: what each pick gained; 0 after the last.
        values: the objective after each pick; constant after the last.
        per_cost: whether gain per cost decided, or gain alone.
        evaluations: how many gains were computed, in both runs.
    """

    picks: Int[Array, " most"]
    gains: Float[Array, " most"]
    values: Float[Array, " most"]
    per_cost: Bool[Array, ""]
    evaluations: Int[Array, ""]


@partial(jax.jit, static_argnames="most")
def knapsack(
    objective: Objective,
    costs: Float[Array, " candidates"],
    budget: Float[Array, ""],
    available: Bool[Array, " candidates"],
    most: int,
) -> KnapsackRun:
    """Spend a budget: the better of picking by gain per cost and by gain, each among what is still affordable.

    Either alone can be arbitrarily bad; the better of the two has at least (1 - 1/e) / 2 of the best possible value
    for a monotone submodular objective (Leskovec et al. 2007, theorem 3).

    Args:
        objective: what to maximise.
        costs: of each candidate, above 0.
        budget: the sum that the picks may cost.
        available: which candidates may be picked.
        most: an upper bound of the number of picks.

    Complexity: O(most x cost of all gains), twice.
    """
    runs = [_spend(objective, costs, budget, available, most, per_cost) for per_cost in (True, False)]
    by_cost, by_gain = runs
    better = by_cost.values[-1] >= by_gain.values[-1]
    chosen = jax.tree.map(lambda one, other: jnp.where(better, one, other), by_cost, by_gain)
    return chosen._replace(evaluations=by_cost.evaluations + by_gain.evaluations)


def _spend(
    objective: Objective, costs: Array, budget: Array, available: Array, most: int, per_cost: bool
) -> KnapsackRun:
    def step(
        carry: tuple[State, Array, Array, Array], _: None
    ) -> tuple[tuple[State, Array, Array, Array], tuple[Array, ...]]:
        state, left, money, owed = carry
        affordable = left & (costs <= money - owed + _SLACK * budget)
        gains = objective.gains(state)
        pick = first_best(gains / costs if per_cost else gains, objective.properties.tie, affordable)[0]
        any_left = affordable.any()
        state = jax.lax.cond(any_left, objective.update, lambda state, _: state, state, pick)
        due = owed + jnp.where(any_left, costs[pick], 0)  # Kahan's sum: many small costs in float32
        rest = money - due
        owed, money = due - (money - rest), rest
        left = left.at[pick].set(left[pick] & ~any_left)
        report = (
            jnp.where(any_left, pick, NO_PICK),
            jnp.where(any_left, gains[pick], 0),
            objective.value(state),
            affordable.sum(dtype=jnp.int32),
        )
        return (state, left, money, owed), report

    start = (objective.init(), available, budget, jnp.zeros_like(budget))
    _, (picks, gains, values, evaluations) = jax.lax.scan(step, start, None, length=most)
    return KnapsackRun(picks, gains, values, jnp.array(per_cost), evaluations.sum(dtype=jnp.int32))
