"""Annotations that users bring: NCBI gene2go, GAF 2.x and GMT files."""

import gzip
import hashlib
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from perturb_jax.graph.annotation import NAMESPACES, Annotation, annotation_from_pairs, human_annotation
from perturb_jax.support.errors import InputError

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
        drop_evidence: leave out rows with these evidence codes ("IEA", "ND", ...).
        taxon: which species' rows of a gene2go file to read.

    Raises:
        InputError: no such file, empty, binary or of another format (with the line), evidence filters on a GMT file,
            or no annotation left.

    Complexity: O(rows log rows), one pass.
    """
    path = Path(path)
    evidence = (evidence,) if isinstance(evidence, str) else evidence
    drop_evidence = (drop_evidence,) if isinstance(drop_evidence, str) else drop_evidence
    lines = _text_lines(path)
    _, first = peeked = next(lines, (0, ""))
    if not first:
        raise InputError(f"{path}: the file is empty; expected NCBI gene2go, GAF 2.x or GMT")
    fields = _fields(chain([peeked], lines))
    if first.startswith("#tax_id") or _looks_like_gene2go(first):
        aliases = human_annotation().aliases if taxon == HUMAN else {}
        return _collect(path, "gene2go", _gene2go(path, fields, taxon), evidence, drop_evidence, aliases)
    if first.startswith("!") or _looks_like_gaf(first):
        return _collect(path, "GAF", _gaf(path, fields), evidence, drop_evidence)
    if first.count("\t") < 2:
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
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    metadata: dict[str, str | int] = {
        "name": f"{file_format} file {path.name}",
        "sha256": checksum,
        "rows qualified NOT, dropped": negated,
    }
    if evidence is not None:
        metadata["evidence"] = ",".join(sorted(evidence))
    if drop_evidence:
        metadata["evidence dropped"] = ",".join(sorted(drop_evidence))
    return annotation_from_pairs(pairs, namespace_of, aliases, metadata)


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a text file, compressed or not; a file that cannot be read as such raises `InputError`."""
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


def _looks_like_gene2go(first: str) -> bool:
    fields = first.split("\t")
    return len(fields) == 8 and fields[0].isdigit() and fields[2].startswith("GO:")


def _looks_like_gaf(first: str) -> bool:
    fields = first.split("\t")
    return len(fields) >= _GAF_COLUMNS and fields[4].startswith("GO:")


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
