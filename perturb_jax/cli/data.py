"""The commands about perturbation screens as data: what is published, reading one, drawing a test set, simulating."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from perturb_jax.cli import flags
from perturb_jax.cli.printing import err, out, print_lines, print_wrote
from perturb_jax.screen.datasets import CACHE_VARIABLE, CELLS, DATASETS, PROCESSED_BY, cache_directory, fetch, holding
from perturb_jax.screen.reading import SimulationChoice, open_screen
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import OutputDirectory, Progress

app = typer.Typer(name="data", help="Perturbation screens: what is published, and getting it.", no_args_is_help=True)

Unknown = Annotated[
    Literal["error", "drop"],
    typer.Option(
        help="Genes that are not in the graph: 'error', or 'drop' and report them.",
        autocompletion=flags.complete("error", "drop"),
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Directory that holds the data sets.", show_default=f"{CACHE_VARIABLE}, else the system's cache directory"
    ),
]


@app.command("list", epilog="Example: perturb-jax data list")
@flags.with_flags
def list_datasets(cache: Cache = None, as_json: flags.AsJson = False) -> None:
    """List the data sets: what they are, what to cite, where the licence stands, what is on disk."""
    root = cache_directory(cache)
    record = [
        {
            "name": dataset.name,
            "about": dataset.about,
            "cite": [dataset.citation, PROCESSED_BY],
            "licence": dataset.page,
            "url": dataset.url,
            "path": str(root / dataset.name / CELLS),
            "bytes on disk": here.cells,
            "bytes of a cut-off download": here.part,
            "sha256": here.sha256,
        }
        for dataset in DATASETS.values()
        for here in [holding(dataset.name, root)]
    ]
    if as_json:
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    for entry, dataset in zip(record, DATASETS.values(), strict=True):
        print_lines(out, f"{dataset.name}  ({_state(entry['bytes on disk'], entry['bytes of a cut-off download'])})")
        print_lines(out, *(f"  {line}" for line in (dataset.about, dataset.citation, f"licence: see {dataset.page}")))
    print_lines(
        out,
        "",
        f"As cell-gears processed and distributes them; cite also {PROCESSED_BY}.",
        "The pages above state licences and sizes; cell-gears states neither.",
        f"Kept in {root}; an archive placed there by hand as NAME.zip works as well.",
    )


@app.command("fetch", epilog="Example: perturb-jax data fetch norman --cache screens")
@flags.with_flags
def fetch_dataset(
    name: Annotated[
        str, typer.Argument(help=f"One of {', '.join(DATASETS)}.", autocompletion=flags.complete(*DATASETS))
    ],
    cache: Cache = None,
    mirror: Annotated[
        str | None,
        typer.Option(help="Download from here: a directory with NAME.zip if it ends with '/', else the archive."),
    ] = None,
    quiet: flags.Quiet = False,
) -> None:
    """Get a data set, or verify the copy that is there, and print its path.

    A download that was cut off is continued. The checksum of the first copy is recorded beside it and trusted; later
    ones are compared with it.
    """
    with _bar(name, quiet) as progress:
        fetched = fetch(name, cache, mirror, progress)
    if not quiet:
        came = "found in the cache" if fetched.origin == "cache" else f"unpacked from {fetched.origin}"
        known = "recorded now and trusted from here on: there was none to compare" if fetched.first else "as recorded"
        print_lines(err, f"{name}: {_size(fetched.path.stat().st_size)}, {came}")
        print_lines(err, f"sha256 {fetched.sha256} ({known})")
    typer.echo(fetched.path)


@app.command("check", epilog="Example: perturb-jax data check cells.h5ad --where dataset=norman19")
@flags.with_flags
def check_screen(
    path: Annotated[Path, typer.Argument(help=flags.SCREEN_HELP)],
    reading: flags.HowToRead,
    quiet: flags.Quiet = False,
    as_json: flags.AsJson = False,
) -> None:
    """Read a screen as every other command would, and say what is in it or why it cannot be used."""
    screen = open_screen(path, reading, False if quiet else None)
    combinations = sum("+" in name for name in screen.perturbations)
    record = {
        "perturbations": len(screen),
        "combinations": combinations,
        "genes": len(screen.readouts),
        "perturbed cells": int(screen.cell_counts.sum()),
        "control cells": int(screen.control.cells),
        "fewest cells of a perturbation": int(screen.cell_counts.min()),
        "most cells of a perturbation": int(screen.cell_counts.max()),
        "co-expression edges": screen.coexpression.num_edges,
    }
    if as_json:
        whole = record | {"caution": screen.caution, "settings": screen.settings}
        typer.echo(json.dumps(whole, indent=2, ensure_ascii=False, default=str))
    elif not quiet:
        print_lines(out, f"{path}: {f'read, but it has {screen.caution}' if screen.caution else 'can be used'}")
        print_lines(out, *(f"  {name}: {number:,}" for name, number in record.items()), "read with")
        for key, setting in screen.settings.items():
            if setting or setting is False:  # not what was neither given nor found
                print_lines(out, f"  {key.replace('_', ' ')}: {setting}")


TEST_FILES = ("test.txt", "candidates.txt")


@app.command(epilog="Example: perturb-jax data split --screen cells.h5ad --test 0.1 --seed 0 --out held-out")
@flags.with_flags
def split(
    screen_file: flags.ScreenFile,
    output: flags.Out,
    reading: flags.HowToRead,
    test: Annotated[str, typer.Option(help="Perturbations to test on: a fraction or a count.")] = "0.1",
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    force: flags.Force = False,
    quiet: flags.Quiet = False,
) -> None:
    """Draw the test set of a screen, before anything is selected.

    Writes test.txt, for train --test, and candidates.txt, all others, for select --candidates.
    """
    from perturb_jax.screen.split import choose_test, remaining

    files = OutputDirectory(output, TEST_FILES, force)
    size = flags.size_of(test, "a fraction or a count")
    screen = open_screen(screen_file, reading, False if quiet else None)
    tested = choose_test(screen.perturbations, size, seed)
    others = remaining(screen.perturbations, tested)
    lists = {name: "\n".join(names) + "\n" for name, names in zip(TEST_FILES, (tested, others), strict=True)}
    paths = files.write({name: text.encode() for name, text in lists.items()})
    if not quiet:
        print_lines(out, f"{len(tested)} perturbations to test on, {len(others)} to select from")
        print_wrote(paths)


@app.command(epilog="Example: perturb-jax data simulate --perturbations 50 --genes 500 --out simulated.h5ad")
@flags.with_flags
def simulate(
    output: Annotated[Path, flags.output_flag("--out", "The .h5ad file to write.")],
    choice: flags.TheGraph,
    simulation: Annotated[SimulationChoice, flags.Block(shown={"control_cells": "ten times --cells"})],
    seed: Annotated[int, typer.Option(help="Of genes, effects and cells.")] = 0,
    unknown: Unknown = "error",
    force: flags.Force = False,
    quiet: flags.Quiet = False,
) -> None:
    """Write cells of a simulated screen, named as GEARS wants them, whose effects follow the knowledge graph."""
    from perturb_jax.screen.simulate import simulate_screen  # what draws cells takes long to load

    if output.suffix != ".h5ad":
        raise InputError(f"output: expected a file that ends with .h5ad, got {output}")
    OutputDirectory(output.parent, [output.name], force)  # whether it can be written, before the work
    given = (simulation.perturbations, simulation.genes)
    perturbed, measured = (flags.names_in(part) if isinstance(part, Path) else part for part in given)
    graph = choice.build(unknown)
    screen = simulate_screen(
        graph, perturbed, measured, simulation.cells, control_cells=simulation.control_cells,
        homophily=simulation.homophily, hops=simulation.hops, seed=seed, path=output, unknown=unknown,
    )  # fmt: skip
    if not quiet:
        typer.echo(repr(screen))
        typer.echo(f"wrote {output}")


@contextmanager
def _bar(name: str, quiet: bool) -> Iterator[Progress | None]:
    """Show on a terminal how far a download is."""
    if quiet or not err.is_terminal:
        yield None
        return
    from rich import progress as shown

    columns = (shown.BarColumn(), shown.DownloadColumn(), shown.TransferSpeedColumn(), shown.TimeRemainingColumn())
    with shown.Progress("{task.description}", *columns, console=err, transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _state(cells: object, part: object) -> str:
    if isinstance(cells, int):
        return f"{_size(cells)} on disk"
    return f"cut off after {_size(part)}: fetch continues" if isinstance(part, int) else "not here"


def _size(number: int) -> str:
    return f"{number / 1e6:,.1f} MB"
