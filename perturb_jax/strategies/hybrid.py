"""Hybrid: one strategy for the first cycles, another one afterwards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perturb_jax.strategies.strategy import Ask, Strategy, is_one_shot, parts_of
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import option
from perturb_jax.support.registry import Registry

if TYPE_CHECKING:
    from perturb_jax.selection.selection import Selection

_KEYS = ("first", "cycles", "then", "first_options", "then_options")


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
    def of_strategies(
        cls, table: Mapping[str, object], strategies: Registry[Any], make: Callable[..., Any]
    ) -> "Hybrid":
        """A hybrid of strategies by name, with the tables `first_options` and `then_options`.

        Args:
            table: the options.
            strategies: the strategies by name.
            make: a strategy from its name and its options.

        Raises:
            InputError: keys that are not among these or are missing; what the strategies refuse.
        """
        table = {key.replace("-", "_"): value for key, value in table.items()}
        problems = [f"{key}: no such setting; expected one of {', '.join(_KEYS)}" for key in table if key not in _KEYS]
        problems += [f"{key}: expected a value, got none" for key in _KEYS[:3] if key not in table]
        parts: dict[str, Any] = {"first": None, "then": None}
        for role, one_shot in (("first", True), ("then", False)):
            known = [
                name
                for name in strategies.names
                if strategies.get(name) is not cls and is_one_shot(strategies.get(name)) == one_shot
            ]
            name, options = table.get(role), table.get(f"{role}_options", {})
            if role not in table:
                continue
            if not isinstance(name, str) or not (name in known or ".py:" in name):
                problems.append(f"{role}: expected one of {', '.join(known)}, or FILE.py:NAME; got {name!r}")
            elif not isinstance(options, Mapping):
                problems.append(f"{role}_options: expected a table of options, got {options!r}")
            else:
                try:
                    parts[role] = make(name, options)
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
