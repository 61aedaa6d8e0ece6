"""A knowledge graph from a finished edge list, and back."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from perturb_jax.genes.lists import read_csv
from perturb_jax.genes.symbols import GeneNames
from perturb_jax.graph.knowledge_graph import KnowledgeGraph, Provenance, make_graph
from perturb_jax.support.errors import InputError

COLUMNS = ("source", "target", "importance")


def graph_from_edges(edges: pd.DataFrame | str | Path, genes: Sequence[str] | None = None) -> KnowledgeGraph:
    """Build a knowledge graph from an edge list, used as it is: no threshold, no limit of neighbours.

    Args:
        edges: a table, or the path of a CSV file (.gz allowed), with the columns source, target and importance
            (finite, > 0). An edge given twice counts once.
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
    origin = "edge table" if isinstance(edges, pd.DataFrame) else str(edges)
    table = _checked(edges if isinstance(edges, pd.DataFrame) else read_csv(Path(edges)), origin)
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


def _checked(table: pd.DataFrame, origin: str) -> pd.DataFrame:
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        found = ", ".join(map(str, table.columns[:6]))
        raise InputError(
            f"{origin}: expected the columns {', '.join(COLUMNS)}; {', '.join(missing)} missing (found: {found:.200})"
        )
    repeated = [column for column in COLUMNS if list(table.columns).count(column) > 1]
    if repeated:
        raise InputError(f"{origin}: the column {repeated[0]} is there more than once; keep one")
    table = table[list(COLUMNS)].copy()
    if table.empty:
        raise InputError(f"{origin}: no edge in it; expected at least one row")
    for column in ("source", "target"):
        named = np.array([isinstance(name, str) and bool(name.strip()) for name in table[column]])
        if not named.all():
            raise InputError(f"{origin}: the {column} in {_row(~named)} is blank or not text; give a gene name")
        table[column] = table[column].str.strip()
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused below
        importance = pd.to_numeric(table["importance"], errors="coerce").astype(np.float32)
    usable = np.isfinite(importance) & (importance > 0)
    if not usable.all():
        received = table["importance"][~usable].iloc[0]
        raise InputError(
            f"{origin}: expected an importance that is a finite number > 0, got {received!r} in {_row(~usable)}; "
            "correct it or leave the edge out"
        )
    table["importance"] = importance
    table = table.drop_duplicates()
    twice = table.duplicated(["source", "target"])
    if twice.any():
        edge = table[twice].iloc[0]
        raise InputError(
            f"{origin}: the edge {edge['source']} -> {edge['target']} has two different importances; keep one"
        )
    return table


def _row(bad: pd.Series | np.ndarray) -> str:
    return f"row {int(np.flatnonzero(bad)[0]) + 1}"
