"""Annotations of genes: which terms each carries; the one that ships with the package."""

import lzma
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from jaxtyping import Int, Integer

from perturb_jax.genes.symbols import GeneNames
from perturb_jax.graph.embedded import EMBEDDED_TABLE, about_embedded
from perturb_jax.support.errors import InputError

NAMESPACES = ("BP", "MF", "CC")
"""GO's three namespaces: biological process, molecular function, cellular component."""

UNKNOWN_NAMESPACE = len(NAMESPACES)


@dataclass(frozen=True, eq=False)
class Annotation:
    """Direct GO annotations of a set of genes, as a sparse boolean matrix genes x terms.

    Attributes:
        genes: gene names in sorted order.
        terms: term names ("GO:0003700", or a gene set's name).
        namespaces: per term, the position in `NAMESPACES`, or `UNKNOWN_NAMESPACE`.
        indptr: row pointers: gene i carries ``terms[indices[indptr[i]:indptr[i + 1]]]``.
        indices: term numbers, ascending within a gene.
        aliases: old or other names, each with the current symbols that it may mean. A symbol that is not in `genes`
            is a gene without annotation; an alias with two symbols is ambiguous whether or not both are annotated.
        symbol_of_entrez: NCBI gene ids of the genes, where known.
        metadata: where the annotation comes from, its dates and its checksum, for provenance.
    """

    genes: tuple[str, ...]
    terms: tuple[str, ...]
    namespaces: Integer[np.ndarray, " terms"]
    indptr: Int[np.ndarray, " pointers"]
    indices: Int[np.ndarray, " pairs"]
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    symbol_of_entrez: Mapping[int, str] = field(default_factory=dict, repr=False)
    metadata: Mapping[str, str | int] = field(default_factory=dict)

    @cached_property
    def names(self) -> GeneNames:
        """The gene names, which resolve aliases."""
        return GeneNames(self.genes, self.aliases, f"the {self.metadata.get('name', 'annotation')}")

    @property
    def num_pairs(self) -> int:
        """The number of (gene, term) pairs."""
        return len(self.indices)

    @property
    def matrix(self) -> sp.csr_array:
        """1 where a gene carries a term, [genes, terms]."""
        pairs = (np.ones(self.num_pairs, np.int32), self.indices, self.indptr)
        return sp.csr_array(pairs, shape=(len(self.genes), len(self.terms) or 1))

    def in_namespaces(self, namespaces: Iterable[str]) -> "Annotation":
        """Keep the terms of some namespaces, and the genes that carry at least one of them.

        Args:
            namespaces: any of "BP", "MF", "CC".

        Raises:
            InputError: an unknown namespace, or an annotation whose terms have no namespace.
        """
        wanted = as_tuple(namespaces)
        for namespace in wanted:
            if namespace not in NAMESPACES:
                raise InputError(f"namespaces: expected any of {', '.join(NAMESPACES)}, got {namespace!r}")
        if not wanted:
            raise InputError("namespaces: expected at least one of BP, MF, CC, got none")
        if set(wanted) == set(NAMESPACES):
            return self
        name = self.metadata.get("name", "this annotation")
        if len(self.namespaces) and (self.namespaces == UNKNOWN_NAMESPACE).all():
            raise InputError(f"namespaces: the terms of {name} carry no namespace; omit it to use all of them")
        codes = [NAMESPACES.index(namespace) for namespace in wanted]
        keep = np.isin(self.namespaces, codes)[self.indices]
        if not keep.any():
            raise InputError(f"namespaces: no gene of {name} has a term in {', '.join(wanted)}; choose others")
        indptr = np.concatenate([[0], np.cumsum(keep)])[self.indptr]
        kept = replace(self, indptr=indptr, indices=self.indices[keep])
        return kept.subset(self.genes[i] for i in np.flatnonzero(np.diff(indptr)))

    def subset(self, genes: Iterable[str]) -> "Annotation":
        """The rows of some genes, in sorted order; each must be in `genes`."""
        position = self.names.position
        genes = tuple(sorted(genes))
        some = self.matrix[[position[gene] for gene in genes]]
        return replace(self, genes=genes, indptr=some.indptr.astype(np.int64), indices=some.indices.astype(np.int32))

    def genes_with(self, term: str) -> tuple[str, ...]:
        """The genes that carry a term directly, in sorted order.

        Raises:
            InputError: no gene carries the term.
        """
        has_term = self.indices == self.terms.index(term) if term in self.terms else np.zeros(self.num_pairs, bool)
        if not has_term.any():
            raise InputError(
                f"GO term {term!r} is not in {self.metadata.get('name', 'the annotation')}; expected the id of a term "
                "with direct annotations, such as GO:0003700"
            )
        rows = np.repeat(np.arange(len(self.genes)), np.diff(self.indptr))
        return tuple(self.genes[i] for i in rows[has_term])


