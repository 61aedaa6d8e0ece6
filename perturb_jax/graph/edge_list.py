"""A knowledge graph from a finished edge list, and back."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from perturb_jax.genes.symbols import GeneNames
from perturb_jax.genes.tables import find_column, is_missing, read_table, to_numbers
from perturb_jax.graph.knowledge_graph import KnowledgeGraph, Provenance, make_graph
from perturb_jax.support.checks import listed
from perturb_jax.support.errors import InputError, prefixed

COLUMNS = ("source", "target", "importance")
_CALLED = {"importance": ("importance", "weight")}
"""What a column may also be called."""


def graph_from_edges(edges: pd.DataFrame | str | Path, genes: Sequence[str] | None = None) -> KnowledgeGraph:
    """Build a knowledge graph from an edge list, used as it is: no threshold, no limit of neighbours.

    Args:
        edges: a table, or the path of one (CSV, TSV, Excel, compressed), with the columns source, target and importance
            or weight (finite, > 0), in any case. An edge given twice counts once.
        genes: the nodes, in this order; edges to other genes are left out. None: every gene that an edge names, in
            sorted order.

    Raises:
        InputError: a file that is not such a table; missing columns; blank names; importance that is not a finite
            positive number; one edge with two different importances; repeated genes; no edge at all.

    Complexity: O(E log E).

    Examples:
        >>> import pandas as pd
        >>> edges = pd.DataFrame({"source": ["A", "B"], "target": ["B", "C"], "importance": [0.5, 1.0]})
        >>> graph_from_edges(edges).genes
        ('A', 'B', 'C')
    """
    table, origin = (
        (edges, "edge table") if isinstance(edges, pd.DataFrame) else (_read(Path(edges).expanduser()), str(edges))
    )
    table = _checked(table, origin)
    if genes is None:
        node_names = sorted(set(table["source"]) | set(table["target"]))
    else:
        node_names = list(GeneNames(tuple(genes)).resolve(genes).genes)
    names = pd.Index(node_names)
    senders, receivers = names.get_indexer(table["source"]), names.get_indexer(table["target"])
    inside = (senders >= 0) & (receivers >= 0)
    order = np.argsort(receivers[inside], kind="stable")
    return make_graph(
        senders[inside][order],
        receivers[inside][order],
        table["importance"].to_numpy()[inside][order],
        node_names,
        provenance=Provenance(
            source=f"edge list {origin}", settings=(("edges outside the genes given", int((~inside).sum())),)
        ),
    )


def edge_table(graph: KnowledgeGraph) -> pd.DataFrame:
    """The graph's edges as a table with the columns source, target, importance: what `graph_from_edges` reads."""
    genes = np.array(graph.genes, dtype=object)
    return pd.DataFrame(
        {
            "source": genes[np.asarray(graph.senders)],
            "target": genes[np.asarray(graph.receivers)],
            "importance": np.asarray(graph.weights),
        }
    )


def _read(path: Path) -> pd.DataFrame:
    """A file's table, with the importances as numbers where they are some."""
    read = read_table(path, headings=COLUMNS)
    for column in read.cells:
        if read.decimal_commas:
            numbers = to_numbers(read.cells[column].tolist(), decimal_commas=True)
            read.cells[column] = read.cells[column].where(np.isnan(numbers), numbers)
    return read.cells


def _checked(table: pd.DataFrame, origin: str) -> pd.DataFrame:
    with prefixed(f"{origin}: "):
        found = {column: find_column(table.columns, *_CALLED.get(column, (column,))) for column in COLUMNS}
    missing = [column for column, name in found.items() if name is None]
    if missing:
        there = ", ".join(map(str, table.columns[:6]))
        raise InputError(
            f"{origin}: expected the columns {', '.join(COLUMNS)}; {', '.join(missing)} missing (found: {there:.200})"
        )
    table = table[list(found.values())].set_axis(list(COLUMNS), axis=1)
    if table.empty:
        raise InputError(f"{origin}: no edge in it; expected at least one row")
    problems = []
    for column in ("source", "target"):
        named = np.array([isinstance(name, str) and not is_missing(name) for name in table[column]])
        if not named.all():
            problems.append(f"the {column} in {_rows(~named)} is blank or not text; give a gene name")
        else:
            table[column] = table[column].str.strip()
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused below
        importance = pd.to_numeric(table["importance"], errors="coerce").astype(np.float32)
    usable = np.isfinite(importance) & (importance > 0)
    if not usable.all():
        received = table["importance"][~usable].tolist()[0]
        problems.append(
            f"expected an importance that is a finite number > 0, got {received!r} in {_rows(~usable)}; correct it or "
            "leave the edge out"
        )
    if problems:
        raise InputError(f"{origin}: {'; '.join(problems)}")
    table["importance"] = importance
    table = table.drop_duplicates()
    twice = table[table.duplicated(["source", "target"])].drop_duplicates(["source", "target"])
    if len(twice):
        edges = [f"{source} -> {target}" for source, target in zip(twice["source"], twice["target"], strict=True)]
        which, have = ("edge", "has") if len(edges) == 1 else ("edges", "have")
        raise InputError(f"{origin}: the {which} {listed(edges)} {have} two different importances; keep one")
    return table


def _rows(bad: pd.Series | np.ndarray) -> str:
    return listed([f"row {row + 1}" for row in np.flatnonzero(bad)])
