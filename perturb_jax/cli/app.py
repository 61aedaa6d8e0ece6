"""The command line: it parses, calls and prints."""

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import perturb_jax as pj
from perturb_jax.cli import data as data_commands, printing
from perturb_jax.cli.inputs import annotation_of, candidate_names, graph_of, optional_names, target_worths
from perturb_jax.cli.options import (
    ALL_TARGETS,
    OUTPUT,
    AlreadyTested,
    AnnotationFile,
    AsJson,
    CandidatesFile,
    CandidatesGo,
    Column,
    Costs,
    Criterion,
    Cycles,
    Direction,
    DropEvidence,
    Dropout,
    DropoutSeed,
    Evidence,
    Exclude,
    Force,
    GraphFile,
    Hops,
    MinJaccard,
    MustInclude,
    Namespaces,
    Neighbors,
    Noise,
    Normalization,
    Out,
    Quiet,
    Report,
    Robust,
    Seed,
    Sense,
    Strategy,
    Symmetric,
    Targets,
    Ties,
    Universe,
    Unknown,
    Unnormalized,
    Unweighted,
)
from perturb_jax.cli.results import plot, table
from perturb_jax.cli.run import run as run_experiment
from perturb_jax.cli.train import train
from perturb_jax.genes.lists import read_numbers
from perturb_jax.genes.perturbations import parse_perturbations
from perturb_jax.graph.report import describe_graph, graph_picture
from perturb_jax.plan.files import plan_curves, plan_file_names, plan_files, plan_record
from perturb_jax.plan.page.page import report_file, report_page
from perturb_jax.plan.plan import DEFAULT_STRATEGY, Request, make_plan
from perturb_jax.support.compilation_cache import keep_compiled
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import OutputDirectory

GRAPH_FILES = ("graph.json", "graph.png")
EDGES_FILE = "edges.csv"

