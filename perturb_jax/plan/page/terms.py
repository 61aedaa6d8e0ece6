"""The GO terms that a pick shares with what it reaches."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from perturb_jax.genes.perturbations import NO_MEMBER, Perturbations
from perturb_jax.graph.annotation import Annotation
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.graph.reach import ReachSets


class SharedTerms:
    """For a gene's terms, how many of the genes it reaches carry each: the reason for the graph's edges.

    Args:
        graph: the knowledge graph; its genes that the annotation does not know carry no term.
        annotation: which genes carry which terms.
    """

    def __init__(self, graph: KnowledgeGraph, annotation: Annotation):
        row = annotation.names.position
        known = [row.get(gene, -1) for gene in graph.genes]
        whole = sp.csr_array(
            (np.ones(annotation.num_pairs, np.int32), annotation.indices, annotation.indptr),
            shape=(len(annotation.genes), len(annotation.terms) or 1),
        )
        rows = np.array(known, np.int64)
        self._carries = whole[np.maximum(rows, 0)]
        self._known = rows >= 0
        self._terms: Sequence[str] = annotation.terms
        counts = np.bincount(annotation.indices, minlength=max(len(annotation.terms), 1))
        self._rarity = np.log(len(annotation.genes) / np.maximum(counts, 1))

    def of(self, candidates: Perturbations, sets: ReachSets, pick: int) -> list[tuple[str, int]]:
        """A pick's terms and how many genes of its reach carry each, the most telling first.

        The order is by that number times log(genes / genes with the term): rare terms that the reach shares.
        """
        own = [int(node) for node in candidates.members[pick] if node != NO_MEMBER and self._known[node]]
        if not own:
            return []
        reached = sets.indices[sets.indptr[pick] : sets.indptr[pick + 1]]
        counts = np.asarray(self._carries[reached[self._known[reached]]].sum(0)).ravel()
        terms = np.unique(np.concatenate([self._carries[[node]].indices for node in own]))
        order = np.lexsort((terms, -(counts[terms] * self._rarity[terms])))
        return [(self._terms[i], int(counts[i])) for i in terms[order]]
