"""Compiled host loops: the decorator, and the one loop that several modules need."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop with numba: without the interpreter lock, kept on disk where a cache directory is writable."""
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba: "no locator available" on a read-only installation without a home directory
        compiled = numba.njit(nogil=True)(function)
    return compiled


@kernel
def group_by(keys, values, num_keys):  # type: ignore[no-untyped-def]
    """Group `values` by `keys` in O(len): row pointers [num_keys + 1] and the values, in their order within a key."""
    indptr = np.zeros(num_keys + 1, np.int64)
    for key in keys:
        indptr[key + 1] += 1
    for key in range(num_keys):
        indptr[key + 1] += indptr[key]
    end = indptr[:-1].copy()
    grouped = np.empty(len(values), np.int32)
    for position in range(len(keys)):
        key = keys[position]
        grouped[end[key]] = values[position]
        end[key] += 1
    return indptr, grouped
