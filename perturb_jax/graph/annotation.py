"""Annotations of genes: terms with their ancestors, read from gene2go, GAF and GMT files."""

import gzip
import lzma
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import chain, islice
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from jaxtyping import Int, Integer

from perturb_jax.genes.symbols import GeneNames
from perturb_jax.graph.embedded import EMBEDDED_TABLE, about_embedded
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import sha256_of

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


_ASPECTS = {"P": "BP", "F": "MF", "C": "CC"}
_CATEGORIES = {"Process": "BP", "Function": "MF", "Component": "CC"}
_GMT_PREFIXES = {"GOBP_": "BP", "GOMF_": "MF", "GOCC_": "CC"}
_GENE2GO_HEADER = "#tax_id\tGeneID\tGO_ID\tEvidence\tQualifier\tGO_term\tPubMed\tCategory"
_GAF_COLUMNS = 15
HUMAN = 9606
"""NCBI's taxonomy number of the human, whose Entrez ids the package can turn into symbols."""


def read_annotation(
    path: str | Path,
    evidence: Collection[str] | None = None,
    drop_evidence: Collection[str] = (),
    taxon: int = HUMAN,
) -> Annotation:
    """Read an annotation file; the format is recognised from its content. ``.gz`` files are read as they are.

    * NCBI gene2go: rows of one `taxon`. Human Entrez ids become symbols; an id without a known symbol stays a number.
    * GAF 2.x (the Gene Ontology consortium's): symbols from column 3, synonyms (column 11) become aliases.
    * GMT (name, description, genes ...): each line is a term. MSigDB's GOBP_, GOMF_ and GOCC_ give the namespace.

    Rows qualified NOT say that a gene does *not* have a function; they are dropped.

    Args:
        path: the file.
        evidence: keep only rows with these evidence codes ("IDA", "IMP", ...); None: all.
        drop_evidence: omit rows with these evidence codes ("IEA", "ND", ...).
        taxon: which species' rows of a gene2go file to read.

    Raises:
        InputError: no such file, empty, binary or of another format (with the line), evidence filters on a GMT file,
            or no annotation left.

    Complexity: O(rows log rows), one pass.
    """
    path = Path(path)
    evidence = None if evidence is None else as_tuple(evidence)
    drop_evidence = as_tuple(drop_evidence)
    lines = _text_lines(path)
    _, first = peeked = next(lines, (0, ""))
    if not first:
        raise InputError(f"{path}: the file is empty; expected NCBI gene2go, GAF 2.x or GMT")
    columns = first.split("\t")
    is_gene2go = len(columns) == 8 and columns[0].isdigit() and columns[2].startswith("GO:")
    is_gaf = len(columns) >= _GAF_COLUMNS and columns[4].startswith("GO:")
    fields = _fields(chain([peeked], lines))
    if is_gene2go or first.startswith("#tax_id"):
        aliases = human_annotation().aliases if taxon == HUMAN else {}
        return _collect(path, "gene2go", _gene2go(path, fields, taxon), evidence, drop_evidence, aliases)
    if is_gaf or first.startswith("!"):
        return _collect(path, "GAF", _gaf(path, fields), evidence, drop_evidence)
    if len(columns) < 3:
        raise InputError(
            f"{path}: not an annotation file; expected NCBI gene2go, GAF 2.x or GMT (tab-separated), got a file that "
            f"starts with {first.strip()[:60]!r}"
        )
    if evidence is not None or drop_evidence:
        raise InputError(f"{path}: a GMT file has no evidence codes; omit evidence and drop_evidence")
    return _collect(path, "GMT", _gmt(path, fields), None, ())


@dataclass(frozen=True)
class _Row:
    gene: str
    term: str
    namespace: str | None = None
    evidence: str = ""
    negated: bool = False
    synonyms: tuple[str, ...] = ()


