"""Options of the commands that read a screen, and the reading."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from perturb_jax.cli.options import complete, error_or_drop
from perturb_jax.screen.screen import Screen
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


class Reading(NamedTuple):
    """How a screen is to be read: what the options above say, by their names in `read_screen` and `read_pseudobulk`."""

    where: list[str] | None
    condition: str | None
    gene_names: str | None
    control: str | None
    cell_type: str | None
    layer: str | None
    normalize: bool
    too_few: str
    pseudobulk: bool
    cell_counts: str | None


AS_IT_IS = Reading(None, None, None, None, None, None, False, "error", False, None)
"""Where no option is given."""


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


def open_screen(path: Path, how: Reading, quiet: bool) -> Screen:
    """A screen that was saved, or one read from cells; from means only where that is said."""
    from perturb_jax.screen.pseudobulk import read_pseudobulk
    from perturb_jax.screen.read import read_screen  # what reads cells takes long to load
    from perturb_jax.screen.store import load_screen

    where = pairs_of("--where", "COLUMN", how.where)
    if _is_saved(path):
        if how._replace(where=how.where or None) != AS_IT_IS:
            raise InputError(f"{path}: a saved screen is used as it is; leave the options away that say how to read it")
        return load_screen(path)
    shared = {
        "condition": how.condition, "gene_names": how.gene_names, "control": how.control, "layer": how.layer,
        "normalize": how.normalize,
    }  # fmt: skip
    if how.pseudobulk:
        if how.cell_type is not None or how.too_few != "error":
            raise InputError("--cell-type, --too-few: a pseudobulk has no cells; choose its rows with --where")
        return read_pseudobulk(path, where or None, cell_counts=how.cell_counts, **shared)  # type: ignore[arg-type]
    if how.cell_counts is not None:
        raise InputError("--cell-counts: cells are counted as they are read; leave it away, or add --pseudobulk")
    if {".csv", ".tsv"} & set(path.suffixes):
        raise InputError(f"{path}: expected cells (.h5ad) or a saved screen; if these are means, add --pseudobulk")
    shared |= {"cell_type": how.cell_type, "too_few": how.too_few, "progress": False if quiet else None}
    return read_screen(path, where or None, **shared)  # type: ignore[arg-type]


def _is_saved(path: Path) -> bool:
    import h5py

    from perturb_jax.screen.store import KEY

    try:
        with h5py.File(path) as file:
            return KEY in file.get("uns", ())
    except OSError:
        return False  # whoever reads the cells says what is wrong
