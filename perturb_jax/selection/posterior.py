"""What is learned from some perturbations: the Gaussian posterior, as objectives for greedy.

C is the posterior covariance given the picks S, C = K - K_S (K_SS + noise I)^-1 K_S^T. Neither K nor C is held, only
what candidates need: with l = C_v / sqrt(C_vv + noise) the scaled column of the pick v,

    C  becomes  C - l l^T,        so after some picks  C = K - L L^T,  L with a column l per pick;

and, for B_uv = sum over targets t of w_t C_ut C_tv, what u and v teach about the targets in common, with
s = B_vv / (C_vv + noise) and n = B_v / sqrt(C_vv + noise) - s l / 2,

    B  becomes  B - l n^T - n l^T,  so  B = B0 - L N^T - N L^T,  and its diagonal falls by 2 l n.

Targets appear in B0 only: once its diagonal is known, a pick costs no more for the whole genome than for few targets.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.kernel.kernel import Rows
from perturb_jax.selection.design import DesignProblem
from perturb_jax.selection.objective import Objective, Properties

_LARGEST_BLOCK = 4096  # candidates up to which K and B0 are held as dense blocks


@jax.tree_util.register_static
@dataclass(frozen=True)
class Capacity:
    """The most picks that a state holds: part of its shape."""

    picks: int


class Posterior(NamedTuple):
    """The covariance of the candidates after some picks.

    Attributes:
        factor: L, transposed: a row per pick, zero where not filled.
        variance: the diagonal of C.
        taken: what is picked.
        filled: rows of `factor` that are.
    """

    factor: Float[Array, "capacity candidates"]
    variance: Float[Array, " candidates"]
    taken: Bool[Array, " candidates"]
    filled: Int[Array, ""]


class InformationState(NamedTuple):
    """A posterior, and log det(I + K_SS / noise)."""

    posterior: Posterior
    value: Float[Array, ""]


class VarianceState(NamedTuple):
    """A posterior, and what candidates teach about the targets.

    Attributes:
        posterior: the covariance of the candidates.
        mixed: N, transposed.
        taught: the diagonal of B.
        value: the share of the targets' prior variance that is explained.
    """

    posterior: Posterior
    mixed: Float[Array, "capacity candidates"]
    taught: Float[Array, " candidates"]
    value: Float[Array, ""]


def information(
    columns: Partial,
    variance: Float[Array, " candidates"],
    noise: Float[Array, ""],
    before: Int[Array, " before"],
    capacity: int,
    tie: float,
) -> Objective:
    """Twice the information that measurements hold about effects, log det(I + K_SS / noise): D-optimal design.

    A pick adds log(1 + C_vv / noise). Monotone, and submodular since C_vv only falls (Krause et al. 2008).

    Args:
        columns: candidate -> its columns of K and of B0 (not used), [candidates] each.
        variance: the diagonal of K.
        noise: variance of a measurement, in the units of K.
        before: candidates that count as measured before the first pick.
        capacity: the most picks that will be made, `before` included.
        tie: relative difference of gains that counts as none.

    Complexity: one gain O(1); a pick O(candidates x capacity) and a column.
    """
    update = Partial(_inform, columns, noise)
    return Objective(
        init=Partial(_information_init, update, variance, before, Capacity(capacity)),
        gains=Partial(_information_gains, noise),
        gain=Partial(_information_gain, noise),
        update=update,
        value=Partial(_value),
        layer=None,
        next_layer=None,
        properties=Properties(monotone=True, submodular=True, lazy=True, tie=tie),
    )


def variance_reduction(
    columns: Partial,
    variance: Float[Array, " candidates"],
    taught: Float[Array, " candidates"],
    total: Float[Array, ""],
    noise: Float[Array, ""],
    before: Int[Array, " before"],
    capacity: int,
    tie: float,
) -> Objective:
    """The share of the targets' prior variance that measuring S explains: V-optimal design.

    f(S) = sum over targets t of w_t (K_tt - C_tt) / sum of w_t K_tt; a pick adds B_vv / (C_vv + noise) over that sum.
    Monotone, since C_tt only falls. Not submodular: two measurements together can explain what neither does alone.

    Args:
        columns: candidate -> its columns of K and of B0, [candidates] each.
        variance: the diagonal of K.
        taught: the diagonal of B0, sum over targets of w_t K_vt^2.
        total: the sum of w_t K_tt.
        noise: variance of a measurement, in the units of K.
        before: candidates that count as measured before the first pick.
        capacity: the most picks that will be made, `before` included.
        tie: relative difference of gains that counts as none.

    Complexity: one gain O(1); a pick O(candidates x capacity) and two columns.
    """
    update = Partial(_learn, columns, noise, total)
    return Objective(
        init=Partial(_variance_init, update, variance, taught, before, Capacity(capacity)),
        gains=Partial(_variance_gains, noise, total),
        gain=Partial(_variance_gain, noise, total),
        update=update,
        value=Partial(_value),
        layer=None,
        next_layer=None,
        properties=Properties(monotone=True, submodular=False, lazy=False, tie=tie),
    )


def information_of(
    problem: DesignProblem, candidates: Perturbations, before: Int[Array, " before"], capacity: int, tie: float
) -> Objective:
    """`information` of a design problem's candidates."""
    rows = problem.kernel.rows(candidates.members)
    if len(rows) <= _LARGEST_BLOCK:
        columns = block_columns(jnp.asarray(problem.kernel.gram(rows), float), None)
    else:
        columns = Partial(_column_alone, problem.kernel.times(rows, rows), jnp.zeros(len(rows)))
    variance, noise = jnp.asarray(rows.variance, float), jnp.asarray(problem.noise, float)
    return information(columns, variance, noise, before, capacity, tie)