def _collect(
    path: Path,
    file_format: str,
    rows: Iterator[_Row],
    evidence: Collection[str] | None,
    drop_evidence: Collection[str],
    aliases: Mapping[str, tuple[str, ...]] | None = None,
) -> Annotation:
    pairs: set[tuple[str, str]] = set()
    namespace_of: dict[str, int] = {}
    symbols_of: dict[str, set[str]] = {}
    symbols, codes_seen, negated = set(), set(), 0
    for row in rows:
        symbols.add(row.gene)
        codes_seen.add(row.evidence)
        for synonym in row.synonyms:
            symbols_of.setdefault(synonym, set()).add(row.gene)
        if row.negated:
            negated += 1
        elif (evidence is None or row.evidence in evidence) and row.evidence not in drop_evidence:
            pairs.add((row.gene, row.term))
            if row.namespace is not None:
                namespace_of[row.term] = NAMESPACES.index(row.namespace)
    for code in {*(evidence or ()), *drop_evidence} - codes_seen:
        raise InputError(f"{path}: no row has the evidence code {code!r}; found {', '.join(sorted(codes_seen))}")
    if not pairs:
        raise InputError(f"{path}: no annotation in this {file_format} file after filtering")
    if aliases is None:  # a current symbol of the file is no alias, even if all its rows were left out
        aliases = {alias: tuple(sorted(meant)) for alias, meant in symbols_of.items() if alias not in symbols}
    metadata: dict[str, str | int] = {
        "name": f"{file_format} file {path.name}",
        "sha256": sha256_of(path),
        "rows qualified NOT, dropped": negated,
    }
    if evidence is not None:
        metadata["evidence"] = ",".join(sorted(evidence))
    if drop_evidence:
        metadata["evidence dropped"] = ",".join(sorted(drop_evidence))
    return annotation_from_pairs(pairs, namespace_of, aliases, metadata)


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a text file, compressed or not."""
    try:
        with path.open("rb") as raw:
            opener = gzip.open if raw.read(2) == b"\x1f\x8b" else open
        with opener(path, "rt", encoding="utf-8-sig") as file:
            yield from enumerate(file, start=1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the path of a gene2go, GAF or GMT file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file; expected NCBI gene2go, GAF 2.x or GMT") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); give the path of a gene2go, GAF or GMT file") from None


def _fields(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines:
        if line.strip():
            yield number, line.rstrip("\r\n").split("\t")


def _negated(qualifier: str) -> bool:
    return "NOT" in qualifier.replace("|", " ").split()


def _gene2go(path: Path, lines: Iterator[tuple[int, list[str]]], taxon: int) -> Iterator[_Row]:
    symbol_of = human_annotation().symbol_of_entrez if taxon == HUMAN else {}
    for number, fields in lines:
        if fields[0].startswith("#"):
            continue
        if len(fields) != 8 or fields[7] not in _CATEGORIES or not fields[1].isdecimal():
            raise InputError(f"{path}: line {number} is not a gene2go row; expected {_GENE2GO_HEADER[1:]!r}")
        if fields[0] != str(taxon):
            continue
        gene = symbol_of.get(int(fields[1]), fields[1])
        yield _Row(gene, fields[2], _CATEGORIES[fields[7]], fields[3], _negated(fields[4]))


def _gaf(path: Path, lines: Iterator[tuple[int, list[str]]]) -> Iterator[_Row]:
    for number, fields in lines:
        if fields[0].startswith("!"):
            if fields[0].startswith("!gaf-version:") and not fields[0].split(":")[1].strip().startswith("2"):
                raise InputError(f"{path}: expected GAF version 2.x, got {fields[0][1:].strip()!r}")
            continue
        if len(fields) < _GAF_COLUMNS or fields[8] not in _ASPECTS or not fields[2]:
            raise InputError(f"{path}: line {number} is not a GAF 2.x row (at least {_GAF_COLUMNS} columns)")
        synonyms = tuple(name for name in fields[10].split("|") if name and name != fields[2])
        yield _Row(fields[2], fields[4], _ASPECTS[fields[8]], fields[6], _negated(fields[3]), synonyms)


def _gmt(path: Path, lines: Iterator[tuple[int, list[str]]]) -> Iterator[_Row]:
    for number, fields in lines:
        genes = [gene.strip() for gene in fields[2:] if gene.strip()]
        if len(fields) < 3 or not fields[0]:
            raise InputError(f"{path}: line {number} is not a GMT row; expected name, description, genes ...")
        namespace = next((ns for prefix, ns in _GMT_PREFIXES.items() if fields[0].startswith(prefix)), None)
        for gene in genes:
            yield _Row(gene, fields[0], namespace)
