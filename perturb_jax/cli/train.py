"""The command that trains a predictor on a selection and measures it on held-out perturbations."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from perturb_jax.cli import flags
from perturb_jax.cli.printing import out, print_lines, print_table, print_wrote
from perturb_jax.predictors.registry import PREDICTORS
from perturb_jax.screen.reading import open_screen
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import OutputDirectory
from perturb_jax.support.options import Options, option


@dataclass(frozen=True)
class Training(Options):
    """What trains, on which perturbations, and what it is tested on."""

    predictor: str = option("graph-gp", flags.one_of(PREDICTORS.names))
    train: Path | None = option(
        None, "Perturbations to train on: a picks.csv, or any list.", shown="all that are not tested"
    )
    test: str = option(
        "0.1",
        "Perturbations to test on: a fraction or a count of all (drawn from those that --train does not name), a list, "
        "or the split.json of another training.",
    )
    seed: int = option(0, "Of the split and of the training.")
    set: Mapping[str, str] | None = option(None, "NAME=VALUE, a setting of the predictor; can be repeated.", key="NAME")
    unknown: Literal["error", "drop"] = option(
        "error", "Perturbations of genes that the graph lacks: 'error', or 'drop' and report them."
    )


@flags.with_flags
def train(
    screen_file: flags.ScreenFile,
    output: flags.Out,
    reading: flags.HowToRead,
    choice: flags.TheGraphOfAScreen,
    training: Annotated[Training, flags.Block("Training", words={"predictor": PREDICTORS.names})],
    force: flags.Force = False,
    quiet: flags.Quiet = False,
    as_json: flags.AsJson = False,
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
    from perturb_jax.screen.screen import one_of_each
    from perturb_jax.screen.split import read_split
    from perturb_jax.support.options import read_texts

    flags.check_files([screen_file])
    files = OutputDirectory(output, (*FILES, MODEL_FILE), force)
    seed_of(training.seed)  # refuses one before anything is read
    of_name = predictor_class(training.predictor)
    chosen = of_name(**read_texts(of_name, training.set or {}))
    if not quiet and hasattr(chosen, "progress"):
        chosen = replace(chosen, progress=True)
    named = Path(training.test)
    tested: tuple[str, ...] | int | float
    if not named.is_file():
        tested = flags.size_of(training.test, "a fraction, a count, or a file that exists")
    else:
        tested = read_split(named).test if named.suffix == ".json" else tuple(read_names(named))
    picks = None if training.train is None else tuple(read_names(training.train))
    screen = open_screen(screen_file, reading, False if quiet else None)
    graph = choice.build(genes=genes_of_screen(screen))
    screen = one_of_each(screen, graph.names)
    usable = usable_perturbations(screen, graph, training.unknown)
    measured_outside(screen, graph)  # refuses a graph without any
    try:
        trial = fit_and_measure(screen, graph, chosen, split_of(usable, tested, training.seed, picks), training.seed)
    except FloatingPointError as error:
        raise InputError(f"{training.predictor}: {error}") from None
    inputs = {
        "screen": screen_file, "train": training.train, "test": named if named.is_file() else None, **choice.files,
    }  # fmt: skip
    given = {name: getattr(training, name) for name in ("predictor", "test", "seed", "unknown")}
    record = trial_record(screen, graph, trial, inputs, usable.missing, given)
    paths = files.write(trial_files(screen, trial, record))
    if as_json:
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    elif not quiet:
        _report(record, paths)


def _report(record: dict[str, Any], paths: list[Path]) -> None:
    sizes, screen = record["perturbations"], record["screen"]
    size = f"{screen['perturbations']} perturbations, {screen['genes']:,} genes"
    print_lines(out, f"{size}, {screen['cells']:,} cells and {screen['control cells']:,} control cells")
    if unread := screen["genes not in the graph"]:
        print_lines(out, f"{unread:,} of {screen['genes']:,} measured genes are not in the graph")
    if dropped := screen["dropped"]:
        print_lines(out, f"left out: {len(dropped)}: {', '.join(list(dropped)[:8])}")
    if screen["caution"]:
        print_lines(out, f"caution: {screen['caution']}")
    print_lines(
        out,
        f"{record['settings']['predictor']}: {sizes['train']} perturbations to train, "
        f"{sizes['validation']} to validate, {sizes['test']} to test",
    )
    rows = []
    for metric, row in record["result"].items():
        cells = ["" if row[name] is None else f"{row[name]:.4f}" for name in ("mean", "median")]
        rows.append(map(Text, (metric, *cells, f"{row['undefined']:.0f}")))
    print_table(out, ("metric", "mean", "median", "undefined"), ("metric",), rows)
    print_wrote(paths)
