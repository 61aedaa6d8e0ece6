"""Options of the commands that read a screen, and the reading."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from perturb_jax.errors import InputError
from perturb_jax.options import complete, error_or_drop
from perturb_jax.screen.screen import Screen

READING = "Reading cells"

Where = Annotated[
    list[str] | None,
    typer.Option(help="Read only the cells with COLUMN=VALUE; can be repeated.", rich_help_panel=READING),
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


class Reading(NamedTuple):
    """How a screen is to be read: what the options above say, by their names in `read_screen`."""

    where: list[str] | None
    condition: str | None
    gene_names: str | None
    control: str | None
    cell_type: str | None
    layer: str | None
    normalize: bool
    too_few: str


AS_IT_IS = Reading(None, None, None, None, None, None, normalize=False, too_few="error")
"""Where no option is given."""


def pairs_of(option: str, key: str, texts: list[str] | None) -> dict[str, str]:
    """What an option that can be repeated says: KEY=VALUE, each."""
    pairs = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"{option}: expected {key}=VALUE, got {text!r}")
        pairs[name] = value
    return pairs


def open_screen(path: Path, how: Reading, quiet: bool) -> Screen:
    """A screen that was saved, or one read from cells."""
    from perturb_jax.screen.read import read_screen  # what reads cells takes long to load
    from perturb_jax.screen.store import load_screen

    where = pairs_of("--where", "COLUMN", how.where)
    if _is_saved(path):
        if how._replace(where=how.where or None) != AS_IT_IS:
            raise InputError(f"{path}: a saved screen is used as it is; leave the options away that say how to read it")
        return load_screen(path)
    keys = how._asdict() | {"where": where or None}
    return read_screen(path, **keys, progress=False if quiet else None)


def _is_saved(path: Path) -> bool:
    import h5py

    from perturb_jax.screen.store import KEY

    try:
        with h5py.File(path) as file:
            return KEY in file.get("uns", ())
    except OSError:
        return False  # whoever reads the cells says what is wrong
