"""MaxSpec on the host: the norm of an induced submatrix that grows, by compiled products, Lanczos and bounds.

`InducedMatrix` is the whole; the loops are below it. Nodes that are reached have local numbers 0, 1, ... in the order
in which they were reached; the first `size` of them are the selection's, those after it, up to `new_size`, a
candidate's new ones. A `matrix` is a tuple: D A D with A among the selection's nodes as rows (`row_indptr`,
`row_columns`, `row_weights`), both sizes, what the candidate adds to A as a list of `edges` edges (`rows`, `columns`,
`weights`), and the diagonal D (`scale`).
"""

from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Int

from perturb_jax.support.loops import kernel

RESIDUAL = 2e-6
"""Largest residual of an evaluation, relative to the squared norm: the norm is then right to 1e-6."""

_MAX_STEPS = 400
_TINY = 1e-300
_HUGE = 1e100


class InducedMatrix:
    """The operator restricted to the nodes reached so far, its norm, and what a candidate would make of it.

    Args:
        operator: a row per node, what it reads; normalised already unless `renormalize`.
        renormalize: scale by the in-degrees within the reached nodes.
    """

    def __init__(self, operator: sp.csr_array, renormalize: bool):
        nodes, edges, columns = operator.shape[0], operator.nnz, operator.tocsc()
        self._by_row = operator.indptr, operator.indices, operator.data
        self._by_column = columns.indptr, columns.indices, columns.data
        self.renormalize = renormalize
        self._local = np.full(nodes, -1, np.int32)
        self._nodes = np.empty(nodes, np.int32)
        self._size = 0
        self._rows = (np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0))
        self._degrees = np.zeros(nodes)
        self._vector, self._image, self._start = np.zeros((3, nodes))
        self._scale = np.ones(nodes)
        self._vectors = np.zeros((4, nodes))
        self._edges = (np.empty(edges, np.int32), np.empty(edges, np.int32), np.empty(edges))
        self._tridiagonal = tuple(np.empty((3, _MAX_STEPS)))
        self.norm = 0.0

    def with_nodes(self, new: Int[np.ndarray, " new"], reject: float = np.inf) -> tuple[float, bool]:
        """The norm with some nodes added, and whether it is exact; else it is a lower bound above `reject`."""
        size, edges = self._add(new)
        if size == self._size:
            return self.norm, True
        value, converged, _ = self._lanczos(size, edges, reject)
        drop_nodes(self._nodes, self._size, size, self._local)
        return value, converged

    def lower_bound(self, new: Int[np.ndarray, " new"]) -> float:
        """A lower bound of the norm with some nodes added, in time proportional to the edges added."""
        size, edges = self._add(new)
        bound: float = self.norm
        if size > self._size > 0:
            bound = pair_bound(self._size, size, *self._edges, edges, self._vector, self._image, self._vectors)
        drop_nodes(self._nodes, self._size, size, self._local)
        return bound

    def extend(self, new: Int[np.ndarray, " new"]) -> bool:
        """Add nodes for good; returns whether the new norm converged."""
        size, edges = self._add(new)
        if size == self._size:
            return True
        self.norm, converged, steps = self._lanczos(size, edges, np.inf)
        # The rows change, the matrix does not: the second pass repeats the first up to rounding.
        if self.renormalize:
            self._degrees[:size] = 1 / self._scale[:size] ** 2
        self._rows = induced_rows(*self._by_row, self._nodes, size, self._local)
        self._size = size
        matrix = self._matrix(size, 0)
        top_vector(matrix, self._start, steps, self._tridiagonal[2], self._vectors, self._vector)
        product(matrix, self._vector, self._image)
        return converged

    def _add(self, new: Int[np.ndarray, " new"]) -> tuple[int, int]:
        size = add_nodes(new, self._nodes, self._size, self._local)
        edges = new_edges(*self._by_row, *self._by_column, self._nodes, self._size, size, self._local, *self._edges)
        return size, edges

    def _matrix(self, size: int, edges: int) -> tuple[Any, ...]:
        return (*self._rows, self._size, size, *self._edges, edges, self._scale)

    def _lanczos(self, size: int, edges: int, reject: float) -> tuple[float, bool, int]:
        matrix = self._matrix(size, edges)
        if self.renormalize:
            degree_scale(matrix, self._degrees)
        begin_vector(matrix, self._vector, self._start)
        return top_singular_value(matrix, self._start, reject, RESIDUAL, *self._tridiagonal, self._vectors)


