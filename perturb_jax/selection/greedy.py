"""Greedy maximisation of any objective, under a number of picks or a budget of costs."""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.selection.objective import Objective, State, first_best, never
from perturb_jax.support.errors import InputError


class GreedyRun(NamedTuple):
    """What greedy did.

    Attributes:
        picks: candidate numbers, in order.
        gains: what each pick gained.
        values: the objective after each pick.
        layers: the cover layer of each pick; all 1 where the objective has no layers.
        evaluations: how many gains were computed.
    """

    picks: Int[Array, " budget"]
    gains: Float[Array, " budget"] | Int[Array, " budget"]
    values: Float[Array, " budget"] | Int[Array, " budget"]
    layers: Int[Array, " budget"]
    evaluations: Int[Array, ""]


def greedy(
    objective: Objective,
    budget: int,
    available: Bool[Array, " candidates"],
    method: Literal["naive", "lazy"] = "naive",
    batch: int = 1,
) -> GreedyRun:
    """Pick `budget` candidates, each time the one with the largest gain; ties go to the lowest number.

    For a monotone submodular objective the value is at least (1 - 1/e) of the best possible (Nemhauser, Wolsey and
    Fisher 1978). "naive" evaluates all candidates at every pick. "lazy" (Minoux 1978) keeps stale gains as upper
    bounds and evaluates only what comes to the top, `batch` candidates at once; it makes the same picks.

    Args:
        objective: what to maximise.
        budget: picks to make, at most the number of available candidates.
        available: which candidates may be picked.
        method: "naive" or "lazy".
        batch: how many stale candidates lazy greedy evaluates at once: 1 saves work, more fill an accelerator.

    Raises:
        InputError: lazy greedy on an objective whose stale gains are not upper bounds.

    Complexity: naive O(budget x cost of all gains); lazy between that and O(cost of all gains + budget x one gain).
    """
    if method == "lazy":
        if not objective.properties.lazy:
            raise InputError("lazy greedy needs stale gains that are upper bounds; use method='naive'")
        return _lazy(objective, budget, min(batch, len(available)), available)
    return _naive(objective, budget, available)


def tie_order(
    num_candidates: int, rarities: Int[np.ndarray, " candidates"] | None, seed: int | None
) -> Int[np.ndarray, " candidates"]:
    """Candidates by precedence among equal gains: seeded random, or rarest first, or as given."""
    if seed is not None:
        return np.random.default_rng(seed).permutation(num_candidates)
    if rarities is None:
        return np.arange(num_candidates)
    return np.argsort(-rarities, kind="stable")


@partial(jax.jit, static_argnames="budget")
def _naive(objective: Objective, budget: int, available: Bool[Array, " candidates"]) -> GreedyRun:
    def all_gains(state: State, left: Array) -> Array:
        gains = objective.gains(state)
        return jnp.where(left, gains, never(gains))

    def step(carry: tuple[State, Array, Array], _: None) -> tuple[tuple[State, Array, Array], tuple[Array, ...]]:
        state, left, evaluations = carry
        gains = all_gains(state, left)
        if objective.next_layer is not None:
            exhausted = gains.max() <= 0
            state = jax.lax.cond(exhausted, objective.next_layer, lambda state, _: state, state, left)
            gains = jax.lax.cond(exhausted, lambda: all_gains(state, left), lambda: gains)
            evaluations += exhausted * left.sum(dtype=jnp.int32)
        pick = first_best(gains, objective.properties.tie, left)[0]
        layer = _layer(objective, state)
        evaluations += left.sum(dtype=jnp.int32)
        state = objective.update(state, pick)
        return (state, left.at[pick].set(False), evaluations), (pick, gains[pick], objective.value(state), layer)

    start = (objective.init(), available, jnp.int32(0))
    (_, _, evaluations), (picks, gains, values, layers) = jax.lax.scan(step, start, None, length=budget)
    return GreedyRun(picks, gains, values, layers, evaluations)


