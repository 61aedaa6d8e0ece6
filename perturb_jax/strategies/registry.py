"""Strategies over several cycles by name, with their options checked before anything runs."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from perturb_jax.selection.maxspec import CANNOT_CHOOSE
from perturb_jax.strategies import OPTIONS, STRATEGIES
from perturb_jax.strategies.acs_fw import ACSFW
from perturb_jax.strategies.cycle import CycleStrategy, Hybrid, OneShot
from perturb_jax.strategies.typiclust import TypiClust
from perturb_jax.strategies.uncertainty import Uncertainty
from perturb_jax.support.checks import check_count
from perturb_jax.support.errors import InputError

MODEL_BASED: dict[str, Callable[..., CycleStrategy]] = {
    "uncertainty": Uncertainty,
    "acs-fw": ACSFW,
    "typiclust": TypiClust,
}
"""Those that read a view of a fitted predictor."""

NAMES = (*STRATEGIES, *MODEL_BASED, "hybrid")
"""Every name that `cycle_strategy` knows."""

_HYBRID = ("first", "cycles", "then", "first_options", "then_options")


def cycle_strategy(name: str, options: Mapping[str, object] = {}) -> CycleStrategy:
    """The strategy of a name.

    - one of `STRATEGIES`: chooses its whole order at once; options: hops, direction and those of `OPTIONS` (costs are
      not: a batch is a number of perturbations);
    - one of `MODEL_BASED`: its first cycle is Random's; options: its fields;
    - "hybrid": options `first` (one of `STRATEGIES`) for the first `cycles` cycles, `then` (one of `MODEL_BASED`)
      afterwards, with tables `first_options` and `then_options`.

    Raises:
        InputError: another name; an option that the strategy does not have, or a value that the option cannot take.

    Examples:
        >>> cycle_strategy("hybrid", {"first": "graphreach", "cycles": 2, "then": "typiclust"}).parts(2)
        ('embedding',)
    """
    if name in STRATEGIES:
        return _one_shot(name, options)
    if name in MODEL_BASED:
        return Hybrid(OneShot("random"), 1, _model_based(name, options))
    if name == "hybrid":
        return _hybrid(options)
    raise InputError(f"strategy: expected one of {', '.join(NAMES)}, got {name!r}")


def _one_shot(name: str, options: Mapping[str, object]) -> OneShot:
    known = ("hops", "direction", *(option for option in OPTIONS.get(name, ()) if option != "costs"))
    _refuse_unknown(name, options, known)
    hints = get_type_hints(STRATEGIES[name])
    for option, value in options.items():
        _check_value(option, value, hints[option])
    if name == "maxspec" and options.get("normalization") == "subgraph" and options.get("symmetric"):
        raise InputError(CANNOT_CHOOSE)  # of a graph that is symmetric itself, only the first selection can tell
    return OneShot(name, tuple((option, _frozen(value)) for option, value in options.items()))


def _model_based(name: str, options: Mapping[str, object]) -> CycleStrategy:
    hints = get_type_hints(MODEL_BASED[name])
    _refuse_unknown(name, options, tuple(hints))
    for option, value in options.items():
        _check_value(option, value, hints[option])
    return MODEL_BASED[name](**options)


def _hybrid(options: Mapping[str, object]) -> Hybrid:
    _refuse_unknown("hybrid", options, _HYBRID)
    for option in _HYBRID[:3]:
        if option not in options:
            raise InputError(f"{option}: the strategy hybrid needs it")
    first, then = options["first"], options["then"]
    if first not in STRATEGIES:
        raise InputError(f"first: expected one of {', '.join(STRATEGIES)}, got {first!r}")
    if then not in MODEL_BASED:
        raise InputError(f"then: expected one of {', '.join(MODEL_BASED)}, got {then!r}")
    check_count("cycles", options["cycles"])
    each: dict[str, CycleStrategy] = {}
    for role, name, make in (("first", first, _one_shot), ("then", then, _model_based)):
        given = options.get(f"{role}_options", {})
        if not isinstance(given, Mapping):
            raise InputError(f"{role}_options: expected a table of options, got {given!r}")
        try:
            each[role] = make(str(name), given)
        except InputError as error:
            raise InputError(f"{role}_options: {error}") from None
    return Hybrid(each["first"], int(str(options["cycles"])), each["then"])


def _refuse_unknown(name: str, options: Mapping[str, object], known: tuple[str, ...]) -> None:
    for option in options:
        if option not in known:
            expected = f"expected one of {', '.join(known)}" if known else "it has none"
            raise InputError(f"{option}: not an option of the strategy {name}; {expected}")


def _check_value(option: str, value: object, hint: Any) -> None:
    """Refuse a value that the annotation does not allow: choices, truth values, numbers (all above 0), names.

    A plain string is what the strategy itself checks.
    """
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise InputError(f"{option}: expected one of {', '.join(map(str, get_args(hint)))}, got {value!r}")
    elif hint is bool:
        if not isinstance(value, bool):
            raise InputError(f"{option}: expected true or false, got {value!r}")
    elif hint is int:
        check_count(option, value)
    elif float in get_args(hint):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise InputError(f"{option}: expected a finite number above 0, got {value!r}")
    elif hint is not str and not isinstance(value, list | tuple | Mapping):
        raise InputError(f"{option}: expected a list of perturbations or a table of their weights, got {value!r}")


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
