"""The command that trains a predictor on a selection and measures it on held-out perturbations."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from perturb_jax.cli.inputs import annotation_of, graph_of
from perturb_jax.cli.options import (
    GRAPH,
    OUTPUT,
    AnnotationFile,
    AsJson,
    DropEvidence,
    Evidence,
    Force,
    GraphFile,
    MinJaccard,
    Namespaces,
    Neighbors,
    Quiet,
    complete,
    error_or_drop,
)
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
from perturb_jax.genes.lists import read_names
from perturb_jax.predictors.registry import PREDICTORS
from perturb_jax.screen.reading import Reading, open_screen
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import OutputDirectory

TRAINING = "Training"
out, err = Console(), Console(stderr=True)


def train(
    screen_file: Annotated[
        Path, typer.Option("--screen", help="An .h5ad file of cells, a saved screen, or with --pseudobulk means.")
    ],
    output: Annotated[
        str, typer.Option("--out", metavar="<path>", help="Directory for the files.", rich_help_panel=OUTPUT)
    ],
    predictor: Annotated[
        str,
        typer.Option(
            help=f"One of {', '.join(PREDICTORS.names)}.",
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
        str,
        typer.Option(
            help="Perturbations of genes that the graph lacks: 'error', or 'drop' and report them.",
            autocompletion=complete("error", "drop"),
            callback=error_or_drop,
            rich_help_panel=TRAINING,
        ),
    ] = "error",
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
    graph_file: GraphFile = None,
    annotation: AnnotationFile = None,
    universe: Annotated[
        Path | None,
        typer.Option(
            help="Genes that make up the graph.", show_default="the measured and the perturbed", rich_help_panel=GRAPH
        ),
    ] = None,
    neighbors: Neighbors = None,
    min_jaccard: MinJaccard = None,
    namespaces: Namespaces = None,
    evidence: Evidence = None,
    drop_evidence: DropEvidence = None,
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
    from perturb_jax.predictors.predictor import seed_of
    from perturb_jax.predictors.registry import predictor_class
    from perturb_jax.screen.split import read_split
    from perturb_jax.support.options import read_texts

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
    known = annotation_of(graph_file, annotation, evidence, drop_evidence)
    reading = Reading(
        pairs_of("--where", "COLUMN", where) or None, condition, gene_names, control, cell_type, layer, normalize,
        too_few, pseudobulk, cell_counts,  # type: ignore[arg-type]
    )  # fmt: skip
    screen = open_screen(screen_file, reading, False if quiet else None)
    genes = genes_of_screen(screen)
    graph = graph_of(graph_file, known, universe, neighbors, min_jaccard, namespaces, "error", genes)
    usable = usable_perturbations(screen, graph, unknown)
    measured_outside(screen, graph)  # refuses a graph without any
    try:
        trial = fit_and_measure(screen, graph, chosen, split_of(usable, tested, seed, picks), seed)
    except FloatingPointError as error:
        raise InputError(f"{predictor}: {error}") from None
    inputs = {
        "screen": screen_file, "train": selected, "test": named if named.is_file() else None, "graph": graph_file,
        "annotation": annotation, "universe": universe,
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
    print_line(out, "wrote " + ", ".join(map(str, paths)))
