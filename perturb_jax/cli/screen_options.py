"""Options of the commands that read a screen."""

from typing import Annotated

import typer

from perturb_jax.cli.options import complete, error_or_drop
from perturb_jax.support.errors import InputError

READING = "Reading a screen"

Where = Annotated[
    list[str] | None,
    typer.Option(
        help="Read only the cells with COLUMN=VALUE; can be repeated for other columns.", rich_help_panel=READING
    ),
]
ConditionKey = Annotated[
    str | None, typer.Option("--condition", help="The cells' column with the conditions.", rich_help_panel=READING)
]
GeneNamesKey = Annotated[
    str | None, typer.Option("--gene-names", help="The genes' column with their names.", rich_help_panel=READING)
]
ControlName = Annotated[
    str | None, typer.Option("--control", help="What control cells are called.", rich_help_panel=READING)
]
CellTypeKey = Annotated[
    str | None, typer.Option("--cell-type", help="The cells' column with the cell types.", rich_help_panel=READING)
]
LayerName = Annotated[
    str | None,
    typer.Option("--layer", help="The layer with the values.", show_default="X", rich_help_panel=READING),
]
Normalize = Annotated[bool, typer.Option("--normalize", help="The values are raw counts.", rich_help_panel=READING)]
TooFewCells = Annotated[
    str,
    typer.Option(
        "--too-few",
        help="Perturbations with fewer than 2 cells: 'error', or 'drop' and report them.",
        autocompletion=complete("error", "drop"),
        callback=error_or_drop,
        rich_help_panel=READING,
    ),
]


Pseudobulk = Annotated[
    bool,
    typer.Option(
        "--pseudobulk",
        help="The file is no file of cells but of means, a row per condition: .csv, .tsv or .h5ad.",
        rich_help_panel=READING,
    ),
]
CellCounts = Annotated[
    str | None,
    typer.Option("--cell-counts", help="A pseudobulk's column with numbers of cells.", rich_help_panel=READING),
]


def pairs_of(option: str, key: str, texts: list[str] | None) -> dict[str, str]:
    """What an option that can be repeated says: KEY=VALUE, each."""
    pairs = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"{option}: expected {key}=VALUE, got {text!r}")
        if name in pairs:
            raise InputError(f"{option}: {name} is given twice; give each {key} one VALUE")
        pairs[name] = value
    return pairs


def size_of(text: str, expected: str) -> int | float:
    """What --test says of the size of a test set."""
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise InputError(f"--test: expected {expected}, got {text!r}") from None
