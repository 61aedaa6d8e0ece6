"""Blocks of settings as flags: a command's parameter that is an `Options` class becomes a flag for each of its fields.

    @with_flags
    def check(path: Path, reading: Annotated[Reading, Block("Reading a screen")]) -> None: ...

The class is where names, help, defaults, bounds and choices are declared; this module says them in typer's words, and
says the library's errors, which name arguments, in those of the command line.
"""

import inspect
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from functools import wraps
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from perturb_jax.graph.choice import GraphChoice
from perturb_jax.screen.reading import Reading
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import Option, Options, option, options_of

if TYPE_CHECKING:
    from perturb_jax.graph.annotation import Annotation


@dataclass(frozen=True)
class Block:
    """How a command shows a class of settings: below which heading, and by field what differs from the class.

    That is flags, such as {"file": "--graph"}, defaults in words, and what a shell completes.
    """

    panel: str | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Iterable[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Flag:
    """One setting of a block as a flag: what the class declares, the flag's name, how the class is shown."""

    option: Option
    name: str
    block: Block

    @property
    def parameter(self) -> inspect.Parameter:
        """What typer reads: the flag's type, its help, its default."""
        kind, default, said = _typed(self.option), self.option.default, self.option.about.help
        if self.option.about.negative:  # "Use the weights; else every edge weighs 1."
            said = said.rpartition("; else ")[2]
            said = said[:1].upper() + said[1:] if said != self.option.about.help else said
        about: dict[str, Any] = {"help": said, "rich_help_panel": self.block.panel}
        if kind in (int, float) and (bounds := _bounds(self.option)):
            about["metavar"] = f"<{kind.__name__} range> [{bounds}]"
        if words := self.option.choices or self.block.words.get(self.option.name):
            about["autocompletion"] = complete(*map(str, words))
        if kind is bool:
            default = False
        elif default is MISSING:
            default = inspect.Parameter.empty
        else:
            shown = self.block.shown.get(self.option.name) or self.option.about.default
            default = default if isinstance(default, int | float | str) and not shown else None
            about["show_default"] = shown or default is not None
        kind = kind if kind is bool or default is inspect.Parameter.empty else kind | None
        annotation: Any = Annotated[kind, typer.Option(self.name, **about)]
        return inspect.Parameter(
            self.option.name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
        )

    def value(self, given: Any) -> Any:
        """What was given, as the class wants it."""
        if isinstance(given, bool):
            return given != bool(self.option.about.negative)
        if self.option.choices:  # what is none of them, the class refuses together with all else
            return next((word for word in self.option.choices if str(word) == given), given)
        return self.option.read(given) if isinstance(given, str | list) else given


def complete(*choices: str) -> Any:
    """A shell completion that offers some fixed words."""
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]


