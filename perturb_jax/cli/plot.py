"""The command that draws the results of an experiment."""

from typing import Annotated

import typer

from perturb_jax.cli.blocks import OUTPUT, Force, Quiet
from perturb_jax.cli.flags import with_flags
from perturb_jax.cli.printing import out, print_line, print_wrote
from perturb_jax.cli.table import Baseline, ResultsDirectory
from perturb_jax.support.files import OutputDirectory


@with_flags
def plot(
    directory: ResultsDirectory,
    output: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="<path>",
            help="Directory for the figures.",
            show_default="DIR/figures",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    baseline: Baseline = "random",
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Draw an experiment: learning curves, differences to Random, stability of selections, areas, seconds.

    Writes each figure as .png and .pdf.
    """
    from perturb_jax.analysis.figures import figure_files, figure_names
    from perturb_jax.analysis.results import read_results
    from perturb_jax.analysis.summary import summarise

    summary = summarise(read_results(directory), baseline)
    files = OutputDirectory(output or str(directory / "figures"), figure_names(summary), force)
    paths = files.write(figure_files(summary))
    if not quiet:
        for note in summary.notes:
            print_line(out, note)
        print_wrote(paths)
