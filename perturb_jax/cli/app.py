"""The command line: which commands there are, and how it ends. A command is loaded when it is the one that is named."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer

import perturb_jax
from perturb_jax.cli.ending import code_of, hear_again, open_streams
from perturb_jax.support.compilation_cache import keep_compiled
from perturb_jax.support.errors import InputError


class _Command(NamedTuple):
    """Where a command is, what it is for in a line, and an example of its arguments."""

    where: str
    about: str
    example: str


COMMANDS = {
    "select": _Command(
        "select:select_command",
        "Choose the genes of a screen, with the evidence for each pick.",
        "--candidates genes.txt --budget 100 --already-tested done.txt --out plan",
    ),
    "train": _Command(
        "train:train",
        "Train a predictor on selected perturbations and measure it on held-out ones.",
        "--screen cells.h5ad --train plan/picks.csv --test test.txt --out trial",
    ),
    "run": _Command(
        "run:run",
        "Run an experiment: every strategy, cycle after cycle, with every predictor and seed.",
        "experiments/simulated_adamson.toml --workers 2",
    ),
    "table": _Command("results:table", "Tabulate an experiment.", "results/adamson"),
    "plot": _Command("results:plot", "Draw an experiment.", "results/adamson"),
    "graph": _Command(
        "graph:graph",
        "Show what the knowledge graph is.",
        "--universe library.txt --candidates genes.txt --unknown drop --out graph",
    ),
    "data": _Command("data:app", "Perturbation screens: what is published, and getting it.", "list"),
}


def command_line(arguments: Sequence[str] | None = None) -> typer.Typer:
    """All commands; only the one that the arguments name can run, where there are any, and the others are listed."""
    app = typer.Typer(
        name="perturb-jax",
        help="Which genes to perturb, before any experiment is run.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(_top)
    for name, about in COMMANDS.items():
        command = _listed if arguments is not None and name not in arguments[:1] else _loaded(about, arguments or ())
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, short_help=about.about)
        else:
            example = f"Example: perturb-jax {name} {about.example}"
            app.command(name, short_help=about.about, epilog=example)(command)
    return app


def _loaded(command: _Command, arguments: Sequence[str]) -> Any:
    """The function of a command, or the commands below it; `select` depends on the strategy that is named."""
    module, attribute = command.where.split(":")
    found = getattr(import_module(f"perturb_jax.cli.{module}"), attribute)
    return found(arguments) if attribute == "select_command" else found


def _listed() -> None:
    """Stand for a command that is not the one that was named."""


def _top(
    show_version: Annotated[bool, typer.Option("--version", help="Print versions and the annotation's dates.")] = False,
) -> None:
    if show_version:
        from perturb_jax.graph.embedded import about_embedded

        about = about_embedded()
        typer.echo(
            f"perturb-jax {perturb_jax.__version__}\n"
            f"{about['name']}: {about['genes']:,} genes, {about['terms']:,} terms, {about['pairs']:,} pairs\n"
            f"from {about['source']}; GO of {about['GO date']}, annotations of {about['date']}\n"
            f"{about['licence']}\n"
            f"sha256 {about['sha256']}"
        )
        raise typer.Exit


def main() -> None:
    """Run the command line; bad input is one line on standard error and exit code 2."""
    os.environ["MPLBACKEND"] = "agg"  # pictures become files, whatever a notebook has set for its own process
    sys.exit(code_of(_run_arguments))


def _run_arguments() -> object:
    keep_compiled()
    arguments = None if "_PERTURB_JAX_COMPLETE" in os.environ else sys.argv[1:]  # a shell completes any command
    return typer.main.get_command(command_line(arguments)).main(prog_name="perturb-jax", standalone_mode=False)


def run() -> None:
    """The console script: `main`, then leave at once, since taking the imported libraries down takes half a second."""
    open_streams()
    sys.unraisablehook = hear_again
    code: object = 130  # where Control-C comes a second time
    try:
        main()
    except SystemExit as end:
        code = end.code
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, InputError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 0)


def __getattr__(name: str) -> typer.Typer:
    """`app`: the commands with the strategies that ship here, made where it is used."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return command_line()


if __name__ == "__main__":
    run()
