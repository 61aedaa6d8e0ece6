"""The command that shows what a knowledge graph is."""

import json
from typing import Annotated

import typer

from perturb_jax.cli import printing
from perturb_jax.cli.flags import OUTPUT, AsJson, Candidates, Force, OutIfWanted, Quiet, TheGraph, with_flags
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import OutputDirectory, json_bytes

FILES = ("graph.json", "graph.png")
EDGES_FILE = "edges.csv"


@with_flags
def graph(
    candidates: Candidates,
    choice: TheGraph,
    export: Annotated[
        bool, typer.Option("--export", help="Also write edges.csv, which --graph reads.", rich_help_panel=OUTPUT)
    ] = False,
    output: OutIfWanted = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what the knowledge graph is: nodes, edges, components, degrees, isolated and missing genes."""
    if export and output is None:
        raise InputError("export: expected a directory to write edges.csv to; name it with --out")
    files = None if output is None else OutputDirectory(output, FILES + (EDGES_FILE,) * export, force)
    if candidates.given:
        candidates.check()

    from perturb_jax.genes.perturbations import parse_perturbations
    from perturb_jax.graph.edge_list import edge_table
    from perturb_jax.graph.report import describe_graph, graph_picture

    with printing.step("Building the graph", quiet):
        built = choice.build(candidates.unknown)
        pool = None
        if candidates.given:
            pool = parse_perturbations(built.names, candidates.names(choice.known), candidates.unknown)
    record = describe_graph(built, pool, {"candidates": candidates.candidates, **choice.files})
    paths = []
    if files is not None:
        contents = {
            "graph.json": json_bytes(record),
            "graph.png": graph_picture(built),
        }
        if export:
            contents[EDGES_FILE] = edge_table(built).to_csv(index=False, lineterminator="\n").encode()
        paths = files.write(contents)
    if as_json:
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    elif not quiet:
        printing.print_graph(printing.out, record, paths)
