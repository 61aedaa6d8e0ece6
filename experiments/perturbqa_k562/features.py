"""Kernels between perturbations, from the GO graph, from GO terms, and from sources that are not GO."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, diags_array

import perturb_jax as pj
from perturb_jax.graph.operator import gcn_norm, message_passing

PATHWAYS = ("wikipathways", "kegg", "pfam", "prosite")
LITERATURE = ("pubmed",)


def propagation(graph: pj.KnowledgeGraph, weighted: bool = True, direction: str = "in") -> csr_array:
    """P, the operator of GEARS' graph convolution: row v holds what v reads ("out": what reads v; "both": either)."""
    matrix = gcn_norm(message_passing(graph, weighted=weighted, symmetric=direction == "both"))
    return matrix.T.tocsr() if direction == "out" else matrix


def graph_features(graph: pj.KnowledgeGraph, names: tuple[str, ...], hops: int) -> csr_array:
    """The rows of P^hops that belong to some genes."""
    matrix = propagation(graph)
    rows = matrix[graph.index(names)]
    for _ in range(hops - 1):
        rows = rows @ matrix
    return rows


def term_features(names: tuple[str, ...]) -> csr_array:
    """Which GO terms each gene is annotated with, 1 or 0."""
    annotation = pj.human_annotation()
    shape = len(annotation.genes), len(annotation.terms)
    terms = csr_array((np.ones(len(annotation.indices)), annotation.indices, annotation.indptr), shape=shape)
    row_of = {gene: row for row, gene in enumerate(annotation.genes)}
    return terms[[row_of[gene] for gene in names]]


def listed_features(path: Path, names: tuple[str, ...], sources: tuple[str, ...]) -> csr_array:
    """Features from a table with the columns source, feature and gene, each weighted by log(genes / genes with it)."""
    table = pd.read_csv(path, sep="\t", dtype=str)
    table = table[table["source"].isin(sources) & table["gene"].isin(names)]
    rows = pd.Index(names).get_indexer(table["gene"])
    columns, found = pd.factorize(table["source"] + ":" + table["feature"])
    matrix = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(names), len(found)))
    rarity = np.log(len(names) / matrix.sum(0))
    return (matrix @ diags_array(rarity)).tocsr()


def linear(features: csr_array) -> np.ndarray:
    """Inner products, scaled to a mean of 1 over the diagonal."""
    kernel = (features @ features.T).toarray()
    return kernel / kernel.diagonal().mean()


def cosine(features: csr_array) -> np.ndarray:
    """Inner products of rows scaled to length 1; 0 for a row without features."""
    kernel = (features @ features.T).toarray()
    lengths = np.sqrt(kernel.diagonal())
    inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return kernel * inverse[:, None] * inverse


def jaccard(features: csr_array) -> np.ndarray:
    """Shared features over all features of either, of rows of 1 and 0."""
    shared = (features @ features.T).toarray()
    sizes = shared.diagonal()
    either = sizes[:, None] + sizes - shared
    return np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)
