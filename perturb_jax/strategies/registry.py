"""Strategies over several cycles, by name."""

from collections.abc import Mapping
from typing import Any

from perturb_jax.errors import InputError
from perturb_jax.strategies import OPTIONS, STRATEGIES
from perturb_jax.strategies.cycle import CycleStrategy, Hybrid, OneShot


def cycle_strategy(name: str, options: Mapping[str, Any] = {}) -> CycleStrategy:
    """The strategy of a name, with options.

    Raises:
        InputError: another name, an option that it does not have.
    """
    if name == "hybrid":
        first, then = (cycle_strategy(options[part], options.get(f"{part}_options", {})) for part in ("first", "then"))
        return Hybrid(first, int(options["cycles"]), then)
    if name not in STRATEGIES:
        raise InputError(f"strategy: expected one of {', '.join(STRATEGIES)}, got {name!r}")
    known = ("hops", "direction", *OPTIONS.get(name, ()))
    for option in options:
        if option not in known:
            raise InputError(f"{option}: not an option of {name}; expected one of: {', '.join(known)}")
    return OneShot(name, tuple(sorted(options.items())))
