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
from perturb_jax.evaluation.trial_files import FILES, MODEL_FILE
from perturb_jax.genes.lists import read_names
from perturb_jax.predictors.names import PREDICTOR_NAMES
from perturb_jax.screen.reading import Reading, open_screen
from perturb_jax.support.errors import InputError, TooFewPerturbationsError
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
            help=f"One of {', '.join(PREDICTOR_NAMES)}.",
            autocompletion=complete(*PREDICTOR_NAMES),
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
    from perturb_jax.evaluation.trial import configured, run_trial
    from perturb_jax.evaluation.trial_report import trial_files, trial_record
    from perturb_jax.genes.perturbations import perturbed_genes, unknown_to
    from perturb_jax.predictors.predictor import seed_of
    from perturb_jax.predictors.registry import predictor_of
    from perturb_jax.screen.split import choose_test, read_split, remaining, split_selected

    files = OutputDirectory(output, (*FILES, MODEL_FILE), force)
    seed_of(seed)  # refuses one before anything is read
    chosen = configured(predictor_of(predictor), _settings_of(settings))
    if not quiet and hasattr(chosen, "progress"):
        chosen = replace(chosen, progress=True)  # type: ignore[type-var]
    named = Path(test)
    tested: tuple[str, ...] | int | float
    if not named.is_file():
        tested = size_of(test, "a share, a count, or a file that exists")
    else:
        tested = read_split(named).test if named.suffix == ".json" else tuple(read_names(named))
    asked = None if selected is None else tuple(read_names(selected))
    known = annotation_of(graph_file, annotation, evidence, drop_evidence)
    reading = Reading(
        pairs_of("--where", "COLUMN", where) or None, condition, gene_names, control, cell_type, layer, normalize,
        too_few, pseudobulk, cell_counts,  # type: ignore[arg-type]
    )  # fmt: skip
    screen = open_screen(screen_file, reading, False if quiet else None)
    perturbed = (gene for name in screen.perturbations for gene in perturbed_genes(name))
    genes = dict.fromkeys([*screen.genes, *perturbed])
    graph = graph_of(graph_file, known, universe, neighbors, min_jaccard, namespaces, "error", genes)
    missing = unknown_to(graph.names, screen.perturbations)
    shown = "; ".join(f"{name} ({reason})" for name, reason in list(missing.items())[:5])
    if len(missing) == len(screen):
        raise InputError(
            f"none of the {len(screen)} perturbations is in the graph: {shown}; are both the same species?"
        )
    unread = graph.names.resolve(screen.genes, "drop", distinct=False).dropped
    if len(unread) == len(screen.genes):
        some = ", ".join(screen.genes[:5])
        raise InputError(f"none of the {len(unread)} measured genes is in the graph: {some}; choose --gene-names")
    if missing and unknown == "error":
        raise InputError(
            f"{len(missing)} perturbations have genes that the graph lacks: {shown}; --unknown drop leaves them out"
        )
    usable = [name for name in screen.perturbations if name not in missing]
    if isinstance(tested, tuple):
        held_out = remaining(tested, missing)
    else:
        held_out = choose_test(usable, tested, seed, asked or ())
    picks = remaining(usable, held_out) if asked is None else remaining(asked, missing)
    split = split_selected(picks, held_out, seed, screen=usable)
    try:
        trial = run_trial(screen, graph, chosen, split, seed)
    except FloatingPointError as error:
        raise InputError(f"{predictor}: {error}") from None
    except TooFewPerturbationsError as error:
        others = f"{len(split.test)} of {len(usable)} test and {len(split.validation)} validate"
        raise InputError(f"{error}; {others}: test fewer, or select more") from None
    inputs = {
        "screen": screen_file, "train": selected, "test": named if named.is_file() else None, "graph": graph_file,
        "annotation": annotation, "universe": universe,
    }  # fmt: skip
    dropped = screen.settings.get("dropped")
    left_out = missing if not isinstance(dropped, dict) else dropped | missing
    record = trial_record(screen, graph, trial, inputs, left_out)
    record["settings"] |= {"predictor": predictor, "test": test, "seed": seed, "unknown": unknown}
    record["screen"]["genes not in the graph"] = len(unread)
    paths = files.write(trial_files(screen, trial, record))
    if as_json:
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    elif not quiet:
        _report(record, paths)


def _settings_of(pairs: list[str] | None) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in pairs_of("--set", "NAME", pairs).items()}


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
