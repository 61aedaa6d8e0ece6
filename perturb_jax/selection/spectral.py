"""The largest singular value of a matrix that need not be formed, jitted and batched; and as an objective.

The norm of any matrix (`spectral_norm`), of an operator within a set of nodes (`norm_within`), and of what a selection
reaches (`spectral`, which MaxSpec minimises on an accelerator).
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.sparse import BCOO
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.selection.objective import Objective, Properties
from perturb_jax.support.errors import InputError

Product = Callable[[Float[Array, " columns"]], Float[Array, " rows"]]

TOLERANCE = 5e-6
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


class _State(NamedTuple):
    vector: Float[Array, " columns"]
    norm: Float[Array, ""]
    residual: Float[Array, ""]
    iterations: Int[Array, ""]


_Basis = tuple[Array, Array, Array, Array]  # right vectors so far, the next, the last left vector, beta


def spectral_norm(
    matrix: Float[Array, "rows columns"] | BCOO | tuple[Product, Product],
    shape: tuple[int, int] | None = None,
    mask: Bool[Array, " columns"] | None = None,
    *,
    start: Float[Array, " columns"] | None = None,
    tolerance: float = TOLERANCE,
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
    if mask is not None:
        if rows != columns:
            raise InputError(f"mask: expected a square matrix, got shape {(rows, columns)}")
        matvec, rmatvec = _masked(matvec, mask), _masked(rmatvec, mask)
    if start is None:
        start = jax.random.normal(jax.random.key(0), (columns,))
    if mask is not None:
        start = jnp.where(mask, start, 0.0)
    state = _norm(matvec, rmatvec, start, tolerance, max_iterations)
    if not return_info:
        return state.norm
    converged = state.residual <= tolerance
    return state.norm, SpectralInfo(state.iterations, state.residual, converged, state.vector)


def _norm(matvec: Product, rmatvec: Product, start: Float[Array, " columns"], tolerance: float, cap: int) -> _State:
    def unfinished(limit: int) -> Callable[[_State], Bool[Array, ""]]:
        return lambda state: (state.residual > tolerance) & (state.iterations < limit)

    begin = _State(_unit(start)[0], jnp.float32(0), jnp.float32(jnp.inf), jnp.int32(0))
    power = jax.lax.while_loop(unfinished(min(_POWER_ITERATIONS, cap)), partial(_power_step, matvec, rmatvec), begin)
    return jax.lax.while_loop(unfinished(cap), partial(_lanczos_run, matvec, rmatvec), power)


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
    columns = len(state.vector)
    rows = jax.eval_shape(matvec, state.vector).shape[0]
    start = (jnp.zeros((_LANCZOS_STEPS, columns)), state.vector, jnp.zeros(rows), jnp.float32(0))
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


def spectral(
    covers: Bool[Array, "candidates nodes"],
    senders: Int[Array, " edges"],
    receivers: Int[Array, " edges"],
    weights: Float[Array, " edges"],
    before: Bool[Array, " nodes"],
    tie: float,
    renormalize: bool = False,
    sense: Literal["min", "max"] = "min",
) -> Objective:
    """-sigma(A restricted to what is reached), or sigma: an absolute score, not a difference.

    The norm of a submatrix never exceeds the norm of the matrix, so sigma never falls when nodes are added: an old
    -sigma(S + v) is an upper bound of the new one and lazy minimisation is exact. Not so when the operator is
    renormalised on every subset, nor when sigma is maximised.

    Args:
        covers: which nodes each candidate reaches.
        senders: columns of the operator's entries.
        receivers: rows of the operator's entries.
        weights: the entries; raw weights with self-loops where `renormalize`.
        before: nodes reached before the first pick.
        tie: relative difference of norms that counts as none.
        renormalize: scale by the in-degrees within the nodes reached.
        sense: "min" or "max".

    Complexity: one gain O(iterations x edges); all gains in chunks of 64 candidates, 64 x 20 x nodes numbers.
    """
    edges = (senders, receivers, weights)
    sign = jnp.float32(-1 if sense == "min" else 1)
    norm = Partial(_renormalized_norm if renormalize else norm_within, *edges)
    exact = sense == "min" and not renormalize
    return Objective(
        init=Partial(_init, norm, before),
        gains=Partial(_gains, norm, sign, covers),
        gain=Partial(_gain, norm, sign, covers),
        update=Partial(_update, norm, covers),
        value=Partial(_value),
        layer=None,
        next_layer=None,
        properties=Properties(monotone=exact, submodular=False, lazy=exact, tie=tie),
    )


def norm_within(
    senders: Array, receivers: Array, weights: Array, mask: Bool[Array, " nodes"], start: Float[Array, " nodes"]
) -> tuple[Array, Array]:
    """The norm of an operator's rows and columns within a mask, and its right singular vector; `start` may be zero."""
    nodes = len(mask)

    def matvec(x: Array) -> Array:
        return jax.ops.segment_sum(weights * x[senders], receivers, nodes)

    def rmatvec(y: Array) -> Array:
        return jax.ops.segment_sum(weights * y[receivers], senders, nodes)

    # The old top vector, and as much of everything: what is new may have become the top.
    spread = jnp.abs(jax.random.normal(jax.random.key(0), (nodes,))) * mask
    begin = start + spread / jnp.maximum(jnp.linalg.norm(spread), 1e-30)
    norm, info = spectral_norm((matvec, rmatvec), (nodes, nodes), mask, start=begin, return_info=True)
    return norm, info.vector


def _renormalized_norm(
    senders: Array, receivers: Array, weights: Array, mask: Bool[Array, " nodes"], start: Float[Array, " nodes"]
) -> tuple[Array, Array]:
    inside = jnp.where(mask[senders] & mask[receivers], weights, 0.0)
    degrees = jax.ops.segment_sum(inside, receivers, len(mask))
    scale = jnp.where(degrees > 0, jax.lax.rsqrt(jnp.where(degrees > 0, degrees, 1.0)), 0.0)
    return norm_within(senders, receivers, inside * scale[receivers] * scale[senders], mask, start)


def _init(norm: Partial, before: Array) -> SpectralState:
    return SpectralState(before, *norm(before, jnp.zeros(len(before))))


def _gain(norm: Partial, sign: Array, covers: Array, state: SpectralState, candidate: Int[Array, ""]) -> Array:
    return sign * norm(state.mask | covers[candidate], state.vector)[0]


def _gains(norm: Partial, sign: Array, covers: Array, state: SpectralState) -> Float[Array, " candidates"]:
    def one(row: Bool[Array, " nodes"]) -> Float[Array, ""]:
        return sign * norm(state.mask | row, state.vector)[0]

    return jax.lax.map(one, covers, batch_size=_EVALUATED_AT_ONCE)


def _update(norm: Partial, covers: Array, state: SpectralState, pick: Int[Array, ""]) -> SpectralState:
    mask = state.mask | covers[pick]
    return SpectralState(mask, *norm(mask, state.vector))


def _value(state: SpectralState) -> Float[Array, ""]:
    return state.norm
