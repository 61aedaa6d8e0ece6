"""What the command line prints."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from perturb_jax.plan.plan import Plan

out, err = Console(), Console(stderr=True)
ROWS_SHOWN = 20
_NAMES_SHOWN = 8


def print_plan(console: Console, plan: "Plan", record: Mapping[str, Any], paths: Sequence[Path]) -> None:
    """The first picks, what they bring compared with the baselines, and where the files are."""
    print_lines(console, _graph_line(record["graph"]))
    _print_names(console, record["candidates"])
    listing = plan.evidence.listing
    table = plan.table.head(ROWS_SHOWN).drop(columns=list(plan.evidence.hidden), errors="ignore")
    if listing:
        others = [[str(name), *(str(_cell(value)) for value in table[name])] for name in table if name != listing]
        room = console.width - sum(2 + max(map(len, cells)) for cells in others)
        table[listing] = [_whole_items(names, room) for names in table[listing]]
    rows = (map(_cell, row) for row in table.itertuples(index=False))
    print_table(console, table.columns, ("gene", listing), rows, no_wrap=True)
    if len(plan.table) > ROWS_SHOWN:
        print_lines(console, f"... and {len(plan.table) - ROWS_SHOWN} more in {paths[0]}")
    print_lines(console, "", *plan.evidence.lines(record))
    print_wrote(paths, console)


def _whole_items(text: str, room: int) -> str:
    items = text.split("; ")
    while len(items) > 1 and len("; ".join(items)) > room:
        items.pop()
    return "; ".join(items)


def print_graph(console: Console, record: Mapping[str, Any], paths: Sequence[Path]) -> None:
    """The graph's numbers."""
    graph = record["graph"]
    said = ("source", "nodes", "edges", "renamed", "dropped")
    print_lines(console, _graph_line(graph), *(f"  {name}: {graph[name]}" for name in graph if name not in said))
    _print_names(console, graph)
    degrees = [(degree, record[degree]) for degree in ("in-degree", "out-degree")]
    print_lines(
        console,
        f"{record['components']:,} components, the largest of {record['largest component']:,} genes; "
        f"{record['genes without neighbour']:,} genes without neighbour; {record['self-loops']:,} self-loops",
        *(f"{degree}: median {spread['median']:.0f}, mean {spread['mean']}, least {spread['least']}, largest "
          f"{spread['largest']:,}" for degree, spread in degrees),
    )  # fmt: skip
    if candidates := record.get("candidates"):
        alone = _some(candidates["without neighbour"])
        print_lines(console, f"candidates: {candidates['in the graph']:,} in the graph; without neighbour: {alone}")
        _print_names(console, candidates)
    if paths:
        print_wrote(paths, console)


def _graph_line(graph: Mapping[str, Any]) -> str:
    origin = graph.get("annotation source")
    if read := graph.get("annotation read as"):
        origin = f"read as {read}"
    return f"{graph['source']}{f' ({origin})' if origin else ''}: {graph['nodes']:,} genes, {graph['edges']:,} edges"


def _print_names(console: Console, names: Mapping[str, Any]) -> None:
    if names["renamed"]:
        pairs = [f"{old} -> {new}" for old, new in names["renamed"].items()]
        print_lines(console, f"old symbols understood: {_some(pairs)}")
    if names["dropped"]:
        reasons = [f"{name} ({reason})" for name, reason in names["dropped"].items()]
        print_lines(console, f"left out: {_some(reasons)}")


def _cell(value: object) -> Text:
    if type(value).__name__ == "NAType":  # pandas' own, of which there is one
        return Text("")
    return Text(f"{value:.4f}" if isinstance(value, float) else str(value))  # not markup, whatever is in a name


def _some(items: Sequence[str]) -> str:
    more = len(items) - _NAMES_SHOWN
    return f"{len(items)}" + (": " if items else "") + ", ".join(items[:_NAMES_SHOWN]) + (", ..." if more > 0 else "")


def print_lines(console: Console, *lines: str) -> None:
    """Lines as they are: not wrapped, not coloured, not read as markup."""
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def step(what: str, quiet: bool) -> Iterator[None]:
    """Show on a terminal what is being done, while it is being done."""
    if quiet:
        yield
    else:
        with err.status(f"{what} ..."):
            yield


def print_table(
    console: Console,
    header: Iterable[str],
    words: Collection[str],
    rows: Iterable[Iterable[Text]],
    no_wrap: bool = False,
) -> None:
    """A table whose columns of words are flush left, those of numbers flush right."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for name in header:
        shown.add_column(Text(name), justify="left" if name in words else "right", no_wrap=no_wrap)
    for row in rows:
        shown.add_row(*row)
    console.print(shown)


def print_wrote(paths: Sequence[Path], console: Console = out) -> None:
    """Where the files are."""
    print_lines(console, "wrote " + ", ".join(map(str, paths)))
