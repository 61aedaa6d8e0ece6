"""What the options of the command line name: annotation, graph, candidates, targets."""

from collections.abc import Iterable
from pathlib import Path

import perturb_jax as pj
from perturb_jax.cli.options import ALL_TARGETS
from perturb_jax.genes.lists import read_names, read_numbers
from perturb_jax.graph.annotation import Annotation
from perturb_jax.support.errors import InputError


def annotation_of(
    graph_file: Path | None, annotation: Path | None, evidence: str | None, drop_evidence: str | None
) -> Annotation:
    """The annotation that the options name: the embedded one, or a file's."""
    if annotation is None:
        if evidence or drop_evidence:
            raise InputError("--evidence, --drop-evidence: need --annotation with a gene2go or GAF file")
        return pj.human_annotation()
    if graph_file is not None:
        raise InputError("--graph and --annotation: expected one source of edges, got both; leave one away")
    return pj.read_annotation(annotation, _codes(evidence), _codes(drop_evidence) or ())


def graph_of(
    graph_file: Path | None,
    annotation: Annotation,
    universe: Path | None,
    neighbors: int | None,
    min_jaccard: float | None,
    namespaces: str | None,
    unknown: str,
    otherwise: Iterable[str] | None = None,
) -> pj.KnowledgeGraph:
    """The graph that the options name: an edge list as it is, or one built from the annotation.

    Its genes are the universe's; where none is given, those of `otherwise` that are annotated, or all annotated ones.
    """
    genes = None if universe is None else read_names(universe)
    if universe is None and otherwise is not None and graph_file is None:
        genes, unknown = list(otherwise), "drop"
    rules = {"neighbors": neighbors, "min_jaccard": min_jaccard, "namespaces": _codes(namespaces)}
    given = {name: value for name, value in rules.items() if value is not None}
    if graph_file is None:
        return pj.load_go_graph(genes, annotation=annotation, unknown=unknown, **given)  # type: ignore[arg-type]
    if given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise InputError(f"{options}: a finished edge list is used as it is; leave the option away")
    return pj.graph_from_edges(graph_file, genes)


def candidate_names(path: Path | None, term: str | None, column: str | None, annotation: Annotation) -> list[str]:
    """The names of the candidates: from a file, or by a GO term."""
    if (path is None) == (term is None):
        given = "neither" if path is None else "both"
        raise InputError(f"expected either --candidates FILE or --candidates-go GO:ID, got {given}")
    if path is None and column is not None:
        raise InputError("--column: expected a table given with --candidates, got --candidates-go; leave --column away")
    if path is not None:
        return read_names(path, column)
    assert term is not None
    return list(annotation.genes_with(term))


def optional_names(path: Path | None) -> list[str]:
    """The names in a file, if there is one."""
    return [] if path is None else read_names(path)


def target_worths(targets: str | None) -> dict[str, float] | None:
    """What each target in a file is worth; None for none named, and for all genes, which the graph knows."""
    return None if targets in (None, ALL_TARGETS) else read_numbers(targets, "weight", default=1.0)


def _codes(text: str | None) -> list[str] | None:
    return None if text is None else [code.strip() for code in text.split(",") if code.strip()]
