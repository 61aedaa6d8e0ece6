"""What GraphDesign can maximise: what measuring some perturbations tells, or how well they represent the others.

Information and explained variance keep the Gaussian posterior. C is the covariance given the picks S,
C = K - K_S (K_SS + noise I)^-1 K_S^T. Neither K nor C is held, only what candidates need: with l = C_v / sqrt(C_vv +
noise) the scaled column of the pick v,

    C  becomes  C - l l^T,        so after some picks  C = K - L L^T,  L with a column l per pick;

and, for B_uv = sum over targets t of w_t C_ut C_tv, what u and v tell of the targets in common, with
s = B_vv / (C_vv + noise) and n = B_v / sqrt(C_vv + noise) - s l / 2,

    B  becomes  B - l n^T - n l^T,  so  B = B0 - L N^T - N L^T,  and its diagonal falls by 2 l n.

Targets appear in B0 only: once its diagonal is known, a pick costs no more for the whole genome than for few targets.
"""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.kernel.kernel import FeatureMap, Rows
from perturb_jax.selection.design import DesignProblem
from perturb_jax.selection.greedy import Objective, Properties

_LARGEST_BLOCK = 4096  # candidates up to which K and B0 are held as dense blocks
_EVALUATED_AT_ONCE = 64


class DesignObjective(Objective):
    """An objective of GraphDesign.

    Attributes:
        label: what `Selection.values` are.
        submodular: as `Properties`, and so lazy; all are monotone.
        sparse: one gain costs much less than all of them, so that lazy greedy pays.
    """

    label: ClassVar[str]
    submodular: ClassVar[bool] = True
    sparse: ClassVar[bool] = False

    @property
    def properties(self) -> Properties:  # type: ignore[override]
        """What holds for it; the tie tolerance in JAX' present precision."""
        tie = 1e-9 if jnp.zeros(()).dtype == jnp.float64 else 1e-5
        return Properties(monotone=True, submodular=self.submodular, lazy=self.submodular, tie=tie)

    @classmethod
    @abstractmethod
    def of(
        cls, problem: DesignProblem, candidates: Perturbations, before: Int[Array, " before"], capacity: int
    ) -> "DesignObjective":
        """The objective of a problem; `before`: candidates that count as picked; `capacity`: the most picks in all."""


class Posterior(NamedTuple):
    """What is known after some picks.

    Attributes:
        factor: L, transposed: a row per pick, zero where not filled.
        variance: the diagonal of C.
        taken: what is picked.
        filled: rows of `factor` that are.
        value: the objective.
        mixed: N, transposed; no rows where no targets count.
        informs: the diagonal of B, what each candidate tells of the targets; 0 where none count.
    """

    factor: Float[Array, "capacity candidates"]
    variance: Float[Array, " candidates"]
    taken: Bool[Array, " candidates"]
    filled: Int[Array, ""]
    value: Float[Array, ""]
    mixed: Float[Array, "mixed candidates"]
    informs: Float[Array, " candidates"]

    def measured(self, pick: Array, column: Array, gain: Array) -> "Posterior":
        """C - l l^T; what rounding leaves below 0 is 0."""
        return self._replace(
            factor=self.factor.at[self.filled].set(column),
            variance=jnp.maximum(self.variance - column * column, 0),
            taken=self.taken.at[pick].set(True),
            filled=self.filled + 1,
            value=self.value + gain,
        )


