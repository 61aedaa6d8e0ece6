"""Checks of single values at the public edge: what was expected, what came."""

import math
from collections.abc import Sequence
from numbers import Integral, Real

from perturb_jax.support.errors import InputError


def is_whole(value: object) -> bool:
    """Whether a value is a whole number, Python's or NumPy's; True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether a value is a finite number, Python's or NumPy's; True and False are not."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond float64
        return False


def listed(items: Sequence[str], separator: str = ", ", shown: int = 5) -> str:
    """The first of some words, and how many more there are."""
    more = len(items) - shown
    return separator.join(items[:shown]) + (f" and {more} more" if more > 0 else "")


def check_seed(seed: object) -> None:
    """Refuse a seed that is neither None nor a whole number of at least 0."""
    if seed is not None:
        check_count("seed", seed, at_least=0)


def check_budget(budget: object, available: int) -> None:
    """Refuse a budget that is not a whole number from 1 to the number of candidates that may be picked."""
    check_count("budget", budget)
    if budget > available:  # type: ignore[operator]
        raise InputError(
            f"budget: expected at most {available}, got {budget}: only {available} candidates can be picked"
        )


def check_count(name: str, value: object, at_least: int = 1) -> None:
    """Refuse anything but a whole number that is large enough."""
    if not (is_whole(value) and value >= at_least):  # type: ignore[operator]
        raise InputError(f"{name}: expected a whole number of at least {at_least}, got {value!r}")


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuse anything but one of the choices."""
    if value not in choices:
        raise InputError(f"{name}: expected one of {', '.join(map(str, choices))}, got {value!r}")
