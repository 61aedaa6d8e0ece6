"""What several commands share: the blocks of settings with their headings, files of names, where results go."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perturb_jax.cli.flags import Block, complete
from perturb_jax.graph.choice import GraphChoice
from perturb_jax.screen.reading import Reading
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import Options, option

if TYPE_CHECKING:
    from perturb_jax.graph.annotation import Annotation

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
        """Refuse none, two sources, and a column of no table.

        Raises:
            InputError: such.
        """
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


TheGraph = Annotated[GraphChoice, Block(GRAPH, {"file": "--graph"})]
TheGraphOfAScreen = Annotated[
    GraphChoice, Block(GRAPH, {"file": "--graph"}, {"universe": "the measured and the perturbed"})
]
HowToRead = Annotated[Reading, Block("Reading a screen")]
Unknown = Annotated[
    Literal["error", "drop"],
    typer.Option(
        help="Genes that are not in the graph: 'error', or 'drop' and report them.",
        autocompletion=complete("error", "drop"),
    ),
]
Out = Annotated[  # as text: a path would make the current directory of an empty one
    str, typer.Option("--out", metavar="<path>", help="Directory for the files.", rich_help_panel=OUTPUT)
]
OutIfWanted = Annotated[
    str | None, typer.Option("--out", metavar="<path>", help="Directory for the files.", rich_help_panel=OUTPUT)
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.", rich_help_panel=OUTPUT)]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Print no report, only warnings and errors.", rich_help_panel=OUTPUT)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the record as JSON.", rich_help_panel=OUTPUT)]
ScreenFile = Annotated[
    Path, typer.Option("--screen", help="An .h5ad file of cells, a saved screen, or with --pseudobulk means.")
]


def size_of(text: str, expected: str) -> int | float:
    """What --test says of the size of a test set."""
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise InputError(f"test: expected {expected}, got {text!r}") from None


def one_of(names: Iterable[str]) -> str:
    """Help of an option that is one of some names."""
    return f"One of {', '.join(names)}, or FILE.py:NAME."
