"""Strategies by name, made from what a file or a command says of them; and Hybrid, which is made of two by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perturb_jax.strategies.strategy import Ask, Strategy, check_strategy, costs_of, is_one_shot, parts_of
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import changed_options, made_from, option
from perturb_jax.support.registry import Registry, source_checksum

if TYPE_CHECKING:
    from perturb_jax.selection.selection import Selection

STRATEGIES: Registry[Any] = Registry(
    "strategy",
    {
        "graphreach": "perturb_jax.strategies.graphreach:GraphReach",
        "maxspec": "perturb_jax.strategies.maxspec:MaxSpec",
        "graphdesign": "perturb_jax.strategies.graphdesign:GraphDesign",
        "k-center": "perturb_jax.strategies.baselines:KCenter",
        "random": "perturb_jax.strategies.baselines:Random",
        "top-degree": "perturb_jax.strategies.baselines:TopDegree",
        "uncertainty": "perturb_jax.strategies.view:Uncertainty",
        "acs-fw": "perturb_jax.strategies.acs_fw:ACSFW",
        "typiclust": "perturb_jax.strategies.typiclust:TypiClust",
        "hybrid": "perturb_jax.strategies.registry:Hybrid",
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
    """Names of the strategies that need no predictor: those that can choose before any experiment."""
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
    if hasattr(cls, "from_table"):
        made = cls.from_table(options)
    elif hasattr(cls, "__dataclass_fields__"):
        made = made_from(cls, options)
    elif options:
        raise InputError(f"{', '.join(options)}: no such setting; {name} has none: it is no dataclass")
    else:
        made = cls() if isinstance(cls, type) else cls
    check_strategy(made)
    return made


@dataclass(frozen=True)
class Hybrid(Strategy):
    """Choose with one strategy while no predictor is fitted, and with another one that reads it afterwards.

    Attributes:
        first: reads no view.
        cycles: how many cycles are its.
        then: for the others.
    """

    first: Any = option(help="The strategy of the first cycles, by name; its options are the table first_options.")
    cycles: int = option(help="How many cycles are its.", at_least=1)
    then: Any = option(help="The strategy of the others, by name; its options are the table then_options.")

    @classmethod
    def from_table(cls, table: Mapping[str, object]) -> "Hybrid":
        """A hybrid of strategies by name, with the tables `first_options` and `then_options`.

        Raises:
            InputError: keys that are not among these or are missing; what the strategies refuse.
        """
        keys = ("first", "cycles", "then", "first_options", "then_options")
        table = {key.replace("-", "_"): value for key, value in table.items()}
        problems = [f"{key}: no such setting; expected one of {', '.join(keys)}" for key in table if key not in keys]
        problems += [f"{key}: expected a value, got none" for key in keys[:3] if key not in table]
        parts: dict[str, Any] = {}
        classes = {name: STRATEGIES.get(name) for name in STRATEGIES.names}
        for role in (role for role in ("first", "then") if role in table):
            known = [name for name, one in classes.items() if one is not cls and is_one_shot(one) == (role == "first")]
            name, options = table[role], table.get(f"{role}_options", {})
            if not isinstance(name, str) or not (name in known or ".py:" in name):
                problems.append(f"{role}: expected one of {', '.join(known)}, or FILE.py:NAME; got {name!r}")
            elif not isinstance(options, Mapping):
                problems.append(f"{role}_options: expected a table of options, got {options!r}")
            else:
                try:
                    parts[role] = make_strategy(name, options)
                except InputError as error:
                    problems.append(f"{role}_options: {error}")
        if problems:
            raise InputError("; ".join(problems))
        return cls(parts["first"], table["cycles"], parts["then"])  # type: ignore[arg-type]  # checked when it is made

    def parts(self, cycle: int) -> tuple[str, ...]:
        """Those of the strategy whose cycle it is."""
        return parts_of(self.first if cycle < self.cycles else self.then, cycle)

    def choose(self, ask: Ask) -> "Selection | Sequence[str]":
        """The choice of the first strategy where there is no view, else that of the other."""
        return (self.first if ask.view is None else self.then).choose(ask)


def strategy_of(name: str, options: Mapping[str, object] = {}) -> Any:
    """The strategy of a name for several cycles, with options as TOML or JSON have them.

    One that reads a predictor in its first cycle, when none is fitted, has Random's there. A budget is a number of
    picks, so there are no costs.

    Examples:
        >>> strategy_of("hybrid", {"first": "graphreach", "cycles": 2, "then": "typiclust"}).parts(2)
        ('embedding',)
    """
    from perturb_jax.strategies.baselines import Random

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