def variance_reduction_of(
    problem: DesignProblem, candidates: Perturbations, before: Int[Array, " before"], capacity: int, tie: float
) -> Objective:
    """`variance_reduction` of a design problem's targets by its candidates."""
    kernel, rows = problem.kernel, problem.kernel.rows(candidates.members)
    if len(rows) <= _LARGEST_BLOCK:
        block = kernel.target_gram(rows, problem.rows, problem.weights)
        taught, gram = block.diagonal(), kernel.gram(rows)
        columns = block_columns(jnp.asarray(gram, float), jnp.asarray(block, float))
    else:
        taught = kernel.target_gram_diagonal(rows, problem.rows, problem.weights)
        columns = kernel_columns(problem, rows)
    return variance_reduction(
        columns,
        jnp.asarray(rows.variance, float),
        jnp.asarray(taught, float),
        jnp.asarray(problem.prior, float),
        jnp.asarray(problem.noise, float),
        before,
        capacity,
        tie,
    )


def block_columns(gram: Float[Array, "rows rows"], taught: Float[Array, "rows rows"] | None) -> Partial:
    """Columns from the dense blocks K and B0 (None: not needed)."""
    return Partial(_block_columns, gram, taught)


def kernel_columns(problem: DesignProblem, rows: Rows) -> Partial:
    """Columns by two products with the kernel, K_(R+T),R e_v and K_RT W K_TR e_v: nothing is held of K."""
    of_both = problem.kernel.times(rows.joined(problem.rows), rows)
    back = problem.kernel.times(rows, problem.rows)
    return Partial(_kernel_columns, of_both, back, jnp.asarray(problem.weights, float), jnp.zeros(len(rows)))


def _block_columns(gram: Array, taught: Array | None, pick: Int[Array, ""]) -> tuple[Array, Array | None]:
    return gram[pick], None if taught is None else taught[pick]


def _column_alone(times: Partial, nothing: Array, pick: Int[Array, ""]) -> tuple[Array, None]:
    return times(nothing.at[pick].set(1)), None


def _kernel_columns(
    of_both: Partial, back: Partial, weights: Array, nothing: Array, pick: Int[Array, ""]
) -> tuple[Array, Array]:
    both = of_both(nothing.at[pick].set(1))
    column, of_targets = both[: len(nothing)], both[len(nothing) :]
    return column, back(weights * of_targets)


def _prior(variance: Array, capacity: Capacity) -> Posterior:
    factor = jnp.zeros((capacity.picks, len(variance)), variance.dtype)
    return Posterior(factor, variance, jnp.zeros(len(variance), bool), jnp.int32(0))


def _measured(state: Posterior, pick: Array, column: Array) -> Posterior:
    """C - l l^T; what rounding leaves below 0 is 0."""
    return Posterior(
        state.factor.at[state.filled].set(column),
        jnp.maximum(state.variance - column * column, 0),
        state.taken.at[pick].set(True),
        state.filled + 1,
    )


