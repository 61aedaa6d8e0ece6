"""Compiled host loops: the decorator, when they are meant, and loops that several modules need."""

import pickle
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any, Literal, get_args

import jax
import numba
import numpy as np
from numba.core.caching import FunctionCache, NullCache

from perturb_jax.support.checks import check_choice


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop with numba: without the interpreter lock, kept on disk where a cache directory is writable."""
    compiled = numba.njit(nogil=True)(function)
    compiled._cache = _Kept(function)  # where `cache=True` puts numba's, which fails on a full disk
    return compiled


class _Kept(NullCache):  # type: ignore[misc]
    """numba's cache of a loop, looked for when the loop is first called; without one it is compiled each time."""

    def __init__(self, function: Callable[..., Any]):
        self._function = function

    @cached_property
    def _cache(self) -> Any:
        try:
            return FunctionCache(self._function)
        except (OSError, RuntimeError):  # RuntimeError: read-only installation and no home directory
            return NullCache()

    @property
    def cache_path(self) -> str | None:
        return self._cache.cache_path

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with suppress(OSError, EOFError, pickle.UnpicklingError):  # unreadable, or cut off by a full disk
            return self._cache.load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError, EOFError, pickle.UnpicklingError):
            self._cache.save_overload(sig, data)


Backend = Literal["auto", "host", "jax"]
"""What computes where there are two ways: compiled loops on the host, or JAX on the default device."""


def on_host(backend: str) -> bool:
    """Whether the host's loops are meant: "auto" chooses them where JAX has nothing but a CPU."""
    check_choice("backend", backend, get_args(Backend))
    return backend == "host" or (backend == "auto" and jax.default_backend() == "cpu")


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


@kernel
def visit(indptr, neighbors, genes, hops, mark, seen_by, nodes, first):  # type: ignore[no-untyped-def]
    """Write the nodes within `hops` steps of `genes` to `nodes` from `first` on, by distance; returns the end.

    ``seen_by[node]`` becomes `mark`, which no node may have before.
    """
    end = first
    for gene in genes:
        if gene >= 0 and seen_by[gene] != mark:
            seen_by[gene] = mark
            nodes[end] = gene
            end += 1
    for _ in range(hops):
        last = end
        for position in range(first, last):
            node = nodes[position]
            for entry in range(indptr[node], indptr[node + 1]):
                neighbor = neighbors[entry]
                if seen_by[neighbor] != mark:
                    seen_by[neighbor] = mark
                    nodes[end] = neighbor
                    end += 1
        first = last
    return end


@kernel
def breadth_first(indptr, neighbors, members, hops):  # type: ignore[no-untyped-def]
    """Each candidate's nodes within `hops` steps, itself first, then by distance."""
    num_nodes = len(indptr) - 1
    num_candidates = len(members)
    seen_by = np.full(num_nodes, -1, np.int32)
    out_indptr = np.zeros(num_candidates + 1, np.int64)
    out = np.empty(max(len(neighbors), num_nodes, 1), np.int32)
    end = 0
    for candidate in range(num_candidates):
        if end + num_nodes > len(out):
            larger = np.empty(2 * len(out) + num_nodes, np.int32)
            for entry in range(end):  # a loop, because numba takes a second to compile a slice assignment
                larger[entry] = out[entry]
            out = larger
        end = visit(indptr, neighbors, members[candidate], hops, candidate, seen_by, out, end)
        out_indptr[candidate + 1] = end
    return out_indptr, out[:end]


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
