"""Annotation files as people have them: gene2go, GAF and GMT, recognised by their content."""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from perturb_jax.genes.tables import HEADINGS, folded, is_missing
from perturb_jax.graph.annotation import (
    NAMESPACES,
    Annotation,
    annotation_from_pairs,
    as_tuple,
    human_annotation,
)
from perturb_jax.support.checks import listed
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import sha256_of

HUMAN = 9606
"""NCBI's taxonomy number of the human, whose Entrez ids the package can turn into symbols."""

_EXPECTED = "NCBI gene2go, GAF 2.x or GMT"
_ASPECTS = {"P": "BP", "F": "MF", "C": "CC"}
_CATEGORIES = {"Process": "BP", "Function": "MF", "Component": "CC"}
_GMT_PREFIXES = {"GOBP_": "BP", "GOMF_": "MF", "GOCC_": "CC"}
_GENE2GO = ("tax_id", "GeneID", "GO_ID", "Evidence", "Qualifier", "GO_term", "PubMed", "Category")
_GAF_COLUMNS = 15
_TERM = re.compile(r"GO:\d{7}")
_WEIGHT = re.compile(r",[-+]?\d+(\.\d*)?([eE][-+]?\d+)?$")
_SAMPLED = 2000
_TABLE_HEADINGS = HEADINGS | {
    "goid", "goterm", "gotermname", "gotermaccession", "goaccession", "godomain", "go", "term", "terms", "pathway",
    "ontology", "genestableid", "taxid", "uniprot", "uniprotid",
}  # fmt: skip
"""Words above the columns of tables of genes and terms, as `folded` writes them."""


def read_annotation(
    path: str | Path,
    evidence: Collection[str] | None = None,
    drop_evidence: Collection[str] = (),
    taxon: int | None = None,
) -> Annotation:
    """Read an annotation file; the format is recognised from its content. ``.gz`` files are read as they are.

    * NCBI gene2go: rows of one `taxon`. Human Entrez ids become symbols; an id without a known symbol stays a number.
    * GAF 2.x (the Gene Ontology consortium's): symbols from column 3, synonyms (column 11) become aliases.
    * GMT (name, description, genes ...): each line is a term. MSigDB's GOBP_, GOMF_ and GOCC_ give the namespace.
      Enrichr's weights ("KLF1,1.0") and words for missing values are left out and counted; Entrez ids become symbols.

    Rows qualified NOT say that a gene does *not* have a function; they are dropped. What the file was read as stands in
    the annotation's `metadata`: "read as".

    Args:
        path: the file.
        evidence: keep only rows with these evidence codes ("IDA", "IMP", ...); None: all.
        drop_evidence: omit rows with these evidence codes ("IEA", "ND", ...).
        taxon: which species' rows of a gene2go or GAF file to read, by NCBI's number; None: the human's of gene2go, all
            of GAF.

    Raises:
        InputError: no such file, empty, binary or of another format (with the line): a table, a GMT file without
            descriptions, transposed, or with two sets of one name; filters on a GMT file; no annotation left.

    Complexity: O(rows log rows), one pass.
    """
    path = Path(path).expanduser()
    evidence = None if evidence is None else as_tuple(evidence)
    drop_evidence = as_tuple(drop_evidence)
    lines = _text_lines(path)
    _, first = peeked = next(lines, (0, ""))
    if not first:
        raise InputError(f"{path}: the file is empty; expected {_EXPECTED}")
    columns = first.rstrip("\r\n").split("\t")
    is_gene2go = len(columns) == 8 and columns[0].isdigit() and columns[2].startswith("GO:")
    is_gaf = len(columns) >= _GAF_COLUMNS and columns[4].startswith("GO:")
    fields = _fields(chain([peeked], lines))
    if is_gene2go or folded(columns[0]) == folded(_GENE2GO[0]):
        species = HUMAN if taxon is None else taxon
        aliases = human_annotation().aliases if species == HUMAN else {}
        return _collect(path, "gene2go", _gene2go(path, fields, species), evidence, drop_evidence, aliases)
    if is_gaf or first.startswith("!"):
        return _collect(path, "GAF", _gaf(path, fields, taxon), evidence, drop_evidence)
    if len(columns) < 3:
        raise InputError(
            f"{path}: not an annotation file; expected {_EXPECTED} (tab-separated), got a file that starts with "
            f"{first.strip()[:60]!r}"
        )
    given = {"evidence": evidence, "drop_evidence": drop_evidence, "taxon": taxon}
    if unusable := [name for name, value in given.items() if value]:
        raise InputError(f"{path}: a GMT file has no evidence codes and no species; omit {', '.join(unusable)}")
    return _gmt(path, list(fields))


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
    symbols, codes_seen, negated, number = set(), set(), 0, 0
    for row in rows:
        number += 1
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
    absent = sorted({*(evidence or ()), *drop_evidence} - codes_seen)
    if absent:
        raise InputError(
            f"{path}: no row has the evidence code {listed(list(map(repr, absent)))}; found "
            f"{', '.join(sorted(codes_seen))}"
        )
    if not pairs:
        raise InputError(f"{path}: no annotation in this {file_format} file after filtering")
    if aliases is None:  # a current symbol of the file is no alias, even if all its rows were left out
        aliases = {alias: tuple(sorted(meant)) for alias, meant in symbols_of.items() if alias not in symbols}
    metadata = _about(path, file_format, f"{number:,} rows") | {"rows qualified NOT, dropped": negated}
    if evidence is not None:
        metadata["evidence"] = ",".join(sorted(evidence))
    if drop_evidence:
        metadata["evidence dropped"] = ",".join(sorted(drop_evidence))
    return annotation_from_pairs(pairs, namespace_of, aliases, metadata)


