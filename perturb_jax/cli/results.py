"""The commands that turn the results of an experiment into tables and figures."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from perturb_jax.cli.flags import AsJson, Force, Quiet, output_flag, with_flags
from perturb_jax.cli.printing import out, print_lines, print_table, print_wrote
from perturb_jax.support.extras import require
from perturb_jax.support.files import OutputDirectory

if TYPE_CHECKING:
    from perturb_jax.analysis.tables import TextTable


_NEEDED = ("results of experiments", "pyarrow", "pydantic")
_STYLES = {"": "", "better": "bold", "worse": "italic"}

ResultsDirectory = Annotated[
    Path, typer.Argument(metavar="DIR", help="What perturb-jax run wrote.", show_default=False)
]
Baseline = Annotated[str, typer.Option(help="The strategy that the others are compared with, seed by seed.")]


@with_flags
def table(
    directory: ResultsDirectory,
    output: Annotated[
        str | None, output_flag("--out", "Directory for the tables.", metavar="<path>", show_default="DIR/tables")
    ] = None,
    baseline: Baseline = "random",
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Tabulate an experiment: errors at the last cycle, differences to Random with intervals, areas, seconds.

    Writes table.md and table.tex (for people), and with all metrics and digits table.csv, differences.csv, curves.csv,
    difference_curves.csv, areas.csv, times.csv, costs.csv, predictors.csv (each less the first), stability.csv,
    incomplete.csv (what is left out) and tables.json.
    """
    require(*_NEEDED)
    from perturb_jax.analysis.results import read_results
    from perturb_jax.analysis.summary import summarise
    from perturb_jax.analysis.tables import FILES, main_table, table_files, tables_record

    results = read_results(directory)
    files = OutputDirectory(output or str(directory / "tables"), FILES, force)
    summary = summarise(results, baseline)
    paths = files.write(table_files(summary, results.record))
    if as_json:
        typer.echo(json.dumps(tables_record(summary, results.record), indent=2, ensure_ascii=False))
    elif not quiet:
        for predictor in summary.runs.predictors:
            _print_table(main_table(summary, predictor))
        print_lines(out, *summary.notes[1:])
        print_wrote(paths)


def _print_table(table: "TextTable") -> None:
    print_lines(out, table.caption)
    rows = ((Text(cell.text, style=_STYLES[cell.mark]) for cell in row) for block in table.blocks for row in block)
    print_table(out, table.header, table.header[: table.words], rows)
    print_lines(out, "")


@with_flags
def plot(
    directory: ResultsDirectory,
    output: Annotated[
        str | None, output_flag("--out", "Directory for the figures.", metavar="<path>", show_default="DIR/figures")
    ] = None,
    baseline: Baseline = "random",
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Draw an experiment: learning curves, differences to Random, stability of selections, areas, seconds.

    Writes each figure as .png and .pdf.
    """
    require(*_NEEDED)
    from perturb_jax.analysis.figures import figure_files, figure_names
    from perturb_jax.analysis.results import read_results
    from perturb_jax.analysis.summary import summarise

    summary = summarise(read_results(directory), baseline)
    files = OutputDirectory(output or str(directory / "figures"), figure_names(summary), force)
    paths = files.write(figure_files(summary))
    if not quiet:
        print_lines(out, *summary.notes)
        print_wrote(paths)
