"""The top eigenpair of a small symmetric tridiagonal matrix, for Lanczos."""

import numpy as np

from perturb_jax.support.loops import kernel

_TINY = 1e-300
_HUGE = 1e100


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