@kernel
def add_nodes(new, nodes, size, local):  # type: ignore[no-untyped-def]
    """Number the nodes that have no local number yet; returns the new size."""
    for node in new:
        if local[node] < 0:
            local[node] = size
            nodes[size] = node
            size += 1
    return size


@kernel
def drop_nodes(nodes, size, new_size, local):  # type: ignore[no-untyped-def]
    """Undo `add_nodes`."""
    for i in range(size, new_size):
        local[nodes[i]] = -1


@kernel
def induced_rows(in_indptr, in_senders, in_weights, nodes, size, local):  # type: ignore[no-untyped-def]
    """The matrix among the first `size` nodes, as rows in local numbers."""
    indptr = np.zeros(size + 1, np.int64)
    for i in range(size):
        indptr[i + 1] = indptr[i] + in_indptr[nodes[i] + 1] - in_indptr[nodes[i]]
    columns = np.empty(indptr[size], np.int32)
    weights = np.empty(indptr[size], np.float64)
    end = 0
    for i in range(size):
        indptr[i] = end
        for entry in range(in_indptr[nodes[i]], in_indptr[nodes[i] + 1]):
            column = local[in_senders[entry]]
            if column >= 0:
                columns[end] = column
                weights[end] = in_weights[entry]
                end += 1
    indptr[size] = end
    return indptr, columns[:end].copy(), weights[:end].copy()


@kernel
def new_edges(  # type: ignore[no-untyped-def]
    in_indptr, in_senders, in_weights, out_indptr, out_receivers, out_weights,
    nodes, size, new_size, local, rows, columns, weights,
):  # fmt: skip
    """List the edges with at least one end among the nodes from `size` on; returns their number."""
    count = 0
    for i in range(size, new_size):
        node = nodes[i]
        for entry in range(in_indptr[node], in_indptr[node + 1]):
            column = local[in_senders[entry]]
            if column >= 0:
                rows[count], columns[count], weights[count] = i, column, in_weights[entry]
                count += 1
        for entry in range(out_indptr[node], out_indptr[node + 1]):
            row = local[out_receivers[entry]]
            if 0 <= row < size:
                rows[count], columns[count], weights[count] = row, i, out_weights[entry]
                count += 1
    return count


@kernel
def degree_scale(matrix, degrees):  # type: ignore[no-untyped-def]
    """Set D to 1 / sqrt(in-degree) within the induced subgraph; `degrees` are the selection's own."""
    _, _, _, size, new_size, rows, _, weights, edges, scale = matrix
    for i in range(new_size):
        scale[i] = degrees[i] if i < size else 0.0
    for edge in range(edges):
        scale[rows[edge]] += weights[edge]
    for i in range(new_size):
        scale[i] = 1 / np.sqrt(scale[i])


@kernel
def product(matrix, x, y):  # type: ignore[no-untyped-def]
    """The induced matrix times x."""
    row_indptr, row_columns, row_weights, size, new_size, rows, columns, weights, edges, scale = matrix
    for i in range(size):
        total = 0.0
        for entry in range(row_indptr[i], row_indptr[i + 1]):
            column = row_columns[entry]
            total += row_weights[entry] * scale[column] * x[column]
        y[i] = total
    for i in range(size, new_size):
        y[i] = 0.0
    for edge in range(edges):
        y[rows[edge]] += weights[edge] * scale[columns[edge]] * x[columns[edge]]
    for i in range(new_size):
        y[i] *= scale[i]