def _information_init(
    update: Partial, variance: Array, before: Int[Array, " before"], capacity: Capacity
) -> InformationState:
    state = InformationState(_prior(variance, capacity), jnp.zeros((), variance.dtype))
    return jax.lax.scan(lambda state, pick: (update(state, pick), None), state, before)[0]


def _information_gains(noise: Array, state: InformationState) -> Float[Array, " candidates"]:
    return jnp.where(state.posterior.taken, 0, jnp.log1p(state.posterior.variance / noise))


def _information_gain(noise: Array, state: InformationState, candidate: Int[Array, ""]) -> Float[Array, ""]:
    return _information_gains(noise, state)[candidate]


def _inform(columns: Partial, noise: Array, state: InformationState, pick: Int[Array, ""]) -> InformationState:
    posterior, gain = state.posterior, _information_gain(noise, state, pick)
    (known,) = _products(posterior.filled, (posterior.factor[:, pick][None], posterior.factor))
    covariance = columns(pick)[0] - known[0]
    scaled = covariance * jax.lax.rsqrt(posterior.variance[pick] + noise)
    return InformationState(_measured(posterior, pick, scaled), state.value + gain)


def _variance_init(
    update: Partial, variance: Array, taught: Array, before: Int[Array, " before"], capacity: Capacity
) -> VarianceState:
    prior = _prior(variance, capacity)
    state = VarianceState(prior, jnp.zeros_like(prior.factor), taught, jnp.zeros((), variance.dtype))
    return jax.lax.scan(lambda state, pick: (update(state, pick), None), state, before)[0]


def _variance_gains(noise: Array, total: Array, state: VarianceState) -> Float[Array, " candidates"]:
    posterior = state.posterior
    return jnp.where(posterior.taken, 0, state.taught / (posterior.variance + noise) / total)


def _variance_gain(noise: Array, total: Array, state: VarianceState, candidate: Int[Array, ""]) -> Float[Array, ""]:
    return _variance_gains(noise, total, state)[candidate]


def _learn(columns: Partial, noise: Array, total: Array, state: VarianceState, pick: Int[Array, ""]) -> VarianceState:
    posterior, mixed = state.posterior, state.mixed
    covariance, together = columns(pick)
    of_pick, mixed_of_pick = posterior.factor[:, pick], mixed[:, pick]
    known, shared = _products(
        posterior.filled, (jnp.stack([of_pick, mixed_of_pick]), posterior.factor), (of_pick[None], mixed)
    )
    covariance = covariance - known[0]
    together = together - known[1] - shared[0]
    measured = posterior.variance[pick] + noise
    scaled, explained = covariance * jax.lax.rsqrt(measured), state.taught[pick] / measured
    mix = together * jax.lax.rsqrt(measured) - explained * scaled / 2
    return VarianceState(
        posterior=_measured(posterior, pick, scaled),
        mixed=mixed.at[posterior.filled].set(mix),
        taught=jnp.maximum(state.taught - 2 * scaled * mix, 0),
        value=state.value + explained / total,
    )


def _products(
    filled: Int[Array, ""], *terms: tuple[Float[Array, "_ capacity"], Float[Array, "capacity candidates"]]
) -> tuple[Float[Array, "_ candidates"], ...]:
    """``weights @ factor`` of each term. On a CPU in one loop over the filled rows: a quarter of the products' time."""

    def row_by_row() -> tuple[Array, ...]:
        def add(row: Array, sums: tuple[Array, ...]) -> tuple[Array, ...]:
            return tuple(
                total + weights[:, row, None] * factor[row][None, :]
                for total, (weights, factor) in zip(sums, terms, strict=True)
            )

        start = tuple(jnp.zeros((len(weights), factor.shape[1]), factor.dtype) for weights, factor in terms)
        return jax.lax.fori_loop(0, filled, add, start)

    def at_once() -> tuple[Array, ...]:
        return tuple(weights @ factor for weights, factor in terms)

    return jax.lax.platform_dependent(cpu=row_by_row, default=at_once)


def _value(state: InformationState | VarianceState) -> Float[Array, ""]:
    return state.value
