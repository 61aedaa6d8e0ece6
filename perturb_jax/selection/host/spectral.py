"""Compiled host loops of MaxSpec: products, Lanczos and bounds on an induced submatrix that grows.

Nodes that are reached have local numbers 0, 1, ... in the order in which they were reached; the first `size` of them
are the selection's, those after it a candidate's new ones. The matrix among the selection's nodes is kept as rows
(`row_indptr`, `row_columns`, `row_weights`), what a candidate adds as a list of edges.
"""

import numpy as np

from perturb_jax.selection.host.tridiagonal import eigenvector, largest_eigenvalue
from perturb_jax.support.loops import kernel


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
def degree_scale(degrees, size, new_size, rows, weights, edges, scale):  # type: ignore[no-untyped-def]
    """1 / sqrt(in-degree) within the induced subgraph; `degrees` are the selection's own."""
    for i in range(new_size):
        scale[i] = degrees[i] if i < size else 0.0
    for edge in range(edges):
        scale[rows[edge]] += weights[edge]
    for i in range(new_size):
        scale[i] = 1 / np.sqrt(scale[i])


@kernel
def product(  # type: ignore[no-untyped-def]
    row_indptr, row_columns, row_weights, size, new_size, rows, columns, weights, edges, scale, x, y
):
    """The induced matrix D A D times x, D the diagonal `scale`."""
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
def transposed_product(  # type: ignore[no-untyped-def]
    row_indptr, row_columns, row_weights, size, new_size, rows, columns, weights, edges, scale, y, x
):
    """The transpose of the induced matrix times y."""
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
def begin_vector(size, new_size, columns, edges, vector, start):  # type: ignore[no-untyped-def]
    """Where Lanczos begins: the selection's top vector, and as much weight on the new nodes and what they read."""
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
def lanczos_step(  # type: ignore[no-untyped-def]
    row_indptr, row_columns, row_weights, size, new_size, rows, columns, weights, edges, scale, x, previous, beta, y, z
):
    """One step of the three-term recurrence for A^T A, from x into z (not normalised); returns alpha and beta."""
    product(row_indptr, row_columns, row_weights, size, new_size, rows, columns, weights, edges, scale, x, y)
    transposed_product(row_indptr, row_columns, row_weights, size, new_size, rows, columns, weights, edges, scale, y, z)
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
    row_indptr, row_columns, row_weights, size, new_size, rows, columns, weights, edges, scale,
    start, reject, tolerance, diagonal, off_diagonal, entries, vectors,
):  # fmt: skip
    """Lanczos on A^T A: the spectral norm of the induced matrix, or a lower bound of it.

    Stops when the residual is within `tolerance` of the eigenvalue, or as soon as the norm is known to exceed `reject`.
    Without reorthogonalisation: that only repeats Ritz values that have converged, and the largest is what is asked.

    Returns:
        the norm (a lower bound of it at any time), whether it converged, and the steps taken.
    """
    x, previous, y, z = vectors[0], vectors[1], vectors[2], vectors[3]
    for i in range(new_size):
        x[i] = start[i]
        previous[i] = 0.0
    eigenvalue, beta = 0.0, 0.0
    for step in range(len(diagonal)):
        alpha, beta = lanczos_step(
            row_indptr, row_columns, row_weights, size, new_size, rows, columns, weights, edges, scale,
            x, previous, beta, y, z,
        )  # fmt: skip
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
def top_vector(  # type: ignore[no-untyped-def]
    row_indptr, row_columns, row_weights, size, scale, start, steps, entries, vectors, vector
):
    """The right singular vector that belongs to a finished `top_singular_value`: the same recurrence, summed up.

    A second pass instead of a stored basis: twice the time, no memory.
    """
    nothing, no_weights = np.empty(0, np.int32), np.empty(0)
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
        _, beta = lanczos_step(
            row_indptr, row_columns, row_weights, size, size, nothing, nothing, no_weights, 0, scale,
            x, previous, beta, y, z,
        )  # fmt: skip
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
