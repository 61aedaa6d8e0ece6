"""Which genes carry which GO terms: the `Annotation`, and the human one that ships with the package."""

import hashlib
import json
import lzma
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int, Integer

from perturb_jax.genes.symbols import GeneNames
from perturb_jax.support.errors import InputError

NAMESPACES = ("BP", "MF", "CC")
"""GO's three namespaces: biological process, molecular function, cellular component."""

UNKNOWN_NAMESPACE = len(NAMESPACES)

EMBEDDED_TABLE = Path(__file__).parent / "data" / "human_go.npz"


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

    def in_namespaces(self, namespaces: Iterable[str]) -> "Annotation":
        """Keep the terms of some namespaces, and the genes that carry at least one of them.

        Args:
            namespaces: any of "BP", "MF", "CC".

        Raises:
            InputError: an unknown namespace, or an annotation whose terms have no namespace.
        """
        wanted = (namespaces,) if isinstance(namespaces, str) else tuple(namespaces)
        for namespace in wanted:
            if namespace not in NAMESPACES:
                raise InputError(f"namespaces: expected any of {', '.join(NAMESPACES)}, got {namespace!r}")
        if not wanted:
            raise InputError("namespaces: expected at least one of BP, MF, CC, got none")
        if set(wanted) == set(NAMESPACES):
            return self
        if len(self.namespaces) and (self.namespaces == UNKNOWN_NAMESPACE).all():
            raise InputError(
                f"namespaces: the terms of {self.metadata.get('name', 'this annotation')} carry no namespace; "
                "omit it to use all of them"
            )
        codes = [NAMESPACES.index(namespace) for namespace in wanted]
        keep = np.isin(self.namespaces, codes)[self.indices]
        if not keep.any():
            name = self.metadata.get("name", "this annotation")
            raise InputError(f"namespaces: no gene of {name} has a term in {', '.join(wanted)}; choose others")
        rows = np.repeat(np.arange(len(self.genes)), np.diff(self.indptr))[keep]
        return self._with_rows(rows, self.indices[keep])

    def subset(self, genes: Iterable[str]) -> "Annotation":
        """The rows of some genes, in sorted order; each must be in `genes`."""
        position = self.names.position
        rows = np.array([position[gene] for gene in sorted(genes)], np.int64)
        lengths = np.diff(self.indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        pairs = np.arange(indptr[-1]) - np.repeat(indptr[:-1] - self.indptr[rows], lengths)
        return replace(self, genes=tuple(self.genes[i] for i in rows), indptr=indptr, indices=self.indices[pairs])

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
        rows = np.repeat(np.arange(len(self.genes)), np.diff(self.indptr))[has_term]
        return tuple(self.genes[i] for i in rows)

    def _with_rows(self, rows: np.ndarray, indices: np.ndarray) -> "Annotation":
        counts = np.bincount(rows, minlength=len(self.genes))
        kept = np.flatnonzero(counts)
        indptr = np.concatenate([[0], np.cumsum(counts[kept])])
        return replace(self, genes=tuple(self.genes[i] for i in kept), indptr=indptr, indices=indices)


def annotation_from_pairs(
    pairs: Set[tuple[str, str]],
    namespace_of: Mapping[str, int],
    aliases: Mapping[str, tuple[str, ...]],
    metadata: Mapping[str, str | int],
) -> Annotation:
    """Build an `Annotation` from (gene, term) pairs in any order."""
    unique = sorted(pairs)
    genes = sorted({gene for gene, _ in unique})
    terms = sorted({term for _, term in unique})
    term_number = {term: i for i, term in enumerate(terms)}
    gene_number = {gene: i for i, gene in enumerate(genes)}
    counts = np.bincount(np.array([gene_number[gene] for gene, _ in unique], np.int64), minlength=len(genes))
    return Annotation(
        genes=tuple(genes),
        terms=tuple(terms),
        namespaces=np.array([namespace_of.get(term, UNKNOWN_NAMESPACE) for term in terms], np.uint8),
        indptr=np.concatenate([[0], np.cumsum(counts)]),
        indices=np.array([term_number[term] for _, term in unique], np.int32),
        aliases={alias: names for alias, names in aliases.items() if alias not in gene_number},
        metadata={**metadata, "pairs": len(unique)},
    )


@cache
def human_annotation() -> Annotation:
    """The direct human GO annotation that ships with the package.

    20,728 gene symbols, 18,933 terms, 300,448 pairs, from Bioconductor's org.Hs.eg.db 3.16.0 (NCBI gene2go of
    2022-09-12, GO of 2022-07-01; GO annotation CC BY 4.0).
    """
    content = EMBEDDED_TABLE.read_bytes()
    with np.load(EMBEDDED_TABLE, allow_pickle=False) as table:
        symbols = _lines(table["symbols"])
        indptr = np.concatenate([[0], np.cumsum(table["row_lengths"].astype(np.int64))])
        running = np.cumsum(table["row_steps"].astype(np.int64))
        start = np.concatenate([[0], running])[indptr[:-1]]
        indices = (running - np.repeat(start, table["row_lengths"])).astype(np.int32)
        names = symbols + _lines(table["unannotated_symbols"])
        ends = np.cumsum(table["alias_lengths"]).tolist()
        targets = [names[i] for i in table["alias_targets"]]
        starts = [0, *ends[:-1]]
        spans = zip(_lines(table["aliases"]), starts, ends, strict=True)
        return Annotation(
            genes=tuple(symbols),
            terms=tuple(f"GO:{number:07d}" for number in table["terms"].tolist()),
            namespaces=table["namespaces"],
            indptr=indptr,
            indices=indices,
            aliases={alias: tuple(targets[start:end]) for alias, start, end in spans},
            symbol_of_entrez=dict(zip(table["entrez"].tolist(), symbols, strict=True)),
            metadata={
                **json.loads(table["metadata"].tobytes()),
                "sha256": hashlib.sha256(content).hexdigest(),
            },
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
