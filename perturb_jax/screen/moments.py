"""Moments of expression in one streaming pass, and the genes that differ from control by them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from perturb_jax.support.loops import kernel

FINE, NOT_FINITE, NEGATIVE, OUTSIDE, UNSORTED = range(5)
"""What `inspect` finds."""


class Moments(NamedTuple):
    """Cells, and the mean and central moments 2 to 4 (divided by the cells) of each gene in them.

    Attributes:
        count: cells; a leading axis of the others where there are several groups.
        expressing: cells with a value other than 0.
        mean: mean of all cells.
        variance: second central moment.
        third: third central moment.
        fourth: fourth central moment.
    """

    count: np.ndarray  # type: ignore[assignment]  # hides tuple.count, which nobody calls on moments
    expressing: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    third: np.ndarray
    fourth: np.ndarray


MOMENTS = ("mean", "variance", "third", "fourth")
"""The moments by name, as in `Screen`."""


def select(moments: Moments, rows: np.ndarray) -> Moments:
    """The moments of some groups."""
    return Moments(*(value[rows] for value in moments))


def empty_sums(num_groups: int, num_genes: int) -> np.ndarray:
    """Where `accumulate` gathers: [groups, genes, 5], non-zero values' count, mean and sums of powers 2 to 4.

    One gene's five numbers lie together: 40 bytes per group and gene, which is what reading a screen costs.
    """
    return np.zeros((num_groups, num_genes, 5))


@kernel
def inspect(data, minor, indptr, first, by_cell, groups, num_minor):  # type: ignore[no-untyped-def]
    """Check the values of cells that belong to a group: what is wrong and where, all whole numbers?, the largest.

    Args:
        data: values of a compressed chunk.
        minor: their positions along the other axis.
        indptr: where each row (or column) of the chunk begins.
        first: the number of the chunk's first row (or column).
        by_cell: whether the chunk's rows are cells; if not, they are genes.
        groups: the group of every cell, -1 for none.
        num_minor: the length of the other axis.
    """
    whole, largest = True, 0.0
    for major in range(len(indptr) - 1):
        if by_cell and groups[first + major] < 0:
            continue
        previous = -1
        for position in range(indptr[major], indptr[major + 1]):
            other = minor[position]
            if other < 0 or other >= num_minor:
                return OUTSIDE, position, whole, largest
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
    """Update `sums` (see `empty_sums`) by a chunk's non-zero values. Arguments as for `inspect`."""
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


def with_zeros(sums: np.ndarray, counts: np.ndarray) -> Moments:
    """Moments of groups of `counts` cells [groups] whose non-zero values `accumulate` gathered [groups, genes, 5]."""
    sums = np.asarray(sums)
    expressing, mean, second, third, fourth = np.moveaxis(sums, -1, 0)
    n = counts[:, None].astype(float)
    zeros = n - expressing
    over = mean * zeros / n  # of the non-zero values' mean over the mean of all
    under = -mean * expressing / n
    variance = (second + expressing * over**2 + zeros * under**2) / n
    skew = (third + 3 * over * second + expressing * over**3 + zeros * under**3) / n
    tails = fourth + 4 * over * third + 6 * over**2 * second + expressing * over**4 + zeros * under**4
    return Moments(counts, expressing.astype(np.int64), mean * expressing / n, variance, skew, tails / n)


def merged(parts: Moments) -> Moments:
    """The moments of all groups [groups, genes] taken together [genes]."""
    if len(parts.count) == 1:
        return Moments(*(value[0] for value in parts))
    n = parts.count[:, None].astype(float)
    share = n / n.sum()
    mean = (share * parts.mean).sum(0)
    over = parts.mean - mean[None, :]
    third = parts.third + 3 * over * parts.variance + over**3
    fourth = parts.fourth + 4 * over * parts.third + 6 * over**2 * parts.variance + over**4
    variance = (share * (parts.variance + over**2)).sum(0)
    expressing = parts.expressing.sum(0)
    return Moments(parts.count.sum(), expressing, mean, variance, (share * third).sum(0), (share * fourth).sum(0))


def welch_t(perturbed: Moments, control: Moments) -> Float[np.ndarray, " genes"]:
    """Welch's t of each gene against control, within cell types.

    One cell type: t = (m - m0) / sqrt(s^2 / n + s0^2 / n0), s^2 with n - 1 in the denominator; what
    `scanpy.tl.rank_genes_groups(method="t-test", reference=control)` calls the score. Several: differences and squared
    errors are taken within each cell type c and summed with the weights w_c = n_c / sum(n) and w_c^2, so that a
    perturbation which is common in one cell type is not credited with that type's expression. Where the error is 0, t
    is 0 for equal means (as in scanpy) and infinite for different ones.

    Args:
        perturbed: moments per cell type [types, genes], at least 2 cells in each.
        control: of control cells in the same cell types, at least 2 in each.
    """
    weight = (perturbed.count / perturbed.count.sum())[:, None]
    difference = (weight * (perturbed.mean - control.mean)).sum(0)
    squared_error = sum(part.variance / (part.count[:, None] - 1.0) for part in (perturbed, control))
    error = np.sqrt((weight**2 * squared_error).sum(0))
    signed = np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
    return np.divide(difference, error, out=signed, where=error > 0)


def top_genes(score: Float[np.ndarray, " genes"], number: int) -> Int[np.ndarray, " top"]:
    """The columns of the largest absolute scores, the largest first; of equal ones the first column."""
    return np.argsort(-np.abs(score), kind="stable")[:number]
