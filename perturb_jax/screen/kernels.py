"""Compiled loops over cells: checks, normalisation, moments, co-expression, simulated counts."""

from math import erfc, exp, log1p, sqrt

import numpy as np

from perturb_jax.support.loops import kernel

FINE, NOT_FINITE, NEGATIVE, UNSORTED = range(4)
"""What `inspect` finds."""


@kernel
def inspect(data, minor, indptr, first, by_cell, groups):  # type: ignore[no-untyped-def]
    """Check the values of cells that belong to a group: what is wrong and where, all whole numbers?, the largest.

    `data`, `minor`, `indptr`, `first`, `by_cell` are a `Chunk`; `groups` is the group of every cell, -1 for none.
    """
    whole, largest = True, 0.0
    for major in range(len(indptr) - 1):
        if by_cell and groups[first + major] < 0:
            continue
        previous = -1
        for position in range(indptr[major], indptr[major + 1]):
            other = minor[position]
            if other <= previous:
                return UNSORTED, position, whole, largest
            previous = other
            if not by_cell and groups[other] < 0:
                continue
            value = data[position]
            if not np.isfinite(value):
                return NOT_FINITE, position, whole, largest
            if value < 0:
                return NEGATIVE, position, whole, largest
            if value != np.floor(value):
                whole = False
            if value > largest:
                largest = value
    return FINE, -1, whole, largest


@kernel
def add_totals(data, minor, indptr, first, by_cell, totals):  # type: ignore[no-untyped-def]
    """Add a chunk's values to the total of each cell."""
    for major in range(len(indptr) - 1):
        for position in range(indptr[major], indptr[major + 1]):
            totals[first + major if by_cell else minor[position]] += data[position]


@kernel
def scale(data, minor, indptr, first, by_cell, totals, target):  # type: ignore[no-untyped-def]
    """Replace counts by log1p of counts scaled to `target` per cell, in place; a cell without counts stays 0."""
    for major in range(len(indptr) - 1):
        for position in range(indptr[major], indptr[major + 1]):
            total = totals[first + major if by_cell else minor[position]]
            if total > 0:
                data[position] = np.log1p(data[position] * (target / total))


@kernel
def accumulate(data, minor, indptr, first, by_cell, groups, sums):  # type: ignore[no-untyped-def]
    """Update `sums` [groups, genes, 5], the count, mean and sums of powers 2 to 4, by a chunk's non-zero values."""
    for major in range(len(indptr) - 1):
        if by_cell and groups[first + major] < 0:
            continue
        for position in range(indptr[major], indptr[major + 1]):
            value = data[position]
            cell, gene = (first + major, minor[position]) if by_cell else (minor[position], first + major)
            group = groups[cell]
            if value == 0 or group < 0:
                continue
            at = sums[group, gene]
            before = at[0]
            n = before + 1.0
            delta = value - at[1]
            step = delta / n
            term = delta * step * before
            at[0] = n
            at[1] += step
            at[4] += term * step * step * (n * n - 3 * n + 3) + 6 * step * step * at[2] - 4 * step * at[3]
            at[3] += term * step * (n - 2) - 3 * step * at[2]
            at[2] += term


@kernel
def add_products(column_data, column_cells, column_starts, data, genes, starts, products):  # type: ignore[no-untyped-def]
    """Add sum over cells of x_ci x_cj for the genes i whose columns are given, and all j."""
    for i in range(len(column_starts) - 1):
        row = products[i]
        for position in range(column_starts[i], column_starts[i + 1]):
            cell, value = column_cells[position], np.float64(column_data[position])
            for other in range(starts[cell], starts[cell + 1]):
                row[genes[other]] += value * data[other]


@kernel
def negative_binomial(rate, size, library, states, state, shared, own, scale):  # type: ignore[no-untyped-def]
    """Counts by inversion of the distribution function at correlated ranks, as CSR arrays of log1p(scale * count / L).

    The rank of gene g in cell c is Phi(sqrt(shared) * states[c, state[g]] + sqrt(1 - shared) * own[c, g]): uniform, so
    that the count is negative binomial with mean library[c] * rate[g] and size (1 / dispersion) size[g].
    """
    cells, genes = own.shape
    data = np.empty(cells * genes, np.float32)
    indices = np.empty(cells * genes, np.int32)
    indptr = np.zeros(cells + 1, np.int32)
    common, private = sqrt(shared), sqrt(1 - shared)
    stored = 0
    for cell in range(cells):
        for gene in range(genes):
            mean = library[cell] * rate[gene]
            shape = size[gene]
            mass = exp(-shape * log1p(mean / shape))
            rank = 0.5 * erfc(-(common * states[cell, state[gene]] + private * own[cell, gene]) / sqrt(2.0))
            if rank <= mass:
                continue
            ratio, total, count = mean / (shape + mean), mass, 0
            while total < rank and (count <= mean or mass > 1e-14):  # the second: rounding may keep total below rank
                mass *= ratio * (count + shape) / (count + 1)
                count += 1
                total += mass
            data[stored] = log1p(scale * count / library[cell])
            indices[stored] = gene
            stored += 1
        indptr[cell + 1] = stored
    return data[:stored].copy(), indices[:stored].copy(), indptr
