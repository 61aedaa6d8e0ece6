"""The command line: which commands there are, and how it ends. What computes is loaded when a command begins."""

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from perturb_jax.cli import data, printing
from perturb_jax.cli.graph import graph
from perturb_jax.cli.results import plot, table
from perturb_jax.cli.run import run as run_experiment
from perturb_jax.cli.select import select_command
from perturb_jax.cli.train import train
from perturb_jax.support.compilation_cache import keep_compiled
from perturb_jax.support.errors import InputError


def command_line(arguments: Sequence[str] = ()) -> typer.Typer:
    """All commands; `select` with the options of the strategy that the arguments name."""
    app = typer.Typer(
        name="perturb-jax",
        help="Which genes to perturb, before any experiment is run.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.add_typer(data.app)
    app.callback(invoke_without_command=True)(_top)
    select = select_command(arguments)
    for name, command, example in (
        ("select", select, "--candidates genes.txt --budget 100 --already-tested done.txt --out plan"),
        ("train", train, "--screen cells.h5ad --train plan/picks.csv --test test.txt --out trial"),
        ("run", run_experiment, "experiments/simulated_adamson.toml --workers 2"),
        ("table", table, "results/adamson"),
        ("plot", plot, "results/adamson"),
        ("graph", graph, "--universe library.txt --candidates genes.txt --unknown drop --out graph"),
    ):
        app.command(name, epilog=f"Example: perturb-jax {name} {example}")(command)
    return app


def _top(
    show_version: Annotated[bool, typer.Option("--version", help="Print versions and the annotation's dates.")] = False,
) -> None:
    if show_version:
        typer.echo(printing.version_lines())
        raise typer.Exit


def main() -> None:
    """Run the command line; bad input is one line on standard error and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without a name's letters is no reason to fail
    keep_compiled()
    try:
        code = typer.main.get_command(command_line(sys.argv[1:])).main(prog_name="perturb-jax", standalone_mode=False)
    except (InputError, typer.TyperException) as error:
        message = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        message = message.replace(": Value error, ", ": ")  # which pydantic adds to what typer says
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


def __getattr__(name: str) -> typer.Typer:
    """`app`: the commands with the strategies that ship here, made where it is used."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return command_line()


if __name__ == "__main__":
    run()