@partial(jax.jit, static_argnames=("budget", "batch"))
def _lazy(objective: Objective, budget: int, batch: int, available: Bool[Array, " candidates"]) -> GreedyRun:
    tie, numbers = objective.properties.tie, jnp.arange(len(available))

    def evaluate_all(state: State, left: Array) -> Array:
        gains = objective.gains(state)
        return jnp.where(left, gains, never(gains))

    def contenders(search: "_Search") -> Bool[Array, " candidates"]:
        """The stale candidates that may beat the best fresh one, or tie with it and precede it."""
        pick, limit = first_best(search.bounds, tie, search.fresh)
        best = jnp.where(search.fresh, search.bounds, never(search.bounds)).max()
        precedes = (search.bounds >= limit) & (numbers < pick)
        return search.left & ~search.fresh & ((search.bounds > best) | precedes | ~search.fresh.any())

    def evaluate_top(search: "_Search") -> "_Search":
        bounds = jnp.where(contenders(search), search.bounds, never(search.bounds))
        top = bounds.argmax()[None] if batch == 1 else jax.lax.top_k(bounds, batch)[1]
        stale = search.left[top] & ~search.fresh[top]
        if batch == 1:
            gains = objective.gain(search.state, top[0])[None]
        else:
            gains = jax.vmap(objective.gain, (None, 0))(search.state, top)
        return search._replace(
            bounds=search.bounds.at[top].set(jnp.where(stale, gains, search.bounds[top])),
            fresh=search.fresh.at[top].set(search.fresh[top] | stale),
            evaluations=search.evaluations + stale.sum(dtype=jnp.int32),
        )

    def open_layer(search: "_Search") -> "_Search":
        """Begin the next cover layer where every bound is 0; all bounds are fresh afterwards."""
        assert objective.next_layer is not None
        state = objective.next_layer(search.state, search.left)
        return search._replace(
            state=state,
            bounds=evaluate_all(state, search.left),
            fresh=search.left,
            evaluations=search.evaluations + search.left.sum(dtype=jnp.int32),
        )

    def step(search: "_Search", _: None) -> tuple["_Search", tuple[Array, ...]]:
        search = jax.lax.while_loop(lambda s: contenders(s).any(), evaluate_top, search)
        if objective.next_layer is not None:
            search = jax.lax.cond(search.bounds.max() <= 0, open_layer, lambda s: s, search)
        pick = first_best(search.bounds, tie, search.fresh)[0]
        gain, layer = search.bounds[pick], _layer(objective, search.state)
        state = objective.update(search.state, pick)
        search = search._replace(
            state=state,
            bounds=search.bounds.at[pick].set(never(search.bounds)),
            fresh=jnp.zeros_like(search.fresh),
            left=search.left.at[pick].set(False),
        )
        return search, (pick, gain, objective.value(state), layer)

    state = objective.init()
    start = _Search(state, evaluate_all(state, available), available, available, available.sum(dtype=jnp.int32))
    search, (picks, gains, values, layers) = jax.lax.scan(step, start, None, length=budget)
    return GreedyRun(picks, gains, values, layers, search.evaluations)


class _Search(NamedTuple):
    state: State
    bounds: Array
    fresh: Bool[Array, " candidates"]
    left: Bool[Array, " candidates"]
    evaluations: Int[Array, ""]


def _layer(objective: Objective, state: State) -> Int[Array, ""]:
    return jnp.int32(1) if objective.layer is None else objective.layer(state)


@partial(jax.jit, static_argnames=("budget", "every"))
def upper_bounds(
    objective: Objective, picks: Int[Array, " picks"], budget: int, every: int = 1
) -> Float[Array, " budget"] | Int[Array, " budget"]:
    """For each budget b, an upper bound of the best value that any b candidates have.

    For a monotone submodular f, any set S and the best b candidates O: f(O) <= f(S + O) <= f(S) + the sum of the b
    largest gains at S. The bound is the least of these over all states S_i of a run (Leskovec et al. 2007, section
    3.2, "online bound", taken over the whole run), or over every so many of them: looser, and cheaper.

    Complexity: O(picks / every x (cost of all gains + candidates log candidates)).
    """

    def at(state: State) -> Array:
        gains = jnp.maximum(objective.gains(state), 0)
        largest = jax.lax.top_k(gains, min(budget, len(gains)))[0]
        largest = jnp.pad(largest, (0, budget - len(largest)))
        return objective.value(state) + jnp.cumsum(largest, dtype=gains.dtype)

    def step(carry: tuple[State, Array], numbered: tuple[Array, Array]) -> tuple[tuple[State, Array], None]:
        state, bounds = carry
        number, pick = numbered
        state = objective.update(state, pick)
        if every == 1:
            return (state, jnp.minimum(bounds, at(state))), None
        due = number % every == every - 1
        return (state, jax.lax.cond(due, lambda: jnp.minimum(bounds, at(state)), lambda: bounds)), None

    state = objective.init()
    (_, bounds), _ = jax.lax.scan(step, (state, at(state)), (jnp.arange(len(picks)), picks))
    return bounds


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
