"""The embedded human annotation equals its source, and its operations are those of sets of (gene, term)."""

import hashlib
import lzma
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.graph.annotation import (
    EMBEDDED_NAMES,
    NAMESPACES,
    UNKNOWN_NAMESPACE,
    Annotation,
    annotation_from_pairs,
    term_names,
)
from perturb_jax.graph.embedded import EMBEDDED_TABLE, about_embedded

Pairs = set[tuple[str, str]]
TABLE_SHA256 = "637ac377bac7aa7fa4d855e498f62fc9316ea5fe18990e730e4e89597e59ed4d"
"""Of the table that equals its source pair by pair, where the source is at hand."""


def pairs_of(annotation: Annotation) -> Pairs:
    genes = np.repeat(np.array(annotation.genes, dtype=object), np.diff(annotation.indptr))
    return {(gene, annotation.terms[term]) for gene, term in zip(genes, annotation.indices, strict=True)}


@pytest.fixture(scope="module")
def human() -> Annotation:
    return pj.human_annotation()


@pytest.fixture(scope="module")
def human_pairs(human: Annotation) -> Pairs:
    return pairs_of(human)


@pytest.fixture
def toy() -> Annotation:
    pairs = {("A", "p"), ("A", "f"), ("B", "p"), ("C", "c"), ("D", "p2"), ("D", "c")}
    return annotation_from_pairs(pairs, {"p": 0, "p2": 0, "f": 1, "c": 2}, {"OLD": ("A",)}, {"name": "toy"})


