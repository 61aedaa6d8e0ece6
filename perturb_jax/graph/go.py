"""The graph of gene ontology: which genes share terms by GEARS' rule, and the edges that follow."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from numbers import Real
from os import cpu_count
from pathlib import Path

import numpy as np

from perturb_jax.genes.symbols import Resolution, Unknown
from perturb_jax.graph.annotation import NAMESPACES, Annotation, as_tuple, human_annotation
from perturb_jax.graph.annotation_files import read_annotation
from perturb_jax.graph.knowledge_graph import KnowledgeGraph, Provenance, make_graph
from perturb_jax.support.checks import check_count
from perturb_jax.support.errors import InputError
from perturb_jax.support.loops import group_by, kernel

_BLOCKS_PER_CORE = 8
_GENES_PER_CORE = 4000  # with fewer, a second thread costs more than it does


def most_similar(
    annotation: Annotation, neighbors: int, min_jaccard: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The edges of `load_go_graph`: senders, receivers (ascending; within one by falling similarity), weights.

    `gears.utils.get_GO_edge_list` followed by pandas' ``nlargest``, over an inverted index; most additions are
    vectorised: a term that a tenth of all genes carry is added as a dense row.
    """
    num_genes, num_terms = len(annotation.genes), len(annotation.terms)
    sizes = np.diff(annotation.indptr).astype(np.int32)
    rows = np.repeat(np.arange(num_genes, dtype=np.int32), sizes)
    term_indptr, term_genes = group_by(annotation.indices, rows, num_terms)
    common = np.flatnonzero(np.diff(term_indptr) * 10 > num_genes)
    dense_row = np.full(num_terms, -1, np.int32)
    dense_row[common] = np.arange(len(common))
    small = sizes.max(initial=0) <= np.iinfo(np.int16).max
    dense = annotation.matrix[:, common].T.toarray().astype(np.int16 if small else np.int32)
    cores = min(cpu_count() or 1, 1 + num_genes // _GENES_PER_CORE)
    bounds = np.linspace(0, num_genes, min(num_genes, cores * _BLOCKS_PER_CORE) + 1).astype(np.int64)

    tables = (annotation.indptr, annotation.indices, sizes, term_indptr, term_genes, dense_row, dense)

    def block(start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return _most_similar_block(*tables, min(neighbors, num_genes) + 1, min_jaccard, start, stop)

    with ThreadPoolExecutor(cores) as pool:
        blocks = list(pool.map(block, bounds[:-1].tolist(), bounds[1:].tolist()))
    senders, weights, counts = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return senders, np.repeat(np.arange(num_genes, dtype=np.int32), counts), weights


@kernel
def _most_similar_block(  # type: ignore[no-untyped-def]
    indptr, indices, sizes, term_indptr, term_genes, dense_row, dense, keep, min_jaccard, start, stop
):
    num_genes = len(sizes)
    shared = np.zeros(num_genes, dense.dtype)
    # score > min_jaccard needs shared * (1 + 1 / min_jaccard) > both sizes: vectorised, without a division. Rounded
    # up here, decided exactly below.
    factor = np.float32((1 + 1 / min_jaccard) * (1 + 1e-5)) if min_jaccard > 0 else np.float32(np.inf)
    near = np.empty(num_genes, np.bool_)
    best_gene = np.empty(keep, np.int32)
    best_score = np.empty(keep, np.float64)
    senders = np.empty((stop - start) * keep, np.int32)
    weights = np.empty((stop - start) * keep, np.float64)
    counts = np.zeros(stop - start, np.int64)
    end = 0
    for target in range(start, stop):
        for gene in range(num_genes):  # loops, here and below: array expressions take numba seconds to compile
            shared[gene] = 0
        for position in range(indptr[target], indptr[target + 1]):
            term = indices[position]
            row = dense_row[term]
            if row >= 0:
                for gene in range(num_genes):
                    shared[gene] += dense[row, gene]
            else:
                for entry in range(term_indptr[term], term_indptr[term + 1]):
                    shared[term_genes[entry]] += 1
        size = sizes[target]
        for gene in range(num_genes):
            near[gene] = shared[gene] * factor >= size + sizes[gene]
        found = 0
        for source in range(num_genes):
            if not near[source]:
                continue
            both = shared[source]
            score = both / (size + sizes[source] - both)
            if score <= min_jaccard or (found == keep and score <= best_score[keep - 1]):
                continue
            slot = found if found < keep else keep - 1
            while slot > 0 and best_score[slot - 1] < score:
                best_score[slot] = best_score[slot - 1]
                best_gene[slot] = best_gene[slot - 1]
                slot -= 1
            best_score[slot] = score
            best_gene[slot] = source
            found = min(found + 1, keep)
        counts[target - start] = found
        for slot in range(found):
            senders[end + slot] = best_gene[slot]
            weights[end + slot] = best_score[slot]
        end += found
    return senders[:end], weights[:end], counts


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
    ``get_GO_edge_list`` and ``get_similarity_network``), so v can lose its own edge to more than `neighbors` genes of
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
    check_count("neighbors", neighbors)
    if not isinstance(min_jaccard, Real) or not 0 <= min_jaccard < 1:
        raise InputError(f"min_jaccard: expected a number in [0, 1), got {min_jaccard!r}")
    if annotation is None:
        annotation = human_annotation()
    elif not isinstance(annotation, Annotation):
        annotation = read_annotation(annotation)
    namespaces = as_tuple(namespaces)
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
