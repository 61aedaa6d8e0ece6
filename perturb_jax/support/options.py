"""Settings declared once, as a frozen dataclass: checks, TOML keys, flags and help texts read what its fields say.

    @dataclass(frozen=True)
    class LeastConnected(Options):
        hops: int = option(1, "Layers of graph convolution.", at_least=1)
        direction: Literal["in", "out"] = option("in", "Whose edges count.")

Values are checked when an instance is made, all of them before anything is said. A field that is declared without
`option` is checked by its type too and has no help; one whose type no text can say (an array, a kernel) is for Python
alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from operator import ge, gt, le, lt
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from perturb_jax.support.checks import is_number, is_whole
from perturb_jax.support.errors import InputError

Settings = TypeVar("Settings")

_KEY = "perturb_jax option"
_WORDS = {
    bool: "true or false", int: "a whole number", float: "a finite number", str: "text", Path: "a file",
    NoneType: "none",
}  # fmt: skip


class _About(NamedTuple):
    help: str = ""
    above: int | float | None = None
    at_least: int | float | None = None
    below: int | float | None = None
    at_most: int | float | None = None
    negative: str = ""
    default: str = ""
    key: str = ""


def option(
    default: Any = MISSING,
    help: str = "",  # noqa: A002  (as argparse, click and typer call it)
    *,
    above: int | float | None = None,
    at_least: int | float | None = None,
    below: int | float | None = None,
    at_most: int | float | None = None,
    negative: str = "",
    shown: str = "",
    key: str = "",
    compare: bool = True,
) -> Any:
    """A field of a dataclass of settings.

    Args:
        default: its value where none is given.
        help: one sentence for people who plan screens.
        above: numbers must be larger.
        at_least: numbers must not be smaller.
        below: numbers must be smaller.
        at_most: numbers must not be larger.
        negative: for one that is true by default: the word for its being false, as "unweighted" for weighted.
        shown: the default in words, where the value does not speak for itself.
        key: for a mapping: what its keys are called, as in COLUMN=VALUE.
        compare: whether settings that differ in it alone are different, and have different results.
    """
    about = _About(help, above, at_least, below, at_most, negative, shown, key)
    return field(default=default, compare=compare, metadata={_KEY: about})


@dataclass(frozen=True)
class Option:
    """One setting, as its field declares it."""

    name: str
    kinds: tuple[Any, ...]  # the types that it may have; None's among them where it may be left open
    default: Any  # `dataclasses.MISSING` where a value must be given
    about: _About

    @property
    def choices(self) -> tuple[Any, ...]:
        """The words that it is one of; none where it is no such choice."""
        return tuple(word for kind in self.kinds if get_origin(kind) is Literal for word in get_args(kind))

    @property
    def is_mapping(self) -> bool:
        """Whether it holds values by key: a table in TOML, KEY=VALUE once or more where text says it."""
        return any(get_origin(kind) is Mapping for kind in self.kinds)

    @property
    def is_plain(self) -> bool:
        """Whether text can say each of its values."""
        return all(_is_plain(kind) for kind in self.kinds)

    def problem(self, value: object) -> str:
        """What is wrong with a value, as "expected ..., got ..."; empty if nothing is."""
        if not self.is_plain or any(self._fits(value, kind) for kind in self.kinds):
            return ""
        return f"expected {self._expected()}, got {value!r}"

    def read(self, text: str | Sequence[str]) -> Any:
        """The value that text says; of a mapping several texts KEY=VALUE."""
        if self.is_mapping:
            return self._read_pairs([text] if isinstance(text, str) else text)
        if not isinstance(text, str):
            raise InputError(f"{self.name}: expected one value, got {len(text)}")
        numbers = int in self.kinds or float in self.kinds
        for kind in sorted(self.kinds, key=lambda kind: kind is not NoneType):  # "none" before any text
            try:
                value = _read(text, kind)
            except ValueError:
                continue
            if kind is Path and numbers and not value.exists():  # a number out of bounds, or mistyped
                continue
            if self._fits(value, kind):
                return value
        raise InputError(f"{self.name}: expected {self._expected()}, got {text!r}")

    def _read_pairs(self, texts: Sequence[str]) -> dict[str, str] | None:
        key, pairs = self.about.key or "KEY", {}
        for text in texts:
            name, equals, value = text.partition("=")
            if not equals:
                raise InputError(f"{self.name}: expected {key}=VALUE, got {text!r}")
            if name in pairs:
                raise InputError(f"{self.name}: {name} is given twice; give each {key} one VALUE")
            pairs[name] = value
        return pairs or None

    def _fits(self, value: object, kind: Any) -> bool:
        if get_origin(kind) is tuple:
            of = get_args(kind)[0]
            return isinstance(value, tuple) and len(value) > 0 and all(self._fits(one, of) for one in value)
        if get_origin(kind) is Mapping:
            return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
        if get_origin(kind) is Literal:
            return value in get_args(kind)
        if kind in (int, float):
            is_one = is_whole(value) if kind is int else is_number(value)
            return is_one and all(holds(value, limit) for _, holds, limit in self._bounds())
        return kind not in _WORDS or isinstance(value, kind)

    def _bounds(self) -> list[tuple[str, Callable[[Any, Any], bool], int | float]]:
        """The limits that are given, each in words and as a comparison."""
        about = self.about
        bounds = (
            ("above", gt, about.above), ("of at least", ge, about.at_least), ("below", lt, about.below),
            ("of at most", le, about.at_most),
        )  # fmt: skip
        return [(words, holds, limit) for words, holds, limit in bounds if limit is not None]

    def _expected(self) -> str:
        return ", or ".join(map(self._described, sorted(self.kinds, key=lambda kind: kind is NoneType)))

    def _described(self, kind: Any) -> str:
        if get_origin(kind) is tuple:
            of = {int: "whole numbers such as 1, 2, 3", float: "numbers such as 0.1, 1, 10"}
            return f"a list of {of.get(get_args(kind)[0], 'names')}"
        if get_origin(kind) is Mapping:
            return f"a table of values by {(self.about.key or 'name').lower()}"
        if get_origin(kind) is Literal:
            return f"one of {', '.join(map(str, get_args(kind)))}"
        if kind in (int, float):
            limits = " and ".join(f"{words} {limit:g}" for words, _, limit in self._bounds())
            return f"{_WORDS[kind]} {limits}".rstrip()
        return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))


@dataclass(frozen=True)
class Options:
    """What settings inherit: the check when they are made.

    Raises:
        InputError: values that their fields do not allow, all of them.
    """

    def __post_init__(self) -> None:
        wrong = {one.name: one.problem(getattr(self, one.name)) for one in options_of(self)}
        _refuse(f"{name}: {problem}" for name, problem in wrong.items() if problem)


def options_of(settings: Any) -> tuple[Option, ...]:
    """The settings that a dataclass, or an instance of one, declares, in order; "name" is what tables call it."""
    return _options_of(settings if isinstance(settings, type) else type(settings))


@lru_cache(None)
def _options_of(cls: type) -> tuple[Option, ...]:
    hints = get_type_hints(cls)
    kinds = {key: get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,) for key, hint in hints.items()}
    declared = [one for one in fields(cls) if one.init and one.name != "name"]
    return tuple(Option(one.name, kinds[one.name], one.default, one.metadata.get(_KEY, _About())) for one in declared)


def made_from(cls: type[Settings], table: Mapping[str, object]) -> Settings:
    """An instance of a dataclass of settings from a table as TOML or JSON have it."""
    known = {one.name: one for one in options_of(cls) if one.is_plain or one.about.help}
    values = {key.replace("-", "_"): _as_tuple(value) for key, value in table.items()}
    values |= {key: _as_path(value, known[key]) for key, value in values.items() if key in known}
    problems = [_no_such(key, known) for key in values if key not in known]
    wrong = {key: known[key].problem(value) for key, value in values.items() if key in known}
    problems += [f"{key}: {problem}" for key, problem in wrong.items() if problem]
    absent = [one.name for one in known.values() if one.default is MISSING and one.name not in values]
    problems += [f"{name}: expected a value, got none" for name in absent]
    _refuse(problems)
    return cls(**{key: _as_float(value, known[key].kinds) for key, value in values.items()})


def read_texts(cls: type[Any], texts: Mapping[str, str | Sequence[str]]) -> dict[str, Any]:
    """The values that texts say of settings, by name."""
    known = {one.name: one for one in options_of(cls) if one.is_plain}
    values, problems = {}, []
    for key, text in texts.items():
        name = key.replace("-", "_")
        if name not in known:
            problems.append(_no_such(key, known))
            continue
        try:
            values[name] = known[name].read(text)
        except InputError as error:
            problems.append(str(error))
    _refuse(problems)
    return values


def changed_options(settings: Any) -> dict[str, Any]:
    """The settings that differ from their defaults."""
    values = {one.name: (getattr(settings, one.name), one.default) for one in options_of(settings)}
    return {name: value for name, (value, default) in values.items() if value is not default and value != default}


def _no_such(key: str, known: Iterable[str]) -> str:
    names = ", ".join(known)
    return f"{key}: no such setting; " + (f"expected one of {names}" if names else "there are none")


def _refuse(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        raise InputError("; ".join(found))


def _as_tuple(value: object) -> object:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def _as_path(value: object, one: Option) -> object:
    return Path(value) if isinstance(value, str) and Path in one.kinds and value not in one.choices else value


def _as_float(value: object, kinds: tuple[Any, ...]) -> object:
    """TOML's 1 where a number like 1.0 is meant."""
    if isinstance(value, tuple):
        parts = tuple(get_args(kind)[0] for kind in kinds if get_origin(kind) is tuple)
        return tuple(_as_float(one, parts) for one in value) if parts else value
    return float(value) if float in kinds and int not in kinds and is_whole(value) else value  # type: ignore[arg-type]


def _is_plain(kind: Any) -> bool:
    if get_origin(kind) is tuple:
        return get_args(kind)[0] in _WORDS
    return get_origin(kind) is Mapping or kind in _WORDS or get_origin(kind) is Literal


def _read(text: str, kind: Any) -> Any:
    """A value of a type; ValueError where the text is none."""
    if get_origin(kind) is tuple:
        return tuple(_read(part.strip(), get_args(kind)[0]) for part in text.split(","))
    if get_origin(kind) is Literal:
        return get_args(kind)[[str(word) for word in get_args(kind)].index(text)]
    if kind is bool:
        return bool(("false", "true").index(text.lower()))
    if kind is NoneType:
        return (None,)[("none",).index(text.lower())]
    return kind(text)
