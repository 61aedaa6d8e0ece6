"""The gene-ontology graph, by exactly the rule that GEARS uses."""

from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path

import numpy as np

from perturb_jax.genes.symbols import Resolution, Unknown
from perturb_jax.graph.annotation import NAMESPACES, Annotation, human_annotation
from perturb_jax.graph.annotation_files import read_annotation
from perturb_jax.graph.jaccard import most_similar
from perturb_jax.graph.knowledge_graph import KnowledgeGraph, Provenance, make_graph
from perturb_jax.support.errors import InputError


def load_go_graph(
    genes: Iterable[str] | None = None,
    neighbors: int = 20,
    min_jaccard: float = 0.1,
    namespaces: Iterable[str] = NAMESPACES,
    annotation: Annotation | str | Path | None = None,
    unknown: Unknown = "error",
) -> KnowledgeGraph:
    """The graph that connects each gene with the genes most similar to it by gene ontology.

    With T(v) the GO terms of gene v, w(u, v) = |T(u) & T(v)| / |T(u) | T(v)| (Jaccard). Per target v, the sources u
    with w > `min_jaccard` compete, v itself among them (w = 1), and the `neighbors + 1` largest become edges u -> v;
    among equals the first in sorted gene order. That is GEARS' rule (Roohani et al., Nat Biotechnol 2024; functions
    ``get_GO_edge_list`` and ``get_similarity_network``), so v can lose its own place to more than `neighbors` genes of
    identical annotation.

    Args:
        genes: the genes that become nodes; None: every annotated gene. Old symbols are resolved.
        neighbors: sources per target, besides the target itself.
        min_jaccard: similarity that an edge must exceed, in [0, 1).
        namespaces: which of "BP", "MF", "CC" count.
        annotation: an `Annotation`, or the path of a gene2go, GAF or GMT file; None: the human one of the package.
        unknown: "error", or "drop" to leave out unknown and ambiguous names (see ``graph.provenance.dropped``).

    Returns:
        The graph, nodes in sorted order whatever the order given.

    Raises:
        InputError: names, namespaces, files or numbers that cannot be used; each message says which and what to do.

    Complexity: O(sum over terms of genes(term)^2), O(genes) memory per core: the whole human genome in about a second.

    Examples:
        >>> graph = load_go_graph(["TP53", "MDM2", "MDM4", "GATA1"], neighbors=2)
        >>> graph.genes
        ('GATA1', 'MDM2', 'MDM4', 'TP53')
    """
    if isinstance(neighbors, bool) or not isinstance(neighbors, Integral) or neighbors < 1:
        raise InputError(f"neighbors: expected a whole number of at least 1, got {neighbors!r}")
    if not isinstance(min_jaccard, Real) or not 0 <= min_jaccard < 1:
        raise InputError(f"min_jaccard: expected a number in [0, 1), got {min_jaccard!r}")
    if annotation is None:
        annotation = human_annotation()
    elif not isinstance(annotation, Annotation):
        annotation = read_annotation(annotation)
    namespaces = (namespaces,) if isinstance(namespaces, str) else tuple(namespaces)
    annotation = annotation.in_namespaces(namespaces)
    source = str(annotation.metadata.get("name", "annotation"))
    universe = Resolution((), (), {}, {})
    if genes is not None:
        universe = annotation.names.resolve(genes, unknown)
        if not universe.genes:
            raise InputError(f"genes: none of the {len(universe.dropped)} genes given is in the {source}")
        annotation = annotation.subset(universe.genes)
    senders, receivers, weights = most_similar(annotation, neighbors, min_jaccard)
    return make_graph(
        senders,
        receivers,
        weights.astype(np.float32),
        annotation.genes,
        annotation.aliases,
        Provenance(
            source=source,
            settings=(
                ("neighbors", neighbors),
                ("min_jaccard", min_jaccard),
                ("namespaces", ",".join(namespaces)),
                *((f"annotation {key}", value) for key, value in annotation.metadata.items()),
            ),
            renamed=tuple(universe.renamed.items()),
            dropped=tuple(universe.dropped.items()),
        ),
    )