def read_source(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def test_embedded_table_has_its_documented_size(human: Annotation) -> None:
    assert (len(human.genes), len(human.terms), human.num_pairs) == (20_728, 18_933, 300_448)


def test_embedded_file_is_small_and_needs_no_pickle() -> None:
    assert EMBEDDED_TABLE.stat().st_size <= 1.5e6
    with np.load(EMBEDDED_TABLE, allow_pickle=False) as table:
        assert all(np.issubdtype(table[name].dtype, np.integer) for name in table.files)
        assert {"symbols", "terms", "aliases", "metadata"} <= set(table.files)


def test_embedded_table_is_sorted_and_without_repetition(human: Annotation, human_pairs: Pairs) -> None:
    assert list(human.genes) == sorted(set(human.genes))
    assert list(human.terms) == sorted(set(human.terms))
    assert len(human_pairs) == human.num_pairs
    assert np.diff(human.indptr).min() > 0
    first_of_gene = np.isin(np.arange(1, human.num_pairs), human.indptr)
    assert (np.diff(human.indices)[~first_of_gene] > 0).all()


def test_embedded_table_equals_its_source_pair_by_pair(human_pairs: Pairs, real_data: Path) -> None:
    source = read_source(real_data / "human_gene2go_direct_org.Hs.eg.db_3.16.0.tsv.gz")
    pairs = {
        (symbol, term) for symbol, terms in zip(source.symbol, source.go_ids, strict=True) for term in terms.split(";")
    }
    assert human_pairs == pairs


def test_embedded_aliases_equal_their_source(human: Annotation, real_data: Path) -> None:
    source = read_source(real_data / "human_alias_to_symbol_org.Hs.eg.db_3.16.0.tsv.gz")
    current, annotated = set(source.symbol), set(human.genes)
    symbols_of: dict[str, set[str]] = {}
    for alias, symbol in zip(source.alias_symbol, source.symbol, strict=True):
        symbols_of.setdefault(alias, set()).add(symbol)
    expected = {
        alias: tuple(sorted(symbols))
        for alias, symbols in symbols_of.items()
        if alias not in current and symbols & annotated
    }
    assert dict(human.aliases) == expected


def test_an_alias_of_an_annotated_and_an_unannotated_gene_keeps_both(human: Annotation) -> None:
    annotated = set(human.genes)
    half_annotated = [alias for alias, symbols in human.aliases.items() if not annotated.issuperset(symbols)]
    assert len(half_annotated) > 100
    names = pj.load_go_graph(human.genes[:2]).names
    assert all(len(human.aliases[alias]) > 1 for alias in half_annotated)
    with pytest.raises(pj.InputError, match="ambiguous"):
        names.resolve(half_annotated[:1])


def test_no_alias_is_a_gene_of_the_table(human: Annotation) -> None:
    assert not human.aliases.keys() & set(human.genes)


def test_entrez_ids_are_those_of_ncbi(human: Annotation) -> None:
    known = {7157: "TP53", 4193: "MDM2", 2623: "GATA1", 4609: "MYC", 16: "AARS1"}
    assert {entrez: human.symbol_of_entrez[entrez] for entrez in known} == known
    assert sorted(human.symbol_of_entrez.values()) == list(human.genes)


@pytest.mark.parametrize(
    ("term", "namespace"),
    [("GO:0006915", "BP"), ("GO:0003700", "MF"), ("GO:0005515", "MF"), ("GO:0005634", "CC")],
)
def test_terms_have_their_namespace(human: Annotation, term: str, namespace: str) -> None:
    assert NAMESPACES[human.namespaces[human.terms.index(term)]] == namespace


def test_every_embedded_term_has_a_namespace(human: Annotation) -> None:
    assert set(human.namespaces.tolist()) == {0, 1, 2}


def test_metadata_names_dates_and_checksum(human: Annotation) -> None:
    assert human.metadata["GO date"] == "2022-07-01"
    assert human.metadata["date"] == "2022-09-12"
    assert human.metadata["sha256"] == hashlib.sha256(EMBEDDED_TABLE.read_bytes()).hexdigest() == TABLE_SHA256
    about = about_embedded()
    assert (about["genes"], about["terms"], about["pairs"]) == (len(human.genes), len(human.terms), human.num_pairs)
    assert human.metadata["pairs"] == human.num_pairs
    assert "3.16.0" in str(human.metadata["source"])
    assert "CC BY 4.0" in str(human.metadata["licence"])


def test_transcription_factors_are_counted_as_in_the_source(human: Annotation) -> None:
    factors = human.genes_with("GO:0003700")
    assert len(factors) == 440
    assert list(factors) == sorted(factors)
    assert {"MYC", "TP53"} <= set(factors)
    assert "AARS1" not in factors


def test_genes_with_gives_the_carriers_in_sorted_order(toy: Annotation) -> None:
    assert toy.genes_with("p") == ("A", "B")
    assert toy.genes_with("c") == ("C", "D")


def test_an_absent_term_is_refused_by_name(human: Annotation) -> None:
    with pytest.raises(pj.InputError, match=r"^GO term 'GO:9999999' is not in human GO") as caught:
        human.genes_with("GO:9999999")
    assert "\n" not in str(caught.value)


def test_a_term_that_only_left_out_genes_carry_is_refused(toy: Annotation) -> None:
    with pytest.raises(pj.InputError, match="'f'"):
        toy.subset(["B", "C"]).genes_with("f")
    with pytest.raises(pj.InputError, match="'f'"):
        toy.in_namespaces(["BP"]).genes_with("f")


@pytest.mark.parametrize(
    "chosen", [combination for size in (1, 2) for combination in combinations(NAMESPACES, size)], ids="+".join
)
def test_namespaces_keep_their_pairs_and_drop_genes_without_any(
    human: Annotation, human_pairs: Pairs, chosen: tuple[str, ...]
) -> None:
    namespace_of = {term: NAMESPACES[code] for term, code in zip(human.terms, human.namespaces, strict=True)}
    expected = {(gene, term) for gene, term in human_pairs if namespace_of[term] in chosen}
    filtered = human.in_namespaces(chosen)
    assert pairs_of(filtered) == expected
    assert list(filtered.genes) == sorted({gene for gene, _ in expected})
    assert len(filtered.genes) < len(human.genes)


def test_pairs_of_the_three_namespaces_add_up(human: Annotation) -> None:
    counts = {namespace: human.in_namespaces([namespace]).num_pairs for namespace in NAMESPACES}
    assert counts == {"BP": 140_934, "MF": 71_779, "CC": 87_735}
    assert sum(counts.values()) == human.num_pairs


def test_all_namespaces_in_any_order_keep_everything(toy: Annotation) -> None:
    assert pairs_of(toy.in_namespaces(("CC", "BP", "MF"))) == pairs_of(toy)


@pytest.mark.parametrize("wrong", ["XX", "bp", "biological_process"])
def test_an_unknown_namespace_is_refused(toy: Annotation, wrong: str) -> None:
    with pytest.raises(pj.InputError, match=rf"expected any of BP, MF, CC, got '{wrong}'"):
        toy.in_namespaces(["BP", wrong])


def test_no_namespace_is_refused(toy: Annotation) -> None:
    with pytest.raises(pj.InputError, match="at least one"):
        toy.in_namespaces([])


def test_terms_without_namespace_refuse_a_choice() -> None:
    annotation = annotation_from_pairs({("A", "set")}, {}, {}, {"name": "my sets"})
    assert annotation.namespaces.tolist() == [UNKNOWN_NAMESPACE]
    with pytest.raises(pj.InputError, match="my sets carry no namespace"):
        annotation.in_namespaces(["BP"])


def test_subset_has_the_rows_of_its_genes_in_sorted_order(toy: Annotation) -> None:
    part = toy.subset(["D", "A"])
    assert part.genes == ("A", "D")
    assert pairs_of(part) == {("A", "p"), ("A", "f"), ("D", "p2"), ("D", "c")}


def test_subset_of_the_human_table_keeps_every_pair_of_its_genes(human: Annotation, human_pairs: Pairs) -> None:
    genes = set(human.genes[::7])
    part = human.subset(genes)
    assert list(part.genes) == sorted(genes)
    assert pairs_of(part) == {pair for pair in human_pairs if pair[0] in genes}


def test_annotation_from_pairs_sorts_and_leaves_out_aliases_that_are_genes() -> None:
    annotation = annotation_from_pairs(
        {("B", "z"), ("A", "z"), ("B", "y")}, {"z": 1}, {"A": ("B",), "OLD": ("A",)}, {"name": "toy"}
    )
    assert annotation.genes == ("A", "B")
    assert annotation.terms == ("y", "z")
    assert annotation.indptr.tolist() == [0, 1, 3]
    assert annotation.indices.tolist() == [1, 0, 1]
    assert annotation.namespaces.tolist() == [UNKNOWN_NAMESPACE, 1]
    assert annotation.aliases == {"OLD": ("A",)}
    assert annotation.metadata == {"name": "toy", "pairs": 3}


def test_term_ids_are_written_as_go_ids(human: Annotation) -> None:
    assert all(re.fullmatch(r"GO:\d{7}", term) for term in human.terms)


NAMES_SHA256 = "be42691c5e0ac37e9186e999e193d1ea8e3826b90fa4142d802fd15d6d10b0dd"
"""Of the text; `scripts/embed_go_names.py` prints it."""


def test_the_table_of_names_is_the_one_that_the_script_made() -> None:
    assert hashlib.sha256(lzma.decompress(EMBEDDED_NAMES.read_bytes())).hexdigest() == NAMES_SHA256
    assert len(term_names()) == 43_558


def test_names_of_terms_are_those_of_the_ontology_and_obsolete_terms_have_none() -> None:
    assert term_names()["GO:0003700"] == "DNA-binding transcription factor activity"
    assert term_names()["GO:0005634"] == "nucleus"
    assert term_names()["GO:0006915"] == "apoptotic process"
    assert "GO:0000005" not in term_names()


def test_every_term_of_the_embedded_annotation_has_a_name() -> None:
    assert set(pj.human_annotation().terms) <= set(term_names())