def flags_of(settings: type[Options], block: Block = Block()) -> tuple[Flag, ...]:
    """The flags of a class of settings: its fields that have a help and that text can say."""
    return tuple(
        Flag(one, block.flags.get(one.name) or "--" + (one.about.negative or one.name).replace("_", "-"), block)
        for one in options_of(settings)
        if one.about.help and one.is_plain
    )


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters that are classes of settings are flags instead, and whose errors name flags.

    Files that a block names are looked for before the command begins.
    """
    parameters: list[inspect.Parameter] = []
    blocks: dict[str, tuple[type[Options], tuple[Flag, ...]]] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        settings, block = _block(parameter.annotation)
        if settings is None:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        blocks[parameter.name] = settings, flags_of(settings, block)
        parameters += [flag.parameter for flag in blocks[parameter.name][1]]
    names = {one.name: flag for one in parameters for flag in _declared(one)}
    if len(names) < len(parameters):
        raise TypeError(f"{command.__name__}: two flags have one name")
    names |= {flag.removeprefix("--").replace("-", "_"): flag for flag in names.values() if flag.startswith("--")}

    @wraps(command)
    def run(**values: Any) -> None:
        values = {name: _at_home(value) for name, value in values.items()}
        given = {str(value) for value in values.values()}
        try:
            for name, (settings, flags) in blocks.items():
                values[name] = _filled(
                    settings, flags, {flag.option.name: values.pop(flag.option.name) for flag in flags}
                )
            command(**values)
        except InputError as error:
            spoken = {name: flag for name, flag in names.items() if name not in given}  # a file may be called "file"
            raise InputError(in_flags(str(error), spoken)) from None

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _at_home(value: Any) -> Any:
    """A path that begins with ~, which a shell leaves as it is in --out=~/plan."""
    if isinstance(value, list):
        return [_at_home(one) for one in value]
    if isinstance(value, str | Path) and str(value).startswith("~"):
        return type(value)(os.path.expanduser(value))  # noqa: PTH111  without an error where there is no home
    return value


def _filled(settings: type[Options], flags: tuple[Flag, ...], given: Mapping[str, Any]) -> Options:
    found, problems = {}, []
    for flag in flags:
        value = given[flag.option.name]
        if value is None or value is False or value == []:
            continue
        try:
            found[flag.option.name] = flag.value(value)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("; ".join(problems))
    try:
        filled = settings(**found)
    except InputError as error:  # no flag takes "none": it is omitted
        raise InputError(str(error).replace(", or none", "")) from None
    check_files(value for value in found.values() if isinstance(value, Path))
    return filled


def check_files(paths: Iterable[Path | None]) -> None:
    """Refuse files that do not exist, before anything slow begins."""
    for path in paths:
        if path is not None and not path.exists():
            raise InputError(f"{path}: no such file")


def in_flags(message: str, names: Mapping[str, str]) -> str:
    """A library's message with the flags of a command where it names arguments; `names`: argument -> flag.

    Examples:
        >>> in_flags("min_jaccard: too large", {"min_jaccard": "--min-jaccard"})
        '--min-jaccard: too large'
        >>> in_flags("A: not in the graph; unknown='drop' leaves it out", {"unknown": "--unknown"})
        'A: not in the graph; --unknown drop leaves it out'
    """

    def flag_of(word: str) -> str:
        return names.get(word, word)

    def subject(match: re.Match[str]) -> str:
        words = match["words"].split(", ")
        known = all(word.replace("-", "_") in names for word in words)
        return match["before"] + ", ".join(names[word.replace("-", "_")] if known else word for word in words) + ": "

    def setting(match: re.Match[str]) -> str:
        flag, value = names.get(match["name"]), match["value"]
        if flag is None or value == "False":
            return match[0]
        if pair := re.fullmatch(r"\{'(.+?)': '?(.+?)'?\}", value):
            return f"{flag} {pair[1]}={pair[2]}"
        return flag if value in ("True", "...") else f"{flag} {value.strip(chr(39))}"

    message = re.sub(r"\bboth (\w+) and (\w+)", lambda two: "both " + " and ".join(map(flag_of, two.groups())), message)
    message = re.sub(r"(?P<before>^|; )(?P<words>[a-z][a-z_-]*(?:, [a-z][a-z_-]*)*): ", subject, message)
    return re.sub(
        r"\b(?P<name>[a-z_]+)=(?P<value>'[^']*'|\{[^}]*\}|\.\.\.|True|False|[A-Z]+\b|\d[\d.]*\b)", setting, message
    )


def _block(annotation: Any) -> tuple[type[Options] | None, Block]:
    kind, *about = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    if not (isinstance(kind, type) and issubclass(kind, Options)):
        return None, Block()
    return kind, next((one for one in about if isinstance(one, Block)), Block())


def _declared(parameter: inspect.Parameter) -> Iterator[str]:
    """The flag of a parameter; arguments, and what typer names itself, by their names."""
    for about in get_args(parameter.annotation)[1:]:
        if isinstance(about, typer.models.OptionInfo):
            said = (about.default, *(about.param_decls or ()))  # typer takes a first name for a default
            named = [word for word in said if isinstance(word, str) and word.startswith("--")]
            yield named[0] if named else f"--{parameter.name.replace('_', '-')}"
            return
    yield parameter.name


def _typed(one: Option) -> Any:
    """The type in which typer reads it: text where only the option itself can read it."""
    kinds = [kind for kind in one.kinds if kind is not NoneType]
    if one.is_mapping:
        return list[str]
    return kinds[0] if len(kinds) == 1 and kinds[0] in (bool, int, float, Path) else str


def _bounds(one: Option) -> str:
    """What numbers it takes, as click writes it."""
    about = one.about
    lower, least = ("<", about.above) if about.at_least is None else ("<=", about.at_least)
    upper, most = ("<", about.below) if about.at_most is None else ("<=", about.at_most)
    if most is None:
        return "" if least is None else f"x{lower.replace('<', '>')}{least:g}"
    return f"x{upper}{most:g}" if least is None else f"{least:g}{lower}x{upper}{most:g}"


GRAPH, OUTPUT = "Knowledge graph", "Output"


@dataclass(frozen=True)
class Candidates(Options):
    """Which perturbations there are to choose from."""

    candidates: Path | None = option(
        None, "Genes to choose from: text (a name per line), .csv/.tsv, or .h5ad (its perturbations)."
    )
    candidates_go: str | None = option(None, "Choose from the genes that carry this GO term directly, e.g. GO:0003700.")
    column: str | None = option(None, "Column of the candidates' table with the names.")
    unknown: Literal["error", "drop"] = option(
        "error", "Genes that are not in the graph: 'error', or 'drop' and report them."
    )

    @property
    def given(self) -> bool:
        """Whether any are named."""
        return self.candidates is not None or self.candidates_go is not None

    def check(self) -> None:
        """Refuse none, two sources, and a column of no table."""
        if (self.candidates is None) == (self.candidates_go is None):
            got = "both" if self.given else "neither"
            raise InputError(f"expected either --candidates FILE or --candidates-go GO:ID, got {got}")
        if self.candidates is None and self.column is not None:
            raise InputError("column: expected a table given with --candidates, got --candidates-go; omit --column")

    def names(self, annotation: "Annotation") -> list[str]:
        """The names of the candidates: from a file, or by a GO term."""
        self.check()
        if self.candidates is not None:
            return names_in(self.candidates, self.column)
        assert self.candidates_go is not None
        return list(annotation.genes_with(self.candidates_go))


def names_in(path: Path | None, column: str | None = None) -> list[str]:
    """The names in a file, if there is one."""
    from perturb_jax.genes.lists import read_names

    return [] if path is None else read_names(path, column)


def output_flag(flag: str, help: str, **about: Any) -> Any:  # noqa: A002  (as typer calls it)
    """A flag about what a command writes."""
    return typer.Option(flag, help=help, rich_help_panel=OUTPUT, **about)


TheGraph = Annotated[GraphChoice, Block(GRAPH, {"file": "--graph"})]
TheGraphOfAScreen = Annotated[
    GraphChoice, Block(GRAPH, {"file": "--graph"}, {"universe": "the measured and the perturbed"})
]
HowToRead = Annotated[Reading, Block("Reading a screen")]
# as text: a path would make the current directory of an empty one
Out = Annotated[str, output_flag("--out", "Directory for the files.", metavar="<path>")]
OutIfWanted = Annotated[str | None, output_flag("--out", "Directory for the files.", metavar="<path>")]
Force = Annotated[bool, output_flag("--force", "Replace files that exist.")]
Quiet = Annotated[bool, output_flag("--quiet", "Print no report, only warnings and errors.")]
AsJson = Annotated[bool, output_flag("--json", "Print the record as JSON.")]
SCREEN_HELP = "An .h5ad file of cells, a saved screen, or with --pseudobulk means."
ScreenFile = Annotated[Path, typer.Option("--screen", help=SCREEN_HELP)]


def size_of(text: str, expected: str) -> int | float:
    """What --test says of the size of a test set."""
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise InputError(f"test: expected {expected}, got {text!r}") from None


def one_of(names: Iterable[str]) -> str:
    """Help of an option that is one of some names."""
    return f"One of {', '.join(names)}, or FILE.py:NAME."
