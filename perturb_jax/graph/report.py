"""What a knowledge graph is, in numbers and a picture."""

from collections.abc import Mapping
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from scipy.sparse.csgraph import connected_components

from perturb_jax.genes.perturbations import NO_MEMBER, Perturbations
from perturb_jax.graph.knowledge_graph import KnowledgeGraph, degrees, graph_record
from perturb_jax.graph.operator import message_passing
from perturb_jax.support.figures import DEGREE, SELECTION, canvas
from perturb_jax.support.files import checksums, versions


def describe_graph(
    graph: KnowledgeGraph, candidates: Perturbations | None, inputs: Mapping[str, Path | None]
) -> dict[str, Any]:
    """Nodes, edges, components, degrees, and which candidates have no neighbour: plain values for JSON.

    Self-loops count as edges but not as neighbours. A component is a set of genes connected by edges in any direction.
    """
    read, readers = degrees(graph)
    number, labels = connected_components(message_passing(graph), directed=True, connection="weak")
    isolated = (read == 0) & (readers == 0)
    record = {
        "graph": graph_record(graph),
        "inputs": checksums(inputs),
        "versions": versions(),
        "self-loops": int((np.asarray(graph.senders) == np.asarray(graph.receivers)).sum()),
        "components": int(number),
        "largest component": int(np.bincount(labels).max(initial=0)),
        "genes without neighbour": int(isolated.sum()),
        "in-degree": _spread(read),
        "out-degree": _spread(readers),
    }
    if candidates is not None:
        members = candidates.members
        alone = isolated[members] | (members == NO_MEMBER)
        record["candidates"] = {
            "in the graph": len(candidates),
            "renamed": candidates.renamed,
            "dropped": candidates.dropped,
            "without neighbour": list(compress(candidates.labels, alone.all(1))),
        }
    return record


def _spread(edges: Int[np.ndarray, " nodes"]) -> dict[str, float]:
    return {
        "least": int(edges.min(initial=0)),
        "median": float(np.median(edges)) if len(edges) else 0.0,
        "mean": round(float(edges.mean()), 2) if len(edges) else 0.0,
        "largest": int(edges.max(initial=0)),
    }


def graph_picture(graph: KnowledgeGraph) -> bytes:
    """How many genes have how many edges, in and out, as a PNG."""
    title = f"{graph.provenance.source}: {graph.num_nodes:,} genes, {graph.num_edges:,} edges"
    read, readers = degrees(graph)
    with canvas(title, (10.0, 3.8)) as (figure, output):
        left, right = figure.subplots(1, 2)
        left.hist(read, bins=np.arange(read.max(initial=0) + 2) - 0.5, color=SELECTION)
        left.set(title=f"In-degree: {_summary(read)}", xlabel="genes that a gene reads", yscale="log")
        left.set_ylabel("genes")
        read_by = np.sort(readers[readers > 0])
        marker = "o" * (len(read_by) == 1)  # one point has no line
        counts = np.arange(len(read_by), 0, -1)
        right.step(read_by, counts, where="post", color=DEGREE, linewidth=2.2, marker=marker)
        right.set(title=f"Out-degree: {_summary(readers)}", xlabel="genes that read a gene")
        if len(read_by):  # a log axis needs a number above 0
            right.set(xscale="log", yscale="log", xlim=(0.8, 1.25 * read_by[-1]), ylim=(0.8, 1.25 * len(read_by)))
        right.set_ylabel("genes with at least so many")
        left.set_ylim(bottom=0.8)
        left.xaxis.get_major_locator().set_params(integer=True)
    return output.getvalue()


def _summary(edges: Int[np.ndarray, " nodes"]) -> str:
    none = np.count_nonzero(edges == 0)
    return f"median {np.median(edges):.0f}, largest {edges.max(initial=0):,}, none for {none:,} genes"
