"""The command that trains a predictor on a selection and measures it on held-out perturbations."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from perturb_jax.cli.flags import (
    AsJson,
    Force,
    HowToRead,
    Out,
    Quiet,
    ScreenFile,
    TheGraphOfAScreen,
    check_files,
    complete,
    one_of,
    pairs_of,
    size_of,
    with_flags,
)
from perturb_jax.cli.printing import out, print_line, print_wrote
from perturb_jax.predictors.registry import PREDICTORS
from perturb_jax.screen.reading import open_screen
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import OutputDirectory

TRAINING = "Training"


@with_flags
def train(
    screen_file: ScreenFile,
    output: Out,
    reading: HowToRead,
    choice: TheGraphOfAScreen,
    predictor: Annotated[
        str,
        typer.Option(
            help=one_of(PREDICTORS.names),
            autocompletion=complete(*PREDICTORS.names),
            rich_help_panel=TRAINING,
        ),
    ] = "graph-gp",
    selected: Annotated[
        Path | None,
        typer.Option(
            "--train",
            help="Perturbations to train on: a picks.csv, or any list.",
            show_default="all that are not tested",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    test: Annotated[
        str,
        typer.Option(
            help="Perturbations to test on: a share or a count of all (drawn from those that --train does not name), a "
            "list, or the split.json of another training.",
            rich_help_panel=TRAINING,
        ),
    ] = "0.1",
    seed: Annotated[int, typer.Option(help="Of the split and of the training.", rich_help_panel=TRAINING)] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="NAME=VALUE, a setting of the predictor; can be repeated.", rich_help_panel=TRAINING
        ),
    ] = None,
    unknown: Annotated[
        Literal["error", "drop"],
        typer.Option(
            help="Perturbations of genes that the graph lacks: 'error', or 'drop' and report them.",
            autocompletion=complete("error", "drop"),
            rich_help_panel=TRAINING,
        ),
    ] = "error",
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train a predictor on selected perturbations of a screen and measure it on held-out ones.

    Writes metrics.csv (a row per test perturbation), predictions.h5ad (predicted and observed changes,
    uncertainties where there are any), split.json, train.json (all settings, versions and checksums),
    predictions.png, and model.npz where there are parameters.
    Without --universe or --graph, the graph has the measured and the perturbed genes.
    """
    from perturb_jax.evaluation.report import FILES, MODEL_FILE, trial_files, trial_record
    from perturb_jax.evaluation.trial import (
        fit_and_measure,
        genes_of_screen,
        measured_outside,
        split_of,
        usable_perturbations,
    )
    from perturb_jax.genes.lists import read_names
    from perturb_jax.predictors.predictor import seed_of
    from perturb_jax.predictors.registry import predictor_class
    from perturb_jax.screen.split import read_split
    from perturb_jax.support.options import read_texts

    check_files([screen_file, selected])
    files = OutputDirectory(output, (*FILES, MODEL_FILE), force)
    seed_of(seed)  # refuses one before anything is read
    of_name = predictor_class(predictor)
    chosen = of_name(**read_texts(of_name, pairs_of("--set", "NAME", settings)))
    if not quiet and hasattr(chosen, "progress"):
        chosen = replace(chosen, progress=True)
    named = Path(test)
    tested: tuple[str, ...] | int | float
    if not named.is_file():
        tested = size_of(test, "a share, a count, or a file that exists")
    else:
        tested = read_split(named).test if named.suffix == ".json" else tuple(read_names(named))
    picks = None if selected is None else tuple(read_names(selected))
    screen = open_screen(screen_file, reading, False if quiet else None)
    graph = choice.build(genes=genes_of_screen(screen))
    usable = usable_perturbations(screen, graph, unknown)
    measured_outside(screen, graph)  # refuses a graph without any
    try:
        trial = fit_and_measure(screen, graph, chosen, split_of(usable, tested, seed, picks), seed)
    except FloatingPointError as error:
        raise InputError(f"{predictor}: {error}") from None
    inputs = {
        "screen": screen_file, "train": selected, "test": named if named.is_file() else None, "graph": choice.file,
        "annotation": choice.annotation, "universe": choice.universe,
    }  # fmt: skip
    given = {"predictor": predictor, "test": test, "seed": seed, "unknown": unknown}
    record = trial_record(screen, graph, trial, inputs, usable.missing, given)
    paths = files.write(trial_files(screen, trial, record))
    if as_json:
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    elif not quiet:
        _report(record, paths)


def _report(record: dict[str, Any], paths: list[Path]) -> None:
    sizes, screen = record["perturbations"], record["screen"]
    size = f"{screen['perturbations']} perturbations, {screen['genes']:,} genes"
    print_line(out, f"{size}, {screen['cells']:,} cells and {screen['control cells']:,} control cells")
    if unread := screen["genes not in the graph"]:
        print_line(out, f"{unread:,} of {screen['genes']:,} measured genes are not in the graph")
    if dropped := screen["dropped"]:
        print_line(out, f"left out: {len(dropped)}: {', '.join(list(dropped)[:8])}")
    if screen["caution"]:
        print_line(out, f"caution: {screen['caution']}")
    print_line(
        out,
        f"{record['settings']['predictor']}: {sizes['train']} perturbations to train, "
        f"{sizes['validation']} to validate, {sizes['test']} to test",
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("metric", "mean", "median", "undefined"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for metric, row in record["result"].items():
        cells = ["" if row[name] is None else f"{row[name]:.4f}" for name in ("mean", "median")]
        table.add_row(metric, *cells, f"{row['undefined']:.0f}")
    out.print(table)
    print_wrote(paths)