@kernel
def transposed_product(matrix, y, x):  # type: ignore[no-untyped-def]
    """The transpose of the induced matrix times y."""
    row_indptr, row_columns, row_weights, size, new_size, rows, columns, weights, edges, scale = matrix
    for i in range(new_size):
        x[i] = 0.0
    for i in range(size):
        value = scale[i] * y[i]
        for entry in range(row_indptr[i], row_indptr[i + 1]):
            x[row_columns[entry]] += row_weights[entry] * value
    for edge in range(edges):
        x[columns[edge]] += weights[edge] * scale[rows[edge]] * y[rows[edge]]
    for i in range(new_size):
        x[i] *= scale[i]


@kernel
def begin_vector(matrix, vector, start):  # type: ignore[no-untyped-def]
    """Where Lanczos begins: the selection's top vector, and as much weight on the new nodes and what they read."""
    _, _, _, size, new_size, _, columns, _, edges, _ = matrix
    added = new_size - size
    for i in range(size):
        start[i] = vector[i] + 1e-3 / np.sqrt(size)
    for i in range(size, new_size):
        start[i] = 1.0 / np.sqrt(added)
    if added > 0:
        for edge in range(edges):
            start[columns[edge]] += 0.1 / np.sqrt(added)
    length = 0.0
    for i in range(new_size):
        length += start[i] * start[i]
    for i in range(new_size):
        start[i] /= np.sqrt(length)


@kernel
def lanczos_step(matrix, x, previous, beta, y, z):  # type: ignore[no-untyped-def]
    """One step of the three-term recurrence for M^T M, from x into z (not normalised); returns alpha and beta."""
    new_size = matrix[4]
    product(matrix, x, y)
    transposed_product(matrix, y, z)
    alpha = 0.0
    for i in range(new_size):
        alpha += y[i] * y[i]
    rest = 0.0
    for i in range(new_size):
        z[i] -= alpha * x[i] + beta * previous[i]
        rest += z[i] * z[i]
    return alpha, np.sqrt(rest)


@kernel
def top_singular_value(  # type: ignore[no-untyped-def]
    matrix, start, reject, tolerance, diagonal, off_diagonal, entries, vectors
):
    """Lanczos on M^T M: the spectral norm of the induced matrix, or a lower bound of it.

    Stops when the residual is within `tolerance` of the eigenvalue, or as soon as the norm is known to exceed `reject`.
    Without reorthogonalisation: that only repeats Ritz values that have converged, and the largest is what counts.

    Returns:
        the norm (a lower bound of it at any time), whether it converged, and the steps taken.
    """
    new_size = matrix[4]
    x, previous, y, z = vectors[0], vectors[1], vectors[2], vectors[3]
    for i in range(new_size):
        x[i] = start[i]
        previous[i] = 0.0
    eigenvalue, beta = 0.0, 0.0
    for step in range(len(diagonal)):
        alpha, beta = lanczos_step(matrix, x, previous, beta, y, z)
        diagonal[step], off_diagonal[step] = alpha, beta
        eigenvalue = largest_eigenvalue(diagonal, off_diagonal, step + 1)
        if eigenvalue > reject * reject:
            return np.sqrt(eigenvalue), False, step + 1
        eigenvector(diagonal, off_diagonal, step + 1, eigenvalue, entries)
        if beta <= 1e-14 * eigenvalue or beta * abs(entries[step]) <= tolerance * eigenvalue:
            return np.sqrt(eigenvalue), True, step + 1
        for i in range(new_size):
            previous[i] = x[i]
            x[i] = z[i] / beta
    return np.sqrt(eigenvalue), False, len(diagonal)


@kernel
def top_vector(matrix, start, steps, entries, vectors, vector):  # type: ignore[no-untyped-def]
    """The right singular vector that belongs to a finished `top_singular_value`: the same recurrence, summed up.

    A second pass instead of a stored basis: twice the time, no memory.
    """
    size = matrix[4]
    x, previous, y, z = vectors[0], vectors[1], vectors[2], vectors[3]
    for i in range(size):
        x[i] = start[i]
        previous[i] = 0.0
        vector[i] = 0.0
    beta = 0.0
    for step in range(steps):
        for i in range(size):
            vector[i] += entries[step] * x[i]
        if step == steps - 1:
            break
        _, beta = lanczos_step(matrix, x, previous, beta, y, z)
        for i in range(size):
            previous[i] = x[i]
            x[i] = z[i] / beta
    length = 0.0
    for i in range(size):
        length += vector[i] * vector[i]
    for i in range(size):
        vector[i] /= np.sqrt(length)


