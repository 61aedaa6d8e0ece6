"""On what scale expression values are: what is expected, what else they may be, and what to do then."""

from typing import Literal, NamedTuple

import numpy as np
from scipy import sparse

from perturb_jax.support.errors import InputError

Scale = Literal["log1p", "counts", "fractional counts", "normalised"]

LARGEST = np.log1p(1e6)
"""What no log1p of counts that were scaled to a million or less per cell exceeds."""

SAMPLE = 300
"""Cells that are looked at as a whole."""

_EXPRESSED = 5  # genes of a cell, and cells, from which on anything shows
_SAME = 1e-3
_WHOLE = 0.05  # fraction of whole numbers that logarithms do not reach
_ENOUGH = 50  # values for that


class Looked(NamedTuple):
    """What was seen of values that are finite and at least 0."""

    whole: bool  # all are whole numbers
    largest: float
    sample: sparse.csr_array  # some cells as a whole [cells, genes]


def scale_of(seen: Looked) -> Scale:
    """On what scale the values are.

    Whole numbers are counts. Counts that were corrected for ambient RNA, or estimated, have fractions: some are still
    whole, or all of a cell are multiples of one number, or they exceed `LARGEST`. Values that were scaled but not
    logged have the same total in each cell, which logarithms have not. All else is taken for log1p.

    Examples:
        >>> counts = np.random.default_rng(0).poisson(3.0, (20, 30))
        >>> scaled = counts * (1e4 / counts.sum(1, keepdims=True))
        >>> [scale_of(Looked(False, values.max(), sparse.csr_array(values)))
        ...  for values in (np.log1p(scaled), scaled, 0.9 * counts)]
        ['log1p', 'normalised', 'fractional counts']
    """
    if seen.whole:
        return "counts"
    if _alike(seen.sample) and not (seen.largest <= LARGEST and _alike(seen.sample.expm1())):
        return "normalised"
    values = seen.sample.data[seen.sample.data != 0]
    some_whole = len(values) >= _ENOUGH and float((values == np.floor(values)).mean()) > _WHOLE
    if seen.largest > LARGEST or some_whole or _are_multiples(seen.sample):
        return "fractional counts"
    return "log1p"


def check_scale(seen: Looked, normalize: bool) -> Scale:
    """The scale of the values, if they are log1p, or to be normalised and are not.

    Raises:
        InputError: another scale, with what to do about it.
    """
    scale = scale_of(seen)
    if normalize:
        if scale == "log1p":
            raise InputError(
                "normalize=True expects raw counts (whole numbers, or counts with fractions), got fractions up to "
                f"{seen.largest:.4g}; omit it if they are log1p already, or name the counts with layer=..."
            )
        return scale
    totals = np.asarray(seen.sample.sum(1)).ravel()
    if scale == "counts" and seen.largest > 0:
        raise InputError(
            f"the values are whole numbers (up to {seen.largest:g}), so raw counts; expected log1p of scaled counts: "
            "give normalize=True to do that, or another layer=..."
        )
    if scale == "normalised":
        raise InputError(
            f"the cells' totals are all {np.median(totals[totals > 0]):.4g} and values reach {seen.largest:.4g}, so "
            "they are scaled but not logged; expected log1p of scaled counts: give normalize=True, which takes log1p, "
            "or another layer=..."
        )
    if scale == "fractional counts":
        raise InputError(
            f"the values reach {seen.largest:.4g} and the cells' totals go from {totals.min():.4g} to "
            f"{totals.max():.4g}, so they are raw counts with fractions (as SoupX, CellBender, alevin give); expected "
            "log1p of scaled counts: give normalize=True to do that, or another layer=..."
        )
    return scale


def _alike(cells: sparse.csr_array) -> bool:
    """Whether all cells have the same total."""
    totals = np.asarray(cells.sum(1)).ravel()
    totals = totals[totals > 0]
    several = np.median(np.diff(cells.indptr)) > 2
    return len(totals) >= _EXPRESSED and bool(several) and float(np.std(totals)) < _SAME * float(np.mean(totals))


def _are_multiples(cells: sparse.csr_array) -> bool:
    """Whether the values of most cells are multiples of the cell's smallest."""
    found = []
    for start, stop in zip(cells.indptr[:-1], cells.indptr[1:], strict=True):
        values = cells.data[start:stop]
        values = values[values > 0]
        if len(values) >= _EXPRESSED:
            ratio = values / values.min()
            if ratio.max() > 1 + _SAME:
                found.append(bool((np.abs(ratio - np.round(ratio)) < _SAME).all()))
    return len(found) >= _EXPRESSED and float(np.mean(found)) > 0.9
