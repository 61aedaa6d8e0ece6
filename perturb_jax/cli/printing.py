"""What the command line prints."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

import perturb_jax

if TYPE_CHECKING:
    import pandas as pd

out, err = Console(), Console(stderr=True)
ROWS_SHOWN = 20
_NAMES_SHOWN = 8


def version_lines() -> str:
    """The package's version, and the embedded annotation's."""
    annotation = perturb_jax.human_annotation()
    about = annotation.metadata
    return (
        f"perturb-jax {perturb_jax.__version__}\n"
        f"{about['name']}: {len(annotation.genes):,} genes, {len(annotation.terms):,} terms, "
        f"{annotation.num_pairs:,} pairs\n"
        f"from {about['source']}; GO of {about['GO date']}, annotations of {about['date']}\n"
        f"{about['licence']}\n"
        f"sha256 {about['sha256']}"
    )


def print_plan(console: Console, table: "pd.DataFrame", record: Mapping[str, Any], paths: Sequence[Path]) -> None:
    """The first picks, what they reach compared with the baselines, and where the files are."""
    print_line(console, _graph_line(record["graph"]))
    _print_names(console, record["candidates"])
    shown = Table(box=None, header_style="bold", pad_edge=False)
    picks = len(table)
    if "informs" in table:
        table = _narrow(table, console.width)
    if "frequency" in table:
        table = table.drop(columns=["covered_fraction", "layer", "bound"])
    for column in table.columns:
        shown.add_column(column, justify="left" if column in ("gene", "informs") else "right", no_wrap=True)
    for row in table.head(ROWS_SHOWN).itertuples(index=False):
        shown.add_row(*map(_cell, row))
    console.print(shown)
    if picks > ROWS_SHOWN:
        print_line(console, f"... and {picks - ROWS_SHOWN} more in {paths[0]}")
    print_line(console, "")
    for line in _result_lines(record, picks):
        print_line(console, line)
    print_line(console, "wrote " + ", ".join(map(str, paths)))


def _narrow(table: "pd.DataFrame", width: int) -> "pd.DataFrame":
    """What fits into a terminal of a design's first picks: no coverage, and as many informed targets as have room."""
    table = table.head(ROWS_SHOWN).drop(
        columns=["gain", "covered", "covered_fraction", "layer", "bound", "criterion_bound"], errors="ignore"
    )
    others = [[str(name), *(str(_cell(value)) for value in table[name])] for name in table if name != "informs"]
    room = width - sum(2 + max(map(len, cells)) for cells in others)
    table["informs"] = [_whole_items(named, room) for named in table["informs"]]
    return table


def _whole_items(text: str, room: int) -> str:
    items = text.split("; ")
    while len(items) > 1 and len("; ".join(items)) > room:
        items.pop()
    return "; ".join(items)


def print_graph(console: Console, record: Mapping[str, Any], paths: Sequence[Path]) -> None:
    """The graph's numbers."""
    graph = record["graph"]
    print_line(console, _graph_line(graph))
    for name, value in graph.items():
        if name not in ("source", "nodes", "edges", "renamed", "dropped"):
            print_line(console, f"  {name}: {value}")
    _print_names(console, graph)
    print_line(
        console,
        f"{record['components']:,} components, the largest of {record['largest component']:,} genes; "
        f"{record['genes without neighbour']:,} genes without neighbour; {record['self-loops']:,} self-loops",
    )
    for degree in ("in-degree", "out-degree"):
        spread = record[degree]
        print_line(
            console,
            f"{degree}: median {spread['median']:.0f}, mean {spread['mean']}, least {spread['least']}, largest "
            f"{spread['largest']:,}",
        )
    if "candidates" in record:
        candidates = record["candidates"]
        alone = candidates["without neighbour"]
        print_line(
            console, f"candidates: {candidates['in the graph']:,} in the graph; without neighbour: {_some(alone)}"
        )
        _print_names(console, candidates)
    if paths:
        print_line(console, "wrote " + ", ".join(map(str, paths)))


def _graph_line(graph: Mapping[str, Any]) -> str:
    origin = f" ({graph['annotation source']})" if "annotation source" in graph else ""
    return f"{graph['source']}{origin}: {graph['nodes']:,} genes, {graph['edges']:,} edges"


