"""The largest singular value of a matrix that need not be formed, jitted and batched; and as an objective.

The norm of any matrix (`spectral_norm`), of an operator within a set of nodes (`norm_within`), and of what a selection
reaches (`Spectral`, which MaxSpec minimises on an accelerator).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.sparse import BCOO
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.graph.operator import Edges
from perturb_jax.selection.greedy import Objective, Properties
from perturb_jax.support.errors import InputError

Product = Callable[[Float[Array, " columns"]], Float[Array, " rows"]]

TIE = 1e-4
"""Norms that differ by at most this fraction are equal; they are computed to a tenth of it or better."""

_TOLERANCE = 5e-6
_POWER_ITERATIONS = 30
_LANCZOS_STEPS = 20
_EVALUATED_AT_ONCE = 64


class SpectralInfo(NamedTuple):
    """How a spectral norm was computed.

    Attributes:
        iterations: products with the matrix and its transpose.
        residual: |A^T u - sigma v| / sigma: a singular value lies within this relative distance of the norm returned.
        converged: the residual is within the tolerance.
        vector: the right singular vector, for a warm start.
    """

    iterations: Int[Array, ""]
    residual: Float[Array, ""]
    converged: Bool[Array, ""]
    vector: Float[Array, " columns"]


def spectral_norm(
    matrix: Float[Array, "rows columns"] | BCOO | tuple[Product, Product],
    shape: tuple[int, int] | None = None,
    mask: Bool[Array, " columns"] | None = None,
    *,
    start: Float[Array, " columns"] | None = None,
    tolerance: float = _TOLERANCE,
    max_iterations: int = 630,
    return_info: bool = False,
) -> Float[Array, ""] | tuple[Float[Array, ""], SpectralInfo]:
    """sigma(A) = max over |x| = 1 of |A x|.

    Power iteration on A^T A from a random (or given) start; where the gap to the next singular value is small and it
    has not converged after 30 products, restarted Golub-Kahan-Lanczos bidiagonalisation (20 steps, full
    reorthogonalisation; Golub and Van Loan, section 10.4) takes over. The value is the length of A x for a unit x: but
    for rounding, never too large. Not converged is reported in the info, never hidden. Works under `jit`, `vmap` and on
    any device. A start without any part in the top singular vector would miss it; a random one has such a part.

    Args:
        matrix: a dense array, a BCOO, or a pair of functions x -> A x and y -> A^T y.
        shape: (rows, columns), needed for a pair of functions.
        mask: for a square matrix, the rows and columns to keep; `vmap` over it for many subsets of one matrix.
        start: where to begin, need not be normalised; None: seeded random numbers.
        tolerance: largest relative residual that counts as converged.
        max_iterations: cap of the products with the matrix and its transpose (Lanczos in steps of 20).
        return_info: also return a `SpectralInfo`.

    Raises:
        InputError: functions without shape, a shape that does not fit, a mask for a matrix that is not square.

    Complexity: two products per iteration, and 20 x columns numbers of memory.

    Examples:
        >>> import jax.numpy as jnp
        >>> round(float(spectral_norm(jnp.array([[3.0, 0.0], [4.0, 0.0]]))), 4)
        5.0
    """
    matvec, rmatvec, (rows, columns) = _as_products(matrix, shape)
    if start is None:
        start = jax.random.normal(jax.random.key(0), (columns,))
    if mask is not None:
        if rows != columns:
            raise InputError(f"mask: expected a square matrix, got shape {(rows, columns)}")
        matvec, rmatvec, start = _masked(matvec, mask), _masked(rmatvec, mask), jnp.where(mask, start, 0.0)

    def unfinished(limit: int) -> Callable[[_State], Bool[Array, ""]]:
        return lambda state: (state.residual > tolerance) & (state.iterations < limit)

    state = _State(_unit(start)[0], jnp.float32(0), jnp.float32(jnp.inf), jnp.int32(0))
    for limit, step in ((min(_POWER_ITERATIONS, max_iterations), _power_step), (max_iterations, _lanczos_run)):
        state = jax.lax.while_loop(unfinished(limit), partial(step, matvec, rmatvec), state)
    if not return_info:
        return state.norm
    return state.norm, SpectralInfo(state.iterations, state.residual, state.residual <= tolerance, state.vector)


class _State(NamedTuple):
    vector: Float[Array, " columns"]
    norm: Float[Array, ""]
    residual: Float[Array, ""]
    iterations: Int[Array, ""]


_Basis = tuple[Array, Array, Array, Array]  # right vectors so far, the next, the last left vector, beta


def _power_step(matvec: Product, rmatvec: Product, state: _State) -> _State:
    image = matvec(state.vector)
    left, norm = _unit(image)
    back = rmatvec(left)
    distance = jnp.linalg.norm(back - norm * state.vector)
    residual = jnp.where(norm > 0, distance / jnp.where(norm > 0, norm, 1), 0)
    vector = jnp.where(norm > 0, _unit(back)[0], state.vector)
    return _State(vector, norm, residual, state.iterations + 1)


def _lanczos_run(matvec: Product, rmatvec: Product, state: _State) -> _State:
    def step(carry: _Basis, i: Array) -> tuple[_Basis, tuple[Array, Array]]:
        basis, vector, left, beta = carry
        basis = basis.at[i].set(vector)
        left, alpha = _unit(matvec(vector) - beta * left, noise)
        rest = rmatvec(left) - alpha * vector
        for _ in range(2):  # once is not enough in float32
            rest = rest - basis.T @ (basis @ rest)
        vector, beta = _unit(rest, noise)
        return (basis, vector, left, beta), (alpha, beta)

    noise = 10 * jnp.finfo(state.vector.dtype).eps * state.norm  # a length below it is rounding: the space is exhausted
    rows = jax.eval_shape(matvec, state.vector).shape[0]
    start = (jnp.zeros((_LANCZOS_STEPS, len(state.vector))), state.vector, jnp.zeros(rows), jnp.float32(0))
    (basis, _, _, _), (alphas, betas) = jax.lax.scan(step, start, jnp.arange(_LANCZOS_STEPS))
    lefts, values, rights = jnp.linalg.svd(jnp.diag(alphas) + jnp.diag(betas[:-1], 1))
    norm = values[0]
    vector, _ = _unit(rights[0] @ basis)
    residual = jnp.where(norm > 0, jnp.abs(betas[-1] * lefts[-1, 0]) / jnp.where(norm > 0, norm, 1), 0)
    return _State(vector, norm, residual, state.iterations + _LANCZOS_STEPS)


def _unit(vector: Array, noise: Array | float = 0.0) -> tuple[Array, Array]:
    """A vector divided by its length, and the length; both zero where the length is at most `noise`."""
    length = jnp.linalg.norm(vector)
    real = length > noise
    return jnp.where(real, vector / jnp.where(real, length, 1), 0), jnp.where(real, length, 0)


def _masked(product: Product, mask: Bool[Array, " columns"]) -> Product:
    return lambda vector: jnp.where(mask, product(jnp.where(mask, vector, 0.0)), 0.0)


def _as_products(
    matrix: Float[Array, "rows columns"] | BCOO | tuple[Product, Product], shape: tuple[int, int] | None
) -> tuple[Product, Product, tuple[int, int]]:
    if isinstance(matrix, tuple):
        if shape is None:
            raise InputError("shape: expected (rows, columns) with a pair of functions, got none")
        return (*matrix, shape)
    if matrix.ndim != 2 or (shape is not None and tuple(shape) != tuple(matrix.shape)):
        raise InputError(f"matrix: expected two dimensions{f' of shape {shape}' if shape else ''}, got {matrix.shape}")
    rows, columns = matrix.shape
    if 0 in (rows, columns):
        return (lambda _: jnp.zeros(rows), lambda _: jnp.zeros(columns), (rows, columns))
    return (lambda x: matrix @ x), (lambda y: matrix.T @ y), (rows, columns)


class SpectralState(NamedTuple):
    """The nodes reached, the norm of the operator on them, and its right singular vector."""

    mask: Bool[Array, " nodes"]
    norm: Float[Array, ""]
    vector: Float[Array, " nodes"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Spectral(Objective):
    """-sigma(A restricted to what is reached), or sigma: an absolute score, not a difference.

    The norm of a submatrix never exceeds the norm of the matrix, so sigma never falls when nodes are added: an old
    -sigma(S + v) is an upper bound of the new one and lazy minimisation is exact. Not so when the operator is
    renormalised on every subset, nor when sigma is maximised.

    Attributes:
        covers: which nodes each candidate reaches.
        edges: the operator; raw weights with self-loops where `renormalize`.
        before: nodes reached before the first pick.
        renormalize: scale by the in-degrees within the nodes reached.
        sense: "min" or "max".

    Complexity: one gain O(iterations x edges); all gains in chunks of 64 candidates, 64 x 20 x nodes numbers.
    """

    covers: Bool[Array, "candidates nodes"]
    edges: Edges
    before: Bool[Array, " nodes"]
    renormalize: bool = field(default=False, metadata={"static": True})
    sense: Literal["min", "max"] = field(default="min", metadata={"static": True})

    @property
    def properties(self) -> Properties:  # type: ignore[override]
        """Lazy where the norm that is minimised never falls."""
        exact = self.sense == "min" and not self.renormalize
        return Properties(monotone=exact, submodular=False, lazy=exact, tie=TIE)

    def init(self) -> SpectralState:
        """The norm of what is reached before."""
        return SpectralState(self.before, *self._norm(self.before, jnp.zeros(len(self.before))))

    def gains(self, state: SpectralState) -> Float[Array, " candidates"]:
        """The score with each candidate added."""
        return jax.lax.map(lambda row: self._score(state, row), self.covers, batch_size=_EVALUATED_AT_ONCE)

    def gain(self, state: SpectralState, candidate: Int[Array, ""]) -> Float[Array, ""]:
        """The same for one."""
        return self._score(state, self.covers[candidate])

    def update(self, state: SpectralState, pick: Int[Array, ""]) -> SpectralState:
        """What the pick reaches too, with the new norm."""
        mask = state.mask | self.covers[pick]
        return SpectralState(mask, *self._norm(mask, state.vector))

    def value(self, state: SpectralState) -> Float[Array, ""]:
        """The norm."""
        return state.norm

    def _score(self, state: SpectralState, row: Bool[Array, " nodes"]) -> Float[Array, ""]:
        norm = self._norm(state.mask | row, state.vector)[0]
        return -norm if self.sense == "min" else norm

    def _norm(self, mask: Bool[Array, " nodes"], start: Float[Array, " nodes"]) -> tuple[Array, Array]:
        edges = self.edges
        if self.renormalize:
            senders, receivers = edges.senders, edges.receivers
            inside = jnp.where(mask[senders] & mask[receivers], edges.weights, 0.0)
            degrees = jax.ops.segment_sum(inside, receivers, len(mask))
            scale = jnp.where(degrees > 0, jax.lax.rsqrt(jnp.where(degrees > 0, degrees, 1.0)), 0.0)
            edges = edges._replace(weights=inside * scale[receivers] * scale[senders])
        return norm_within(edges, mask, start)


def norm_within(edges: Edges, mask: Bool[Array, " nodes"], start: Float[Array, " nodes"]) -> tuple[Array, Array]:
    """The norm of an operator's rows and columns within a mask, and its right singular vector; `start` may be zero."""
    nodes = len(mask)
    # The old top vector, and as much of everything: what is new may have become the top.
    spread = jnp.abs(jax.random.normal(jax.random.key(0), (nodes,))) * mask
    begin = start + spread / jnp.maximum(jnp.linalg.norm(spread), 1e-30)
    products = edges.__matmul__, edges.T.__matmul__
    norm, info = spectral_norm(products, (nodes, nodes), mask, start=begin, return_info=True)
    return norm, info.vector
