"""The command that writes a simulated screen."""

from pathlib import Path
from typing import Annotated

import typer

from perturb_jax.cli.blocks import (
    OUTPUT,
    Force,
    Quiet,
    TheGraph,
    Unknown,
    names_in,
)
from perturb_jax.cli.flags import with_flags
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import OutputDirectory


@with_flags
def simulate(
    output: Annotated[Path, typer.Option("--out", help="The .h5ad file to write.", rich_help_panel=OUTPUT)],
    choice: TheGraph,
    perturbations: Annotated[str, typer.Option(help="How many genes to perturb, or a file of perturbations.")] = "100",
    genes: Annotated[str, typer.Option(help="How many genes to measure, or a file of them.")] = "1000",
    cells: Annotated[int, typer.Option(help="Cells of each perturbation.")] = 100,
    control_cells: Annotated[
        int | None, typer.Option(help="Unperturbed cells.", show_default="ten times --cells")
    ] = None,
    homophily: Annotated[
        float, typer.Option(help="Share of the effects' variance that is smooth over the graph, 0 to 1.")
    ] = 0.5,
    hops: Annotated[int, typer.Option(help="Steps over which it is smooth.")] = 1,
    seed: Annotated[int, typer.Option(help="Of genes, effects and cells.")] = 0,
    unknown: Unknown = "error",
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Write cells of a simulated screen, named as GEARS wants them, whose effects follow the knowledge graph."""
    from perturb_jax.screen.simulate import simulate_screen  # what draws cells takes long to load

    if output.suffix != ".h5ad":
        raise InputError(f"output: expected a file that ends with .h5ad, got {output}")
    OutputDirectory(output.parent, [output.name], force)  # whether it can be written, before the work
    asked = (_count_or_names("perturbations", perturbations), _count_or_names("genes", genes))
    graph = choice.build(unknown)
    try:
        screen = simulate_screen(
            graph, *asked, cells, control_cells=control_cells, homophily=homophily, hops=hops, seed=seed, path=output,
            unknown=unknown,
        )  # fmt: skip
    except OSError as error:
        raise InputError(f"{output}: cannot be made ({error})") from None
    if not quiet:
        typer.echo(repr(screen))
        typer.echo(f"wrote {output}")


def _count_or_names(option: str, text: str) -> int | list[str]:
    if Path(text).is_file():
        return names_in(Path(text))
    if not text.isdecimal():
        raise InputError(f"{option}: expected a number or a file, got {text!r}")
    return int(text)
