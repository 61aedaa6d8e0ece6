"""The command that draws a screen's test set before anything is selected."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from perturb_jax.cli.options import OUTPUT, Force, Quiet
from perturb_jax.cli.printing import print_line
from perturb_jax.cli.screen_options import (
    CellCounts,
    CellTypeKey,
    ConditionKey,
    ControlName,
    GeneNamesKey,
    LayerName,
    Normalize,
    Pseudobulk,
    TooFewCells,
    Where,
    pairs_of,
    size_of,
)
from perturb_jax.screen.reading import Reading, open_screen
from perturb_jax.support.files import OutputDirectory

FILES = ("test.txt", "candidates.txt")
out = Console()


def split(
    screen_file: Annotated[
        Path, typer.Option("--screen", help="An .h5ad file of cells, a saved screen, or with --pseudobulk means.")
    ],
    output: Annotated[
        str, typer.Option("--out", metavar="<path>", help="Directory for the files.", rich_help_panel=OUTPUT)
    ],
    test: Annotated[str, typer.Option(help="Perturbations to test on: a share or a count.")] = "0.1",
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    where: Where = None,
    condition: ConditionKey = None,
    gene_names: GeneNamesKey = None,
    control: ControlName = None,
    cell_type: CellTypeKey = None,
    layer: LayerName = None,
    normalize: Normalize = False,
    too_few: TooFewCells = "error",
    pseudobulk: Pseudobulk = False,
    cell_counts: CellCounts = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Draw the test set of a screen, before anything is selected.

    Writes test.txt, for train --test, and candidates.txt, all others, for select --candidates.
    """
    from perturb_jax.screen.split import choose_test, remaining

    files = OutputDirectory(output, FILES, force)
    size = size_of(test, "a share or a count")
    reading = Reading(
        pairs_of("--where", "COLUMN", where) or None, condition, gene_names, control, cell_type, layer, normalize,
        too_few, pseudobulk, cell_counts,  # type: ignore[arg-type]
    )  # fmt: skip
    screen = open_screen(screen_file, reading, False if quiet else None)
    tested = choose_test(screen.perturbations, size, seed)
    others = remaining(screen.perturbations, tested)
    lists = {name: "\n".join(names) + "\n" for name, names in zip(FILES, (tested, others), strict=True)}
    paths = files.write({name: text.encode() for name, text in lists.items()})
    if not quiet:
        print_line(out, f"{len(tested)} perturbations to test on, {len(others)} to select from")
        print_line(out, "wrote " + ", ".join(map(str, paths)))