app = typer.Typer(
    name="perturb-jax",
    help="Which genes to perturb, before any experiment is run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(data_commands.app)
out, err = Console(), Console(stderr=True)


@app.callback(invoke_without_command=True)
def _top(
    show_version: Annotated[bool, typer.Option("--version", help="Print versions and the annotation's dates.")] = False,
) -> None:
    if show_version:
        typer.echo(printing.version_lines())
        raise typer.Exit


@app.command(
    epilog="Example: perturb-jax select --candidates genes.txt --budget 100 --already-tested done.txt --out plan"
)
def select(
    budget: Annotated[int, typer.Option(help="How many perturbations to choose.")],
    output: Annotated[
        str, typer.Option("--out", metavar="<path>", help="Directory for picks.csv, picks.json and picks.png.")
    ],
    candidates: CandidatesFile = None,
    candidates_go: CandidatesGo = None,
    column: Column = None,
    unknown: Unknown = "error",
    strategy: Strategy = DEFAULT_STRATEGY,
    hops: Hops = 1,
    direction: Direction = "in",
    already_tested: AlreadyTested = None,
    must_include: MustInclude = None,
    exclude: Exclude = None,
    cycles: Cycles = None,
    seed: Seed = None,
    ties: Ties = None,
    robust: Robust = None,
    dropout: Dropout = None,
    dropout_seed: DropoutSeed = None,
    normalization: Normalization = None,
    sense: Sense = None,
    symmetric: Symmetric = False,
    criterion: Criterion = None,
    noise: Noise = None,
    unnormalized: Unnormalized = False,
    targets: Targets = None,
    costs: Costs = None,
    unweighted: Unweighted = False,
    graph_file: GraphFile = None,
    annotation: AnnotationFile = None,
    universe: Universe = None,
    neighbors: Neighbors = None,
    min_jaccard: MinJaccard = None,
    namespaces: Namespaces = None,
    evidence: Evidence = None,
    drop_evidence: DropEvidence = None,
    force: Force = False,
    report: Report = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Choose the genes of a screen: a ranked list with the evidence for each pick.

    Writes picks.csv (the order for the lab), picks.json (all settings, versions and checksums) and picks.png (for
    graphdesign what stays unknown, against random picks, and targets.csv with each target's share of it; for others
    coverage against random and most connected genes, and what no selection can exceed; with --robust how often noise in
    the graph leaves each pick in place).
    """
    files = OutputDirectory(output, plan_file_names(strategy), force)
    page = None if report is None else report_file(report, force)
    with _step("Reading the names", quiet):
        known = annotation_of(graph_file, annotation, evidence, drop_evidence)
        names = candidate_names(candidates, candidates_go, column, known)
        given: dict[str, object] = {"ties": ties, "normalization": normalization, "sense": sense}
        given |= {"symmetric": symmetric or None, "criterion": criterion, "noise": noise}
        given |= {"robust": robust, "dropout": dropout, "dropout_seed": dropout_seed}
        given |= {"normalize": False if unnormalized else None, "weighted": False if unweighted else None}
        given |= {"targets": target_worths(targets), "costs": None if costs is None else read_numbers(costs, "cost")}
        request = Request(
            candidates=names,
            budget=budget,
            strategy=strategy,
            hops=hops,
            direction=direction,  # type: ignore[arg-type]  # checked where it is used
            must_include=optional_names(must_include),
            already_tested=optional_names(already_tested),
            exclude=optional_names(exclude),
            cycles=cycles,
            seed=seed,
            options={name: value for name, value in given.items() if value is not None},
            unknown=unknown,  # type: ignore[arg-type]
        )
    with _step("Building the graph", quiet):
        graph = graph_of(graph_file, known, universe, neighbors, min_jaccard, namespaces, unknown)
        if targets == ALL_TARGETS:
            request = replace(request, options={**request.options, "targets": graph.genes})
    with _step("Choosing", quiet):
        plan = make_plan(graph, request)
    with _step("Comparing", quiet):
        curves = plan_curves(graph, request, plan)
    with _step("Writing", quiet):
        inputs = {
            "candidates": candidates, "already-tested": already_tested, "must-include": must_include,
            "exclude": exclude, "universe": universe, "graph": graph_file, "annotation": annotation, "costs": costs,
            "targets": None if targets in (None, ALL_TARGETS) else Path(targets),
        }  # fmt: skip
        record = plan_record(graph, request, plan, inputs, curves)
        record["settings"] |= {"candidates-go": candidates_go, "column": column}
        contents = plan_files(graph, request, plan, record, curves)
        if page is not None:
            html = report_page(graph, known, request, plan, record, contents["picks.png"])
        paths = files.write(contents)
        if page is not None:
            paths += page.write({page.names[0]: html})
    for warning in plan.warnings:
        err.print(f"warning: {warning}", style="yellow", highlight=False, soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    elif not quiet:
        printing.print_plan(out, plan.table, record, paths)


app.command(epilog="Example: perturb-jax train --screen cells.h5ad --train plan/picks.csv --test test.txt --out trial")(
    train
)
app.command("run", epilog="Example: perturb-jax run experiments/simulated_adamson.toml --workers 2")(run_experiment)
app.command(epilog="Example: perturb-jax table results/adamson")(table)
app.command(epilog="Example: perturb-jax plot results/adamson")(plot)


@app.command(
    epilog="Example: perturb-jax graph --universe library.txt --candidates genes.txt --unknown drop --out graph"
)
def graph(
    candidates: CandidatesFile = None,
    candidates_go: CandidatesGo = None,
    column: Column = None,
    unknown: Unknown = "error",
    graph_file: GraphFile = None,
    annotation: AnnotationFile = None,
    universe: Universe = None,
    neighbors: Neighbors = None,
    min_jaccard: MinJaccard = None,
    namespaces: Namespaces = None,
    evidence: Evidence = None,
    drop_evidence: DropEvidence = None,
    export: Annotated[
        bool, typer.Option("--export", help="Also write edges.csv, which --graph reads.", rich_help_panel=OUTPUT)
    ] = False,
    output: Out = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what the knowledge graph is: nodes, edges, components, degrees, isolated and missing genes."""
    if export and output is None:
        raise InputError("--export: expected a directory to write edges.csv to; name it with --out")
    wanted = GRAPH_FILES + (EDGES_FILE,) * export
    files = None if output is None else OutputDirectory(output, wanted, force)
    with _step("Building the graph", quiet):
        known = annotation_of(graph_file, annotation, evidence, drop_evidence)
        built = graph_of(graph_file, known, universe, neighbors, min_jaccard, namespaces, unknown)
        pool = None
        if candidates is not None or candidates_go is not None:
            names = candidate_names(candidates, candidates_go, column, known)
            pool = parse_perturbations(built.names, names, unknown)  # type: ignore[arg-type]
    inputs = {"candidates": candidates, "universe": universe, "graph": graph_file, "annotation": annotation}
    record = describe_graph(built, pool, inputs)
    paths = []
    if files is not None:
        contents = {
            "graph.json": (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode(),
            "graph.png": graph_picture(built),
        }
        if export:
            contents[EDGES_FILE] = pj.edge_table(built).to_csv(index=False, lineterminator="\n").encode()
        paths = files.write(contents)
    if as_json:
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    elif not quiet:
        printing.print_graph(out, record, paths)


@contextmanager
def _step(what: str, quiet: bool) -> Iterator[None]:
    """Show on a terminal what is being done, while it is being done."""
    if quiet:
        yield
    else:
        with err.status(f"{what} ..."):
            yield


def main() -> None:
    """Run the command line; bad input is one line on standard error and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without a name's letters is no reason to fail
    keep_compiled()
    try:
        code = typer.main.get_command(app).main(prog_name="perturb-jax", standalone_mode=False)
    except (InputError, typer.TyperException) as error:
        message = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        if message:  # a command without arguments has shown its help instead
            sys.stderr.write(f"perturb-jax: error: {' '.join(message.split())}\n")
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def run() -> None:
    """The console script: `main`, then leave at once, since taking the imported libraries down takes half a second."""
    try:
        main()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 0)


if __name__ == "__main__":
    run()