@kernel
def pair_bound(size, new_size, rows, columns, weights, edges, vector, image, vectors):  # type: ignore[no-untyped-def]
    """A lower bound of the norm from two test vectors only, in O(edges added).

    On the span of (v, 0) and (0, q), with v the selection's top singular vector (M v = `image` among its own nodes) and
    q = the new part of A^T A (v, 0), the norm of A is that of a 2 x 2 problem whose entries need the new edges alone.
    """
    below, probe, probe_image = vectors[0], vectors[1], vectors[2]
    for i in range(size, new_size):
        below[i] = 0.0
        probe[i] = 0.0
    for edge in range(edges):
        if columns[edge] < size:
            below[rows[edge]] += weights[edge] * vector[columns[edge]]
    for edge in range(edges):
        if columns[edge] >= size:
            upper = rows[edge] < size
            probe[columns[edge]] += weights[edge] * (image[rows[edge]] if upper else below[rows[edge]])
    for edge in range(edges):
        probe_image[rows[edge]] = 0.0
    for edge in range(edges):
        if columns[edge] >= size:
            probe_image[rows[edge]] += weights[edge] * probe[columns[edge]]
    first, second, mixed, length = 0.0, 0.0, 0.0, 0.0
    for i in range(size):
        first += image[i] * image[i]
    for i in range(size, new_size):
        first += below[i] * below[i]
        length += probe[i] * probe[i]
    for edge in range(edges):
        row = rows[edge]
        if probe_image[row] != 0.0:
            second += probe_image[row] * probe_image[row]
            mixed += probe_image[row] * (image[row] if row < size else below[row])
            probe_image[row] = 0.0
    if length == 0.0:
        return np.sqrt(first)
    second, mixed = second / length, mixed / np.sqrt(length)
    return np.sqrt(0.5 * (first + second) + np.sqrt(0.25 * (first - second) ** 2 + mixed * mixed))


@kernel
def largest_eigenvalue(diagonal, off_diagonal, size):  # type: ignore[no-untyped-def]
    """The largest eigenvalue of a symmetric tridiagonal matrix, by bisection with Sturm's count."""
    low, high = 0.0, 0.0
    for i in range(size):
        before = off_diagonal[i - 1] if i > 0 else 0.0
        after = off_diagonal[i] if i < size - 1 else 0.0
        low, high = max(low, diagonal[i]), max(high, diagonal[i] + before + after)
    while high - low > 1e-14 * high:
        middle = 0.5 * (low + high)
        pivot = diagonal[0] - middle
        above = pivot > 0
        for i in range(1, size):
            if above:
                break
            pivot = diagonal[i] - middle - off_diagonal[i - 1] ** 2 / (pivot if pivot != 0 else -_TINY)
            above = pivot > 0
        if above:
            low = middle
        else:
            high = middle
    return high


@kernel
def eigenvector(diagonal, off_diagonal, size, eigenvalue, entries):  # type: ignore[no-untyped-def]
    """The unit eigenvector of the largest eigenvalue, by the recurrence from the last entry upwards."""
    entries[size - 1] = 1.0
    squares = 1.0
    for i in range(size - 1, 0, -1):
        after = off_diagonal[i] * entries[i + 1] if i < size - 1 else 0.0
        entries[i - 1] = ((eigenvalue - diagonal[i]) * entries[i] - after) / off_diagonal[i - 1]
        squares += entries[i - 1] * entries[i - 1]
        if squares > _HUGE:
            for later in range(i - 1, size):
                entries[later] /= _HUGE
            squares /= _HUGE * _HUGE
    for i in range(size):
        entries[i] /= np.sqrt(squares)