@dataclass(frozen=True, eq=False)
class _Gaussian(DesignObjective):
    """What objectives that keep a posterior have in common.

    Attributes:
        columns: candidate -> its columns of K and of B0, [candidates] each.
        variance: the diagonal of K.
        noise: variance of a measurement, in the units of K.
        before: candidates that count as measured before the first pick.
        capacity: the most picks that will be made, `before` included.
    """

    columns: Partial
    variance: Float[Array, " candidates"]
    noise: Float[Array, ""]
    before: Int[Array, " before"]
    capacity: int = field(metadata={"static": True})

    def value(self, state: Posterior) -> Float[Array, ""]:
        """The sum of the gains."""
        return state.value

    def _prior(self, mixed: int, informs: Float[Array, " candidates"]) -> Posterior:
        like, candidates = self.variance.dtype, len(self.variance)
        return Posterior(
            factor=jnp.zeros((self.capacity, candidates), like),
            variance=self.variance,
            taken=jnp.zeros(candidates, bool),
            filled=jnp.int32(0),
            value=jnp.zeros((), like),
            mixed=jnp.zeros((mixed, candidates), like),
            informs=informs,
        )


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Information(_Gaussian):
    """Twice the information that measurements hold about effects, log det(I + K_SS / noise), in nats: D-optimal design.

    A pick adds log(1 + C_vv / noise). Monotone, and submodular since C_vv only falls (Krause et al. 2008).

    Complexity: one gain O(1); a pick O(candidates x capacity) and a column of K.
    """

    label = "information"

    @classmethod
    def of(
        cls, problem: DesignProblem, candidates: Perturbations, before: Int[Array, " before"], capacity: int
    ) -> "Information":
        """Over the kernel among the candidates, dense where it is small."""
        rows = problem.kernel.rows(candidates.members)
        if len(rows) <= _LARGEST_BLOCK:
            columns = Partial(block_columns, jnp.asarray(problem.kernel.gram(rows), float), None)
        else:
            columns = Partial(_column_alone, problem.kernel.times(rows, rows), jnp.zeros(len(rows)))
        variance, noise = _numbers(rows.variance, problem.noise)
        return cls(columns, variance, noise, before, capacity)

    def init(self) -> Posterior:
        """The prior, and what was measured before."""
        return self.with_all(self._prior(0, jnp.zeros_like(self.variance)), self.before)

    def gains(self, state: Posterior) -> Float[Array, " candidates"]:
        """log(1 + C_vv / noise)."""
        return jnp.where(state.taken, 0, jnp.log1p(state.variance / self.noise))

    def update(self, state: Posterior, pick: Int[Array, ""]) -> Posterior:
        """The posterior given the pick too."""
        (known,) = _products(state.filled, (state.factor[:, pick][None], state.factor))
        covariance = self.columns(pick)[0] - known[0]
        scaled = covariance * jax.lax.rsqrt(state.variance[pick] + self.noise)
        return state.measured(pick, scaled, self.gain(state, pick))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class ExplainedVariance(_Gaussian):
    """The fraction of the targets' prior variance that measuring S explains: V-optimal design.

    f(S) = sum over targets t of w_t (K_tt - C_tt) / sum of w_t K_tt; a pick adds B_vv / (C_vv + noise) over that sum.
    Monotone, since C_tt only falls. Not submodular: two measurements together can explain what neither does alone.

    Attributes:
        informs: the diagonal of B0, sum over targets of w_t K_vt^2.
        total: the sum of w_t K_tt.

    Complexity: one gain O(1); a pick O(candidates x capacity) and two columns.
    """

    informs: Float[Array, " candidates"]
    total: Float[Array, ""]

    label = "explained variance"
    submodular = False

    @classmethod
    def of(
        cls, problem: DesignProblem, candidates: Perturbations, before: Int[Array, " before"], capacity: int
    ) -> "ExplainedVariance":
        """Over the kernel between candidates and targets, of which little is held where it is large."""
        kernel, rows = problem.kernel, problem.kernel.rows(candidates.members)
        if len(rows) <= _LARGEST_BLOCK:
            together = kernel.target_gram(rows, problem.rows, problem.weights)
            diagonal, columns = together.diagonal(), Partial(block_columns, *_numbers(kernel.gram(rows), together))
        else:
            diagonal = kernel.target_gram_diagonal(rows, problem.rows, problem.weights)
            columns = _kernel_columns(problem, rows)
        variance, noise, informs, total = _numbers(rows.variance, problem.noise, diagonal, problem.prior)
        return cls(columns, variance, noise, before, capacity, informs, total)

    def init(self) -> Posterior:
        """The prior, and what was measured before."""
        return self.with_all(self._prior(self.capacity, self.informs), self.before)

    def gains(self, state: Posterior) -> Float[Array, " candidates"]:
        """B_vv / (C_vv + noise) over the whole."""
        return jnp.where(state.taken, 0, state.informs / (state.variance + self.noise) / self.total)

    def update(self, state: Posterior, pick: Int[Array, ""]) -> Posterior:
        """The posterior given the pick too, and what the others still tell."""
        covariance, together = self.columns(pick)
        of_pick, mixed_of_pick = state.factor[:, pick], state.mixed[:, pick]
        known, common = _products(
            state.filled, (jnp.stack([of_pick, mixed_of_pick]), state.factor), (of_pick[None], state.mixed)
        )
        covariance = covariance - known[0]
        together = together - known[1] - common[0]
        measured = state.variance[pick] + self.noise
        scaled, explained = covariance * jax.lax.rsqrt(measured), state.informs[pick] / measured
        mix = together * jax.lax.rsqrt(measured) - explained * scaled / 2
        return state.measured(pick, scaled, explained / self.total)._replace(
            mixed=state.mixed.at[state.filled].set(mix), informs=jnp.maximum(state.informs - 2 * scaled * mix, 0)
        )