def _print_names(console: Console, names: Mapping[str, Any]) -> None:
    if names["renamed"]:
        pairs = [f"{old} -> {new}" for old, new in names["renamed"].items()]
        print_line(console, f"old symbols understood: {_some(pairs)}")
    if names["dropped"]:
        reasons = [f"{name} ({reason})" for name, reason in names["dropped"].items()]
        print_line(console, f"left out: {_some(reasons)}")


def _result_lines(record: Mapping[str, Any], picks: int) -> list[str]:
    result, nodes = record["result"], record["graph"]["nodes"]
    random = result["random"]
    lines = [
        f"{picks} picks{_with_tested(record)} reach {result['covered']:,} of {nodes:,} genes "
        f"({result['covered_fraction']:.1%}); all candidates together reach "
        f"{result['reachable from all candidates']:,}.",
        f"Random picks reach {random['mean']:,.0f} (mean of {len(random['covered'])} draws, {min(random['covered']):,} "
        f"to {max(random['covered']):,}), the most connected genes {result['top-degree']:,}.",
    ]
    if "sigma" in result:
        sigma = result["sigma"]
        lines.append(
            f"Spectral norm of what is reached: {sigma['picks']:.4f}; random picks {min(sigma['random']):.4f} to "
            f"{max(sigma['random']):.4f}, the most connected genes {sigma['top-degree']:.4f} ({result['computed']})."
        )
    if "robust" in result:
        lines.append(_robust_line(result["robust"], record["settings"]["robust"]))
    if "design" in result:
        lines = _design_lines(result["design"], picks) + lines
    if result["bound"] is not None:
        lines.append(
            f"No {picks} of these candidates{_with_must(record)} can reach more than {result['bound']:,}: these reach "
            f"at least {1000 * result['covered'] // result['bound'] / 10} % of the best possible."
        )
    return lines


def _robust_line(robust: Mapping[str, Any], noise: Mapping[str, Any]) -> str:
    bound = f"; no selection reaches more than {robust['bound']:,.1f}" if "bound" in robust else ""
    return (
        f"On {noise['copies']:,} copies of the graph, each without {noise['dropout']:.0%} of the edges, these "
        f"picks reach {robust['mean covered']:,.1f} genes on average{bound}. GraphReach's picks for the graph "
        f"itself reach {robust['picks of the graph itself']:,.1f}."
    )


def _design_lines(design: Mapping[str, Any], picks: int) -> list[str]:
    random = design["random"]
    compared = "".join(
        f", {name} {end['remaining variance']:.1%}" + (f" (first {end['spent']:g})" if end["spent"] < picks else "")
        for name, end in design.items()
        if isinstance(end, Mapping)
    )
    lines = [
        f"Expected variance that stays unknown of {design['targets']:,} targets: "
        f"{design['remaining variance before']:.1%} before, {design['remaining variance']:.1%} after these picks; "
        f"random picks {min(random):.1%} to {max(random):.1%}{compared}.",
        f"Least known will be {', '.join(design['least known'][:_NAMES_SHOWN])} (all in targets.csv).",
    ]
    if "bound" in design:
        lines.append(
            f"No selection has a larger {design['objective']} than {design['bound']:.4g}: these have "
            f"{design['value']:.4g}, at least {100 * design['value'] / design['bound']:.1f} % of the best possible."
        )
    return lines


def _with_tested(record: Mapping[str, Any]) -> str:
    tested = len(record["candidates"]["already tested"])
    return f" and the {tested:,} already tested" if tested else ""


def _with_must(record: Mapping[str, Any]) -> str:
    must = len(record["candidates"]["must include"])
    return f", the {must:,} must-haves among them," if must else ""


def _cell(value: object) -> Text:
    if type(value).__name__ == "NAType":  # pandas' own, of which there is one
        return Text("")
    return Text(f"{value:.4f}" if isinstance(value, float) else str(value))  # not markup, whatever is in a name


def _some(items: Sequence[str]) -> str:
    more = len(items) - _NAMES_SHOWN
    return f"{len(items)}" + (": " if items else "") + ", ".join(items[:_NAMES_SHOWN]) + (", ..." if more > 0 else "")


def print_line(console: Console, line: str) -> None:
    """A line as it is: not wrapped, not coloured, not read as markup."""
    console.print(line, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def step(what: str, quiet: bool) -> Iterator[None]:
    """Show on a terminal what is being done, while it is being done."""
    if quiet:
        yield
    else:
        with err.status(f"{what} ..."):
            yield


def print_wrote(paths: Sequence[Path]) -> None:
    """Where the files are."""
    print_line(out, "wrote " + ", ".join(map(str, paths)))