def as_tuple(words: Iterable[str]) -> tuple[str, ...]:
    """One word, or several."""
    return (words,) if isinstance(words, str) else tuple(words)


def annotation_from_pairs(
    pairs: Set[tuple[str, str]],
    namespace_of: Mapping[str, int],
    aliases: Mapping[str, tuple[str, ...]],
    metadata: Mapping[str, str | int],
) -> Annotation:
    """Build an `Annotation` from (gene, term) pairs in any order."""
    columns = zip(*sorted(pairs), strict=True)
    (genes, rows), (terms, indices) = (np.unique(column, return_inverse=True) for column in columns)
    current = set(genes.tolist())
    return Annotation(
        genes=tuple(genes.tolist()),
        terms=tuple(terms.tolist()),
        namespaces=np.array([namespace_of.get(term, UNKNOWN_NAMESPACE) for term in terms], np.uint8),
        indptr=np.concatenate([[0], np.cumsum(np.bincount(rows))]),
        indices=indices.astype(np.int32),
        aliases={alias: names for alias, names in aliases.items() if alias not in current},
        metadata={**metadata, "pairs": len(pairs)},
    )


@cache
def human_annotation() -> Annotation:
    """The direct human GO annotation that ships with the package.

    20,728 gene symbols, 18,933 terms, 300,448 pairs, from Bioconductor's org.Hs.eg.db 3.16.0 (NCBI gene2go of
    2022-09-12, GO of 2022-07-01; GO annotation CC BY 4.0).
    """
    with np.load(EMBEDDED_TABLE, allow_pickle=False) as table:
        symbols = _lines(table["symbols"])
        indptr = np.concatenate([[0], np.cumsum(table["row_lengths"].astype(np.int64))])
        running = np.cumsum(table["row_steps"].astype(np.int64))
        start = np.concatenate([[0], running])[indptr[:-1]]
        indices = (running - np.repeat(start, table["row_lengths"])).astype(np.int32)
        names = symbols + _lines(table["unannotated_symbols"])
        targets = (names[i] for i in table["alias_targets"].tolist())
        lengths = zip(_lines(table["aliases"]), table["alias_lengths"].tolist(), strict=True)
        return Annotation(
            genes=tuple(symbols),
            terms=tuple(f"GO:{number:07d}" for number in table["terms"].tolist()),
            namespaces=table["namespaces"],
            indptr=indptr,
            indices=indices,
            aliases={alias: tuple(islice(targets, length)) for alias, length in lengths},
            symbol_of_entrez=dict(zip(table["entrez"].tolist(), symbols, strict=True)),
            metadata={name: value for name, value in about_embedded().items() if name not in ("genes", "terms")},
        )


def _lines(encoded: np.ndarray) -> list[str]:
    return encoded.tobytes().decode("ascii").split("\n")


EMBEDDED_NAMES = Path(__file__).parent / "data" / "go_names.tsv.xz"


@cache
def term_names() -> Mapping[str, str]:
    """Names of 43,558 GO terms by id, from the table that ships with the package.

    From Bioconductor's GO.db 3.16.0 (GO of 2022-07-01, CC BY 4.0): the terms that were current then. Terms of other
    releases may be missing: `term_names().get(term, term)`.

    Examples:
        >>> term_names()["GO:0003700"]
        'DNA-binding transcription factor activity'
    """
    lines = lzma.decompress(EMBEDDED_NAMES.read_bytes()).decode().splitlines()
    return dict(line.split("\t") for line in lines)
