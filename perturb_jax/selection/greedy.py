"""What greedy can maximise, and how: under a number of picks, or under a budget of costs."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.support.errors import InputError

State = Any
Gains = Float[Array, " candidates"] | Int[Array, " candidates"]
Number = Float[Array, ""] | Int[Array, ""]


@jax.tree_util.register_static
@dataclass(frozen=True)
class Properties:
    """What an objective states about itself; a test holds it to that.

    Attributes:
        monotone: the value never falls when a candidate is added.
        submodular: a candidate's gain never rises as the set grows (within a cover layer).
        lazy: a stale gain is an upper bound of the fresh one, so that lazy greedy makes the naive greedy's picks.
        tie: gains that differ by at most this fraction of the best are equal; at least 10 times the evaluation error.
        layered: once no candidate gains, a next layer begins.
    """

    monotone: bool
    submodular: bool
    lazy: bool
    tie: float = 0.0
    layered: bool = False


class Objective(ABC):
    """A set function to be maximised greedily, as pure functions of a state.

    One that derives from it is a registered dataclass of arrays, so a pytree: it passes through `jit`, and a second one
    of the same shapes compiles nothing. The objective knows the graph; greedy does not.
    """

    properties: Properties

    @abstractmethod
    def init(self) -> State:
        """The state of the empty selection (what is selected beforehand included)."""

    @abstractmethod
    def gains(self, state: State) -> Gains:
        """What each candidate would add."""

    def gain(self, state: State, candidate: Int[Array, ""]) -> Number:
        """The same for one."""
        return self.gains(state)[candidate]

    @abstractmethod
    def update(self, state: State, pick: Int[Array, ""]) -> State:
        """The state with a candidate added."""

    @abstractmethod
    def value(self, state: State) -> Number:
        """The objective."""

    def layer(self, state: State) -> Int[Array, ""]:  # noqa: ARG002  (for those that have layers)
        """The number of the layer."""
        return jnp.int32(1)

    def next_layer(self, state: State, available: Bool[Array, " candidates"]) -> State:  # noqa: ARG002
        """The state at the next layer in which an available candidate gains, if any."""
        return state

    def with_all(self, state: State, picks: Int[Array, " picks"]) -> State:
        """The state with several candidates added."""
        return jax.lax.scan(lambda state, pick: (self.update(state, pick), None), state, picks)[0]


class GreedyRun(NamedTuple):
    """What greedy did, pick by pick; layers are all 1 where the objective has none, evaluations are gains computed."""

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
    """Pick `budget` of the available candidates, each time that of the largest gain; ties go to the lowest number.

    For a monotone submodular objective the value is at least (1 - 1/e) of the best possible (Nemhauser, Wolsey and
    Fisher 1978). "naive" evaluates all candidates at every pick. "lazy" (Minoux 1978) keeps stale gains as upper
    bounds and evaluates only what comes to the top, `batch` candidates at once (1 saves work, more fill an
    accelerator); it makes the same picks.

    Raises:
        InputError: lazy greedy on an objective whose stale gains are not upper bounds.

    Complexity: naive O(budget x cost of all gains); lazy between that and O(cost of all gains + budget x one gain).
    """
    if method == "lazy" and not objective.properties.lazy:
        raise InputError("lazy greedy needs stale gains that are upper bounds; use method='naive'")
    return _search(objective, budget, available, min(batch, len(available)) if method == "lazy" else 0)


def tie_order(
    num_candidates: int, rarities: Int[Array | np.ndarray, " candidates"] | None, seed: int | None
) -> Int[np.ndarray, " candidates"]:
    """Candidates by precedence among equal gains: seeded random, or rarest first, or as given."""
    if seed is not None:
        return np.random.default_rng(seed).permutation(num_candidates)
    if rarities is None:
        return np.arange(num_candidates)
    return np.argsort(-rarities, kind="stable")


def first_best(gains: Gains, tie: float, eligible: Bool[Array, " candidates"]) -> tuple[Int[Array, ""], Number]:
    """The first eligible candidate whose gain is within the tie tolerance of the best eligible one, and that limit."""
    best = _only(gains, eligible).max()
    limit = best if tie == 0 else best - tie * jnp.abs(best)
    return (eligible & (gains >= limit)).argmax(), limit


def _only(gains: Gains, eligible: Bool[Array, " candidates"]) -> Gains:
    """The gains, the smallest number of their type for candidates that cannot be picked."""
    whole = jnp.issubdtype(gains.dtype, jnp.integer)
    never = jnp.array(jnp.iinfo(gains.dtype).min if whole else -jnp.inf, gains.dtype)
    return jnp.where(eligible, gains, never)


class _Search(NamedTuple):
    state: State
    bounds: Array
    fresh: Bool[Array, " candidates"]
    left: Bool[Array, " candidates"]
    evaluations: Int[Array, ""]


@partial(jax.jit, static_argnames=("budget", "batch"))
def _search(objective: Objective, budget: int, available: Bool[Array, " candidates"], batch: int) -> GreedyRun:
    """Lazy greedy that evaluates `batch` stale candidates at once; naive greedy where that is 0."""
    properties, numbers = objective.properties, jnp.arange(len(available))

    def contenders(search: _Search) -> Bool[Array, " candidates"]:
        """The stale candidates that may beat the best fresh one, or tie with it and precede it."""
        pick, limit = first_best(search.bounds, properties.tie, search.fresh)
        best = _only(search.bounds, search.fresh).max()
        precedes = (search.bounds >= limit) & (numbers < pick)
        return search.left & ~search.fresh & ((search.bounds > best) | precedes | ~search.fresh.any())

    def evaluate_top(search: _Search) -> _Search:
        bounds = _only(search.bounds, contenders(search))
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

    def all_fresh(state: State, left: Array, evaluations: Array) -> _Search:
        bounds = _only(objective.gains(state), left)
        return _Search(state, bounds, left, left, evaluations + left.sum(dtype=jnp.int32))

    def open_layer(search: _Search) -> _Search:
        """Begin the next cover layer where every bound is 0."""
        return all_fresh(objective.next_layer(search.state, search.left), search.left, search.evaluations)

    def step(search: _Search, _: None) -> tuple[_Search, tuple[Array, ...]]:
        if batch == 0:
            search = all_fresh(search.state, search.left, search.evaluations)
        else:
            search = jax.lax.while_loop(lambda s: contenders(s).any(), evaluate_top, search)
        if properties.layered:
            search = jax.lax.cond(search.bounds.max() <= 0, open_layer, lambda s: s, search)
        pick = first_best(search.bounds, properties.tie, search.fresh)[0]
        gain, layer = search.bounds[pick], objective.layer(search.state)
        state, left = objective.update(search.state, pick), search.left.at[pick].set(False)
        search = _Search(state, _only(search.bounds, left), jnp.zeros_like(left), left, search.evaluations)
        return search, (pick, gain, objective.value(state), layer)

    state, none = objective.init(), jnp.int32(0)
    if batch == 0:
        like = jax.eval_shape(objective.gains, state)
        search = _Search(state, jnp.zeros(like.shape, like.dtype), available, available, none)
    else:
        search = all_fresh(state, available, none)
    search, (picks, gains, values, layers) = jax.lax.scan(step, search, None, length=budget)
    return GreedyRun(picks, gains, values, layers, search.evaluations)


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

_SLACK = 1e-6  # fraction of the budget that may be overspent: sums of costs are rounded


class KnapsackRun(NamedTuple):
    """What greedy did with its money, pick by pick; once nothing is affordable, `NO_PICK` without a gain.

    `per_cost` says whether gain per cost decided, or gain alone; evaluations are gains computed, in both runs.
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

    `costs` are above 0, `budget` is the sum that the picks may cost, `most` an upper bound of their number.

    Complexity: O(most x cost of all gains), twice.
    """
    by_cost, by_gain = (_spend(objective, costs, budget, available, most, per_cost) for per_cost in (True, False))
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
