"""Which perturbations test, which train, and which validate: by seed, as sets of genes, kept as JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from perturb_jax.genes.perturbations import identity
from perturb_jax.support.checks import check_count, is_whole, listed
from perturb_jax.support.errors import InputError, prefixed
from perturb_jax.support.files import json_bytes, whole_file

_ROLES = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Disjoint sets of perturbations. "A+B" and "B+A" are the same perturbation.

    Attributes:
        train: what a predictor learns from.
        validation: what it may be tuned or stopped on; chosen among the selected perturbations.
        test: what it is measured on, and nothing else.
        seed: which made the split.

    Raises:
        InputError: no training or test perturbation; one without a gene, given twice, or in two sets.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        for role in ("train", "test"):
            if not getattr(self, role):
                raise InputError(f"{role}: expected at least one perturbation, got none")
        first: dict[frozenset[str], str] = {}
        for role in _ROLES:
            refuse_leak(role, getattr(self, role), first)

    def write(self, path: Path | str) -> None:
        """Store the split as JSON; InputError where it cannot be written."""
        with whole_file(Path(path)) as whole:
            whole.write_bytes(json_bytes(asdict(self), indent=1))


def read_split(path: Path | str) -> Split:
    """A split that `Split.write` stored, checked again.

    Raises:
        InputError: a file that cannot be read or holds no such split; a perturbation in two sets.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not a readable JSON file ({error})") from None
    if not isinstance(record, dict) or set(record) != {*_ROLES, "seed"}:
        raise InputError(
            f"{path}: expected a split with exactly {', '.join(_ROLES)} and seed; write it with Split.write"
        )
    for role in _ROLES:
        if not isinstance(record[role], list) or not all(isinstance(name, str) for name in record[role]):
            raise InputError(f"{path}: {role}: expected a list of perturbation names, got {record[role]!r:.80}")
    with prefixed(f"{path}: "):
        check_count("seed", record["seed"], at_least=0)
        return Split(**{role: tuple(record[role]) for role in _ROLES}, seed=record["seed"])


def choose_test(
    perturbations: Iterable[str], size: int | float, seed: int, selected: Iterable[str] = ()
) -> tuple[str, ...]:
    """Draw the test set, once per screen and before anything is selected.

    The draw depends on which perturbations there are, not on their order.

    Args:
        perturbations: all that may be tested, selected or trained on.
        size: how many (a whole number), or which fraction of them (between 0 and 1, rounded, at least one).
        seed: of the draw.
        selected: what is selected already, if anything is: it is not drawn, but counts for a fraction.

    Raises:
        InputError: a size that is neither; fewer perturbations than the test set needs, with two left to train and to
            validate, or fewer that are not selected; one without a gene or given twice.

    Complexity: O(P log P).

    Examples:
        >>> choose_test(["A", "B", "C", "D"], 0.5, seed=0) == choose_test(["D", "C", "B", "A"], 2, seed=0)
        True
    """
    names = _sorted(perturbations)
    count = _count_of(size, len(names))
    if len(names) < count + 2:
        raise InputError(
            f"test: expected at least {count + 2} perturbations ({count} to test, and one each to train and to "
            f"validate), got {len(names)}; hold out fewer"
        )
    free = list(remaining(names, selected))
    if len(free) < count:
        raise InputError(
            f"test: expected at least {count} of {len(names)} perturbations that are not selected, got {len(free)}; "
            "hold out fewer, or draw the test set first and select from the rest"
        )
    return _draw(free, count, seed)


def remaining(perturbations: Iterable[str], test: Iterable[str]) -> tuple[str, ...]:
    """The perturbations that are not tested, in their order: what may be selected."""
    tested = {identity(name) for name in test}
    return tuple(name for name in perturbations if identity(name) not in tested)


def split_selected(
    selected: Iterable[str],
    test: Sequence[str],
    seed: int,
    validation: float = 0.1,
    screen: Iterable[str] | None = None,
) -> Split:
    """Set some of the selected perturbations aside for validation, and train on the others.

    Both sets keep the order of `selected`; which perturbations validate depends on the set alone.

    Args:
        selected: what a strategy picked, at least two.
        test: the fixed test set.
        seed: of the draw.
        validation: the fraction of the selected, rounded, at least one and at most all but one.
        screen: the perturbations that were measured; None: not checked.

    Raises:
        InputError: fewer than two selected; a fraction that is not between 0 and 1; a perturbation that is also tested,
            given twice, or not in the screen.

    Examples:
        >>> split_selected(["A", "B", "C"], ["D+E"], seed=0).validation
        ('C',)
    """
    chosen = tuple(selected)
    names = _sorted(chosen)
    if len(names) < 2:
        raise InputError(f"selected: expected at least 2 perturbations (to train and to validate), got {len(names)}")
    if isinstance(validation, bool) or not isinstance(validation, float) or not 0 < validation < 1:
        raise InputError(f"validation: expected a fraction between 0 and 1, got {validation!r}")
    if screen is not None:
        measured = {identity(name) for name in screen}
        absent = [name for name in (*chosen, *test) if identity(name) not in measured]
        if absent:
            raise InputError(f"not in the screen: {listed(list(map(repr, absent)))}; select among its perturbations")
    count = min(_count_of(validation, len(names)), len(names) - 1)
    aside = set(_draw(names, count, seed))
    return Split(
        train=tuple(name for name in chosen if name not in aside),
        validation=tuple(name for name in chosen if name in aside),
        test=tuple(test),
        seed=int(seed),
    )


def _sorted(perturbations: Iterable[str]) -> list[str]:
    names = tuple(perturbations)
    refuse_leak("perturbations", names, {})
    return sorted(names, key=lambda name: sorted(identity(name)))


def refuse_leak(role: str, names: Iterable[str], first: dict[frozenset[str], str]) -> None:
    """Refuse a perturbation that is given twice, or in an earlier set; `first` collects the set of each."""
    found: dict[str, list[str]] = {}
    for name in names:
        genes = identity(name)
        if genes in first:
            found.setdefault(first[genes], []).append(name)
        first.setdefault(genes, role)
    for other, leaked in found.items():
        where = f"given twice in {role}" if other == role else f"in {other} and in {role}"
        raise InputError(
            f"{listed(list(map(repr, leaked)))} {where}; a perturbation (a set of genes) belongs to one set, once"
        )


def _count_of(size: int | float, total: int) -> int:
    if is_whole(size) and size >= 1:
        return int(size)
    if isinstance(size, float) and 0 < size < 1:
        return max(1, round(size * total))
    raise InputError(f"test: expected a count of at least 1, or a fraction between 0 and 1, got {size!r}")


def _draw(names: list[str], count: int, seed: int) -> tuple[str, ...]:
    check_count("seed", seed, at_least=0)
    order = np.random.default_rng(seed).permutation(len(names))
    return tuple(names[i] for i in sorted(order[:count].tolist()))