def _about(path: Path, file_format: str, size: str) -> dict[str, str | int]:
    return {
        "name": f"{file_format} file {path.name}",
        "read as": f"{file_format}: {size}",
        "sha256": sha256_of(path),
    }


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a text file, compressed or not."""
    try:
        with path.open("rb") as raw:
            start = raw.read(2)
        opener = gzip.open if start == b"\x1f\x8b" else open
        encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        with opener(path, "rt", encoding=encoding) as file:
            yield from enumerate(file, start=1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the path of a gene2go, GAF or GMT file") from None
    except UnicodeError:
        raise InputError(
            f"{path}: not a text file, or not in UTF-8; expected {_EXPECTED}, saved as text in UTF-8"
        ) from None
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
    others: Counter[str] = Counter()
    wanted, found = str(taxon), False
    for number, fields in lines:
        if fields[0].startswith("#") or folded(fields[0]) == folded(_GENE2GO[0]):
            continue
        if len(fields) != 8 or fields[7] not in _CATEGORIES or not fields[1].isdecimal():
            raise InputError(f"{path}: line {number} is not a gene2go row; expected {chr(9).join(_GENE2GO)!r}")
        if fields[0] != wanted:
            others[fields[0]] += 1
            continue
        found = True
        gene = symbol_of.get(int(fields[1]), fields[1])
        yield _Row(gene, fields[2], _CATEGORIES[fields[7]], fields[3], _negated(fields[4]))
    if others and not found:
        raise _other_species(path, taxon, others)


def _other_species(path: Path, taxon: int, others: Counter[str]) -> InputError:
    there = listed([name for name, _ in others.most_common()])
    return InputError(
        f"{path}: no annotation of taxon {taxon}{' (human)' if taxon == HUMAN else ''}: the file holds taxon {there} "
        "only; name the species with taxon=..., or take another file"
    )


def _gaf(path: Path, lines: Iterator[tuple[int, list[str]]], taxon: int | None) -> Iterator[_Row]:
    others: Counter[str] = Counter()
    found = False
    for number, fields in lines:
        if fields[0].startswith("!"):
            if fields[0].startswith("!gaf-version:") and not fields[0].split(":")[1].strip().startswith("2"):
                raise InputError(f"{path}: expected GAF version 2.x, got {fields[0][1:].strip()!r}")
            continue
        if len(fields) < _GAF_COLUMNS or fields[8] not in _ASPECTS or not fields[2]:
            raise InputError(f"{path}: line {number} is not a GAF 2.x row (at least {_GAF_COLUMNS} columns)")
        species = fields[12].split("|")[0].removeprefix("taxon:")
        if taxon is not None and species != str(taxon):
            others[species] += 1
            continue
        found = True
        synonyms = tuple(name for name in fields[10].split("|") if name and name != fields[2])
        yield _Row(fields[2], fields[4], _ASPECTS[fields[8]], fields[6], _negated(fields[3]), synonyms)
    if others and not found and taxon is not None:
        raise _other_species(path, taxon, others)


class _Set(NamedTuple):
    """A line of a GMT file."""

    name: str
    description: str
    genes: tuple[str, ...]


def _gmt(path: Path, lines: Sequence[tuple[int, list[str]]]) -> Annotation:
    if other := _other_format([fields for _, fields in lines[:_SAMPLED]]):
        raise InputError(f"{path}: {other}; expected {_EXPECTED} (a line a set: name, description, genes ..., by tabs)")
    sets, weighted, missing = [], 0, 0
    for number, fields in lines:
        if len(fields) < 3 or not fields[0].strip():
            raise InputError(f"{path}: line {number} is not a GMT row; expected name, description, genes ...")
        words = [word.strip() for word in fields[2:] if word.strip()]
        given = [word for word in words if not is_missing(word)]
        genes = [_WEIGHT.sub("", word) for word in given]
        weighted += sum(gene != word for gene, word in zip(genes, given, strict=True))
        missing += len(words) - len(given)
        sets.append(_Set(fields[0], fields[1].strip(), tuple(genes)))
    _check_sets(path, sets)
    symbol_of = _symbols_of_entrez(sets)
    pairs = {(symbol_of.get(gene, gene), one.name) for one in sets for gene in one.genes}
    if not pairs:
        raise InputError(f"{path}: no annotation in this GMT file after filtering")
    namespace_of = {
        one.name: NAMESPACES.index(namespace)
        for one in sets
        for prefix, namespace in _GMT_PREFIXES.items()
        if one.name.startswith(prefix)
    }
    metadata = _about(path, "GMT", f"{len({one.name for one in sets}):,} sets") | {"rows qualified NOT, dropped": 0}
    counted = {
        "weights left out": weighted,
        "missing values left out": missing,
        "Entrez ids as symbols": len(symbol_of),
    }
    return annotation_from_pairs(pairs, namespace_of, {}, metadata | {key: n for key, n in counted.items() if n})


def _symbols_of_entrez(sets: Sequence[_Set]) -> dict[str, str]:
    """Symbols of genes that are all given as human Entrez ids."""
    genes = {gene for one in sets for gene in one.genes}
    if not all(gene.isdecimal() for gene in genes):
        return {}
    symbol_of = human_annotation().symbol_of_entrez
    return {gene: symbol_of[int(gene)] for gene in genes if int(gene) in symbol_of}


def _check_sets(path: Path, sets: Sequence[_Set]) -> None:
    """Refuse sets that lack a description, a name of their own or genes; all that is wrong."""
    own = {gene for one in sets[:_SAMPLED] for gene in one.genes}
    described = [one for one in sets if not is_missing(one.description) and one.description != one.name]
    without = [one for one in described if one.description in own or _is_gene(one.description)]
    problems = []
    if 2 * len(without) > len(described):
        problems.append(
            f"column 2 holds genes ({listed([one.description for one in without])}) where GMT has descriptions; put a "
            "description, or 'na', before the genes of each set"
        )
    members: dict[str, tuple[str, ...]] = {}
    twice = [one.name for one in sets if set(members.setdefault(one.name, one.genes)) != set(one.genes)]
    if twice:
        problems.append(f"sets of one name with other genes: {listed(sorted(set(twice)))}; give each set one name")
    odd = [gene for gene in own if re.search(r"[\s,;|]", gene)]
    if 2 * len(odd) > len(own):
        problems.append(
            f"expected genes that are separated by tabs, got {listed(list(map(repr, sorted(odd))), shown=3)}"
        )
    if problems:
        raise InputError(f"{path}: read as GMT, but {'; '.join(problems)}")


def _is_gene(word: str) -> bool:
    """Whether a word is a human symbol, old or new, in any case: mouse symbols mostly are."""
    human = human_annotation().names
    return word.strip().upper() in human.position or word.strip().upper() in human.aliases


def _other_format(rows: Sequence[Sequence[str]]) -> str:
    """What a file of at least three columns is that is no GMT file; empty where nothing says so."""
    first, below = rows[0], rows[1:]
    header = [word for word in first if folded(word) in _TABLE_HEADINGS]
    if header and len({len(row) for row in rows}) == 1:
        return f"a table with the columns {listed([repr(word) for word in first], shown=8)}"
    terms = sum(any(_TERM.fullmatch(word.strip()) for word in row[2:]) for row in rows)
    named = sum(len(row) > 1 and _is_gene(row[0]) and bool(_TERM.fullmatch(row[1].strip())) for row in rows)
    if 2 * max(terms, named) > len(rows):
        return f"a table with a gene and a GO term in each line ({listed([repr(word) for word in first], shown=8)})"
    labels = bool(below) and all(is_missing(word) or word.startswith(("http", ">")) for word in below[0])
    genes = [_is_gene(row[0]) for row in below[labels:]]
    if not any(map(_is_gene, first)) and (labels or (genes and 2 * sum(genes) > len(genes))) and len(rows) > 2:
        return f"transposed (GMX): its columns are sets ({listed(list(first))}); write each set as a line"
    return ""