class Similarities(NamedTuple):
    """A sparse matrix [candidates, targets], row by row.

    Attributes:
        targets: the columns of each row's entries; beyond the last target where a row has fewer than others.
        values: the entries, >= 0.
    """

    targets: Int[Array, "candidates width"]
    values: Float[Array, "candidates width"]


class Representation(NamedTuple):
    """What is picked, and per target or embedding how well the picks represent it, from 0.

    Attributes:
        taken: what is picked.
        represented: facility location: the largest similarity to a pick; soft coverage: the degree of coverage.
    """

    taken: Bool[Array, " candidates"]
    represented: Float[Array, " represented"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class FacilityLocation(DesignObjective):
    """f(S) = sum over targets t of w_t max over v in S of K_vt, w_t of sum 1: how near each target's nearest pick is.

    Monotone and submodular for K >= 0 (Nemhauser, Wolsey and Fisher 1978).

    Attributes:
        similar: K between candidates and targets; what is not listed is 0.
        weights: what each target is worth, of sum 1.
        before: candidates that count as picked before the first pick.

    Complexity: one gain and a pick O(width), the most targets that one candidate is similar to.
    """

    similar: Similarities
    weights: Float[Array, " targets"]
    before: Int[Array, " before"]

    label = "facility location"
    sparse = True

    @classmethod
    def of(
        cls,
        problem: DesignProblem,
        candidates: Perturbations,
        before: Int[Array, " before"],
        capacity: int,  # noqa: ARG003
    ) -> "FacilityLocation":
        """Over what is not 0 of the kernel between candidates and targets."""
        (weights,) = _numbers(problem.weights)
        similar = _similarities(problem, problem.kernel.rows(candidates.members))
        return cls(similar, weights / weights.sum(), before)

    def init(self) -> Representation:
        """What was picked before."""
        state = Representation(jnp.zeros(len(self.similar.values), bool), jnp.zeros_like(self.weights))
        return self.with_all(state, self.before)

    def gains(self, state: Representation) -> Float[Array, " candidates"]:
        """How much nearer each candidate would bring the targets."""
        return jax.lax.map(lambda v: self.gain(state, v), jnp.arange(len(state.taken)), batch_size=_EVALUATED_AT_ONCE)

    def gain(self, state: Representation, candidate: Int[Array, ""]) -> Float[Array, ""]:
        """The same for one."""
        targets, values = self.similar.targets[candidate], self.similar.values[candidate]
        nearer = jnp.maximum(values - state.represented.at[targets].get(mode="fill", fill_value=0), 0)
        return jnp.where(state.taken[candidate], 0, self.weights.at[targets].get(mode="fill", fill_value=0) @ nearer)

    def update(self, state: Representation, pick: Int[Array, ""]) -> Representation:
        """Targets that are more similar to the pick are represented by it."""
        represented = state.represented.at[self.similar.targets[pick]].max(self.similar.values[pick], mode="drop")
        return Representation(state.taken.at[pick].set(True), represented)

    def value(self, state: Representation) -> Float[Array, ""]:
        """The mean similarity."""
        return self.weights @ state.represented


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class SoftCoverage(DesignObjective):
    """f(S) = sum over embeddings u of 1 - product over v in S of (1 - p_vu), p_v row v of P^k scaled to maximum 1.

    The expected number of nodes covered, if v covered u with probability p_vu: weighted coverage, which is monotone and
    submodular, averaged. It saturates later than coverage does.

    Attributes:
        features: p, the rows of the candidates.
        nothing: 0 for each candidate.
        before: candidates that count as picked before the first pick.

    Complexity: gains and a pick O(k x edges).
    """

    features: FeatureMap
    nothing: Float[Array, " candidates"]
    before: Int[Array, " before"]

    label = "soft coverage"

    @classmethod
    def of(
        cls,
        problem: DesignProblem,
        candidates: Perturbations,
        before: Int[Array, " before"],
        capacity: int,  # noqa: ARG003
    ) -> "SoftCoverage":
        """Over the features of the candidates."""
        return cls(problem.kernel.feature_map(candidates.members), jnp.zeros(len(candidates)), before)

    def init(self) -> Representation:
        """What was picked before."""
        embeddings = jax.eval_shape(self.features.read_by, self.nothing)
        state = Representation(self.nothing.astype(bool), jnp.zeros(embeddings.shape, embeddings.dtype))
        return self.with_all(state, self.before)

    def gains(self, state: Representation) -> Float[Array, " candidates"]:
        """What each candidate would cover of what is not."""
        return jnp.where(state.taken, 0, self.features.reads(1 - state.represented))

    def update(self, state: Representation, pick: Int[Array, ""]) -> Representation:
        """What the pick covers is missed with a smaller probability."""
        row = self.features.read_by(self.nothing.at[pick].set(1))
        missed = (1 - state.represented) * (1 - jnp.minimum(row, 1))
        return Representation(state.taken.at[pick].set(True), 1 - missed)

    def value(self, state: Representation) -> Float[Array, ""]:
        """The expected number of nodes."""
        return state.represented.sum()


def _numbers(*parts: np.ndarray | float) -> tuple[Array, ...]:
    return tuple(jnp.asarray(part, float) for part in parts)


def block_columns(gram: Array, together: Array | None, pick: Int[Array, ""]) -> tuple[Array, Array | None]:
    """Columns from the dense blocks K and B0 (None: not needed)."""
    return gram[pick], None if together is None else together[pick]


def _column_alone(times: Partial, nothing: Array, pick: Int[Array, ""]) -> tuple[Array, None]:
    return times(nothing.at[pick].set(1)), None


def _kernel_columns(problem: DesignProblem, rows: Rows) -> Partial:
    """Columns by two products with the kernel, K_(R+T),R e_v and K_RT W K_TR e_v: nothing is held of K."""
    of_both = problem.kernel.times(rows.joined(problem.rows), rows)
    back = problem.kernel.times(rows, problem.rows)
    return Partial(_two_products, of_both, back, jnp.asarray(problem.weights, float), jnp.zeros(len(rows)))


def _two_products(
    of_both: Partial, back: Partial, weights: Array, nothing: Array, pick: Int[Array, ""]
) -> tuple[Array, Array]:
    both = of_both(nothing.at[pick].set(1))
    column, of_targets = both[: len(nothing)], both[len(nothing) :]
    return column, back(weights * of_targets)


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


def _similarities(problem: DesignProblem, rows: Rows) -> Similarities:
    """The kernel between candidates and targets, padded to the longest row."""
    blocks = [sp.csr_array(block) for _, block in problem.kernel.between(rows, problem.rows)]
    lengths = np.concatenate([np.diff(block.indptr) for block in blocks])
    filled = np.arange(lengths.max()) < lengths[:, None]
    targets = np.full(filled.shape, len(problem.targets), np.int32)
    values = np.zeros(filled.shape, jnp.asarray(0.0).dtype)
    targets[filled] = np.concatenate([block.indices for block in blocks])
    values[filled] = np.concatenate([block.data for block in blocks])
    return Similarities(jnp.asarray(targets), jnp.asarray(values))
