"""Gene names: positions, old symbols, and what to say when a name is not known."""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from perturb_jax.support.checks import listed
from perturb_jax.support.errors import InputError

Unknown = Literal["error", "drop"]
"""What to do with a name that is not known: raise, or leave it out and report it."""

_SHOWN = 5


class Resolution(NamedTuple):
    """How given names were understood."""

    given: tuple[str, ...]  # those that were, in their order
    genes: tuple[str, ...]  # their current names, aligned with `given`
    renamed: dict[str, str]  # old symbols, with the current names
    dropped: dict[str, str]  # names left out, with the reason


class GeneNames:
    """An ordered set of unique gene names. Equal when the names are equal; usable as static jit data.

    With `aliases`, other names, each with every symbol that it may mean; messages call the set `where`.
    """

    def __init__(self, genes: Sequence[str], aliases: Mapping[str, tuple[str, ...]] | None = None, where: str = ""):
        self.genes = tuple(genes)
        self.aliases = aliases or {}
        self.where = where or "the graph"

    @cached_property
    def position(self) -> dict[str, int]:
        """Name to number."""
        return {gene: i for i, gene in enumerate(self.genes)}

    @cached_property
    def _hash(self) -> int:
        return hash(self.genes)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type["GeneNames"], tuple[Any, ...]]:
        return GeneNames, (self.genes, self.aliases, self.where)  # another process hashes text differently

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, GeneNames) and self.genes == other.genes)

    def __len__(self) -> int:
        return len(self.genes)

    def index(self, names: Iterable[str]) -> Int[np.ndarray, " names"]:
        """The numbers of some names; old symbols are resolved."""
        return np.array([self.position[gene] for gene in self.resolve(names).genes], np.int32)

    def resolve(self, names: Iterable[str], unknown: Unknown = "error", distinct: bool = True) -> Resolution:
        """Understand names, each given once: a current name as itself, an unambiguous old symbol as its current name.

        Unknown and ambiguous names raise an error or are dropped and reported; if `distinct`, two names of one gene
        are refused.
        """
        if unknown not in ("error", "drop"):
            raise InputError(f"unknown: expected 'error' or 'drop', got {unknown!r}")
        names = _clean(names)
        found: dict[str, str] = {}
        missing: list[str] = []
        ambiguous: dict[str, tuple[str, ...]] = {}
        for name in names:
            choices = (name,) if name in self.position else self.aliases.get(name, ())
            if len(choices) > 1:
                ambiguous[name] = choices
            elif choices and choices[0] in self.position:
                found[name] = choices[0]
            else:
                missing.append(name)
        if unknown == "error":
            self._refuse(missing, ambiguous)
        if distinct:
            _refuse_same_gene(found)
        dropped = dict.fromkeys(missing, f"not in {self.where}")
        dropped |= {name: f"ambiguous: {' or '.join(choices)}" for name, choices in ambiguous.items()}
        return Resolution(
            given=tuple(found),
            genes=tuple(found.values()),
            renamed={name: gene for name, gene in found.items() if name != gene},
            dropped={name: dropped[name] for name in names if name in dropped},
        )

    def close_to(self, name: str, count: int = 3) -> list[str]:
        """The known names most like an unknown one: the same in another case, else by edit similarity."""
        same = [gene for gene in self.genes if gene.casefold() == name.casefold()]
        return same[:count] or difflib.get_close_matches(name.upper(), self.genes, count, cutoff=0.7)

    def _refuse(self, missing: list[str], ambiguous: Mapping[str, tuple[str, ...]]) -> None:
        if ambiguous:
            meant = listed([f"{name} (now {' or '.join(choices)})" for name, choices in ambiguous.items()])
            raise InputError(f"ambiguous old gene symbols: {meant}; write the current symbol that is meant")
        if missing:
            shown = [self._with_suggestion(name) for name in missing[:_SHOWN]] + missing[_SHOWN:]
            raise InputError(
                f"{_count(missing, 'gene')} not in {self.where}: {listed(shown)}; correct the spelling, or leave "
                "unknown genes out with unknown='drop'"
            )

    def _with_suggestion(self, name: str) -> str:
        close = self.close_to(name)
        return f"{name!r} (did you mean {', '.join(close)}?)" if close else repr(name)


def _clean(names: Iterable[str]) -> tuple[str, ...]:
    names = (names,) if isinstance(names, str) else tuple(names)
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise InputError(f"gene names: expected text, got {name!r} at position {i + 1}")
        if not name.strip():
            raise InputError(f"gene names: the name at position {i + 1} is blank; remove it")
        if name != name.strip():
            raise InputError(f"gene names: {name!r} has spaces around it; remove them")
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise InputError(f"{_count(repeated, 'gene')} given more than once: {listed(repeated)}; give each once")
    return names


def _refuse_same_gene(found: Mapping[str, str]) -> None:
    first: dict[str, str] = {}
    for name, gene in found.items():
        other = first.setdefault(gene, name)
        if other != name:
            raise InputError(f"{other!r} and {name!r} are names of one gene, {gene}; give it once")


def _count(items: Sequence[str], noun: str) -> str:
    return f"{len(items)} {noun}{'s' if len(items) > 1 else ''}"
