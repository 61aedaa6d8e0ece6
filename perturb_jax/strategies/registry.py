"""Strategies by name, and made from what a file or a command says of them."""

from collections.abc import Mapping
from typing import Any

from perturb_jax.strategies.strategy import (
    Strategy,
    check_strategy,
    costs_of,
    is_one_shot,
    parts_of,
)
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import changed_options, made_from
from perturb_jax.support.registry import Registry, source_checksum

STRATEGIES: Registry[Any] = Registry(
    "strategy",
    {
        "graphreach": "perturb_jax.strategies.graphreach:GraphReach",
        "maxspec": "perturb_jax.strategies.maxspec:MaxSpec",
        "graphdesign": "perturb_jax.strategies.graphdesign:GraphDesign",
        "k-center": "perturb_jax.strategies.k_center:KCenter",
        "random": "perturb_jax.strategies.random:Random",
        "top-degree": "perturb_jax.strategies.top_degree:TopDegree",
        "uncertainty": "perturb_jax.strategies.uncertainty:Uncertainty",
        "acs-fw": "perturb_jax.strategies.acs_fw:ACSFW",
        "typiclust": "perturb_jax.strategies.typiclust:TypiClust",
        "hybrid": "perturb_jax.strategies.hybrid:Hybrid",
    },
    "perturb_jax.strategies",
)
"""Classes of strategies: those that ship here, registered ones, entry points; "FILE.py:NAME" is a user's own."""

MODEL_BASED = ("uncertainty", "acs-fw", "typiclust", "hybrid")
"""Those that ship here and read a predictor: named, so that the others are known before NumPy is loaded."""


def register_strategy(name: str, cls: type[Any]) -> None:
    """Give a name to a class with a method `choose(ask)`, for this process.

    Raises:
        InputError: a name that is taken; no such class.
    """
    if not isinstance(cls, type) or not callable(getattr(cls, "choose", None)):
        raise InputError(f"strategy: expected a class with a method choose(ask), got {cls!r}")
    STRATEGIES.register(name, cls)


def one_shot_names() -> tuple[str, ...]:
    """Names of the strategies that need no predictor: those that a command can ask before any experiment."""
    own = (name for name in STRATEGIES.names if name not in STRATEGIES.built_in)
    here = (name for name in STRATEGIES.built_in if name not in MODEL_BASED)
    return (*here, *(name for name in own if is_one_shot(STRATEGIES.get(name))))


def make_strategy(name: str, options: Mapping[str, object] = {}) -> Any:
    """The strategy of a name with options as TOML or JSON have them.

    Raises:
        InputError: another name; keys that are no options, values that they cannot take.

    Examples:
        >>> make_strategy("graphreach", {"hops": 2}).hops
        2
    """
    cls = STRATEGIES.get(name)
    if hasattr(cls, "of_strategies"):
        made = cls.of_strategies(options, STRATEGIES, make_strategy)
    elif hasattr(cls, "from_table"):
        made = cls.from_table(options)
    elif hasattr(cls, "__dataclass_fields__"):
        made = made_from(cls, options)
    elif options:
        raise InputError(f"{', '.join(options)}: no such setting; {name} has none: it is no dataclass")
    else:
        made = cls() if isinstance(cls, type) else cls
    check_strategy(made)
    return made


def strategy_of(name: str, options: Mapping[str, object] = {}) -> Any:
    """The strategy of a name for several cycles, with options as TOML or JSON have them.

    One that reads a predictor in its first cycle, when none is fitted, has Random's there. A budget is a number of
    picks, so there are no costs.

    Raises:
        InputError: what `make_strategy` refuses; costs.

    Examples:
        >>> strategy_of("hybrid", {"first": "graphreach", "cycles": 2, "then": "typiclust"}).parts(2)
        ('embedding',)
    """
    from perturb_jax.strategies.hybrid import Hybrid
    from perturb_jax.strategies.random import Random

    made = make_strategy(name, options)
    if costs_of(made) is not None:
        raise InputError("costs: not for several cycles, whose budget is a number of perturbations; omit them")
    return Hybrid(Random(), 1, made) if parts_of(made, 0) else made


def name_of(strategy: Any) -> str:
    """The name of a strategy in `STRATEGIES`; of a user's own that has none, what its class is called."""
    return STRATEGIES.name_of(type(strategy))


def identity_of(strategy: Any) -> dict[str, Any]:
    """What makes a strategy that one: plain values.

    Its name, the options that differ from their defaults (so that one which gains an option stays the same), and of a
    user's file the checksum.
    """
    changed = changed_options(strategy) if hasattr(strategy, "__dataclass_fields__") else {}
    options = {key: _plain(value) for key, value in changed.items()}
    checksum = source_checksum(strategy)
    return {"name": name_of(strategy), "options": options} | ({"source": checksum} if checksum else {})


def _plain(value: Any) -> Any:
    if hasattr(value, "choose"):
        return identity_of(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value


__all__ = [
    "STRATEGIES", "Strategy", "identity_of", "make_strategy", "name_of", "one_shot_names", "register_strategy",
    "strategy_of",
]  # fmt: skip
