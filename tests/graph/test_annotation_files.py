"""Annotation files that users bring: what is read, what is left out, and what is refused."""

import gzip
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.graph.annotation import NAMESPACES, Annotation

CATEGORIES = {"BP": "Process", "MF": "Function", "CC": "Component"}
ASPECTS = {"BP": "P", "MF": "F", "CC": "C"}
GENE2GO_HEADER = "#tax_id\tGeneID\tGO_ID\tEvidence\tQualifier\tGO_term\tPubMed\tCategory\n"
GAF_HEADER = "!gaf-version: 2.2\n!generated-by: a test\n"
TP53, MDM2, GATA1, NO_GENE = 7157, 4193, 2623, 999_999_999


def gene2go_row(
    entrez: int, term: str, evidence: str = "IDA", qualifier: str = "enables", namespace: str = "MF", taxon: int = 9606
) -> str:
    fields = (str(taxon), str(entrez), term, evidence, qualifier, "a term", "-", CATEGORIES[namespace])
    return "\t".join(fields) + "\n"


def gaf_row(
    symbol: str,
    term: str,
    evidence: str = "IDA",
    qualifier: str = "enables",
    namespace: str = "MF",
    synonyms: Sequence[str] = (),
) -> str:
    described = (ASPECTS[namespace], "a protein", "|".join(synonyms), "protein", "taxon:9606", "20240101", "UniProt")
    return (
        "\t".join(("UniProtKB", "P00001", symbol, qualifier, term, "PMID:1", evidence, "", *described, "", "")) + "\n"
    )


GENE2GO = GENE2GO_HEADER + (
    gene2go_row(TP53, "GO:0000001")
    + gene2go_row(TP53, "GO:0000002", evidence="IEA", qualifier="involved_in", namespace="BP")
    + gene2go_row(TP53, "GO:0000003", qualifier="NOT enables")
    + gene2go_row(MDM2, "GO:0000001", evidence="ND")
    + gene2go_row(NO_GENE, "GO:0000004", qualifier="located_in", namespace="CC")
    + gene2go_row(22_059, "GO:0000005", taxon=10_090)
)
GAF = GAF_HEADER + (
    gaf_row("TP53", "GO:0000001", synonyms=("P53", "LFS1"))
    + gaf_row("TP53", "GO:0000002", evidence="IEA", qualifier="involved_in", namespace="BP")
    + gaf_row("TP53", "GO:0000003", qualifier="NOT|enables")
    + gaf_row("MDM2", "GO:0000001", evidence="ND")
    + gaf_row("999999999", "GO:0000004", qualifier="located_in", namespace="CC")
)
GMT = (
    "GOMF_ONE\thttp://example.org\tTP53\tMDM2\n"
    "GOBP_TWO\thttp://example.org\tTP53\n"
    "GOCC_FOUR\thttp://example.org\t999999999\t\n"
)
GO_TERMS = {
    "TP53": {"GO:0000001": "MF", "GO:0000002": "BP"},
    "MDM2": {"GO:0000001": "MF"},
    "999999999": {"GO:0000004": "CC"},
}
GMT_TERMS = {
    "TP53": {"GOMF_ONE": "MF", "GOBP_TWO": "BP"},
    "MDM2": {"GOMF_ONE": "MF"},
    "999999999": {"GOCC_FOUR": "CC"},
}


def terms_of(annotation: Annotation) -> dict[str, dict[str, str]]:
    """Gene to its terms, each with its namespace."""
    namespaces = [*NAMESPACES, "unknown"]
    rows = [annotation.indices[start:end] for start, end in zip(annotation.indptr, annotation.indptr[1:], strict=False)]
    return {
        gene: {annotation.terms[term]: namespaces[annotation.namespaces[term]] for term in row}
        for gene, row in zip(annotation.genes, rows, strict=True)
    }


def write(path: Path, content: str | bytes) -> Path:
    encoded = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(encoded, mtime=0) if path.suffix == ".gz" else encoded)
    return path


def refusal(path: Path, read: Callable[[], object] | None = None) -> str:
    """The message of the `InputError` that reading raises: one line that names the file."""
    with pytest.raises(pj.InputError) as caught:
        read() if read else pj.read_annotation(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert path.name in message
    return message


@pytest.mark.parametrize("name", ["plain", "compressed.gz"])
@pytest.mark.parametrize(
    ("content", "expected"), [(GENE2GO, GO_TERMS), (GAF, GO_TERMS), (GMT, GMT_TERMS)], ids=["gene2go", "gaf", "gmt"]
)
def test_each_format_is_recognised_by_its_content(
    tmp_path: Path, name: str, content: str, expected: dict[str, dict[str, str]]
) -> None:
    assert terms_of(pj.read_annotation(write(tmp_path / name, content))) == expected


@pytest.mark.parametrize(("content", "header"), [(GENE2GO, GENE2GO_HEADER), (GAF, GAF_HEADER)], ids=["gene2go", "gaf"])
def test_a_file_without_header_lines_is_recognised(tmp_path: Path, content: str, header: str) -> None:
    assert terms_of(pj.read_annotation(write(tmp_path / "rows", content.removeprefix(header)))) == GO_TERMS


@pytest.mark.parametrize(
    ("content", "expected"), [(GENE2GO, GO_TERMS), (GAF, GO_TERMS), (GMT, GMT_TERMS)], ids=["gene2go", "gaf", "gmt"]
)
@pytest.mark.parametrize("edit", ["crlf", "blank lines", "byte order mark", "every row twice"])
def test_harmless_differences_in_writing_change_nothing(
    tmp_path: Path, content: str, expected: dict[str, dict[str, str]], edit: str
) -> None:
    edited = {
        "crlf": content.replace("\n", "\r\n"),
        "blank lines": content.replace("\n", "\n\n"),
        "byte order mark": "\ufeff" + content,
        "every row twice": content + content,
    }[edit]
    assert terms_of(pj.read_annotation(write(tmp_path / "edited", edited))) == expected


@pytest.mark.parametrize("content", [GENE2GO, GAF], ids=["gene2go", "gaf"])
def test_rows_qualified_not_are_dropped_and_counted(tmp_path: Path, content: str) -> None:
    annotation = pj.read_annotation(write(tmp_path / "file", content))
    assert "GO:0000003" not in annotation.terms
    assert annotation.metadata["rows qualified NOT, dropped"] == 1


@pytest.mark.parametrize("qualifier", ["NOT", "NOT|enables", "NOT enables", "enables|NOT"])
def test_every_way_to_write_not_is_understood(tmp_path: Path, qualifier: str) -> None:
    kept = gaf_row("MDM2", "GO:0000001"), gene2go_row(MDM2, "GO:0000001")
    negated = gaf_row("TP53", "GO:0000001", qualifier=qualifier), gene2go_row(TP53, "GO:0000001", qualifier=qualifier)
    for header, good, bad in zip((GAF_HEADER, GENE2GO_HEADER), kept, negated, strict=True):
        assert pj.read_annotation(write(tmp_path / "file", header + bad + good)).genes == ("MDM2",)


def test_a_qualifier_that_contains_the_letters_not_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "file", GAF_HEADER + gaf_row("TP53", "GO:0000001", qualifier="NOTABLE_FOR"))
    assert terms_of(pj.read_annotation(path)) == {"TP53": {"GO:0000001": "MF"}}


@pytest.mark.parametrize("content", [GENE2GO, GAF], ids=["gene2go", "gaf"])
@pytest.mark.parametrize(
    ("keep", "drop", "expected"),
    [
        (("IDA",), (), {"TP53": {"GO:0000001"}, "999999999": {"GO:0000004"}}),
        (("IEA", "ND"), (), {"TP53": {"GO:0000002"}, "MDM2": {"GO:0000001"}}),
        (None, ("IEA", "ND"), {"TP53": {"GO:0000001"}, "999999999": {"GO:0000004"}}),
        (("IDA", "IEA"), ("IEA",), {"TP53": {"GO:0000001"}, "999999999": {"GO:0000004"}}),
    ],
)
def test_evidence_codes_filter_rows(
    tmp_path: Path, content: str, keep: tuple[str, ...] | None, drop: tuple[str, ...], expected: dict[str, set[str]]
) -> None:
    annotation = pj.read_annotation(write(tmp_path / "file", content), evidence=keep, drop_evidence=drop)
    assert {gene: set(terms) for gene, terms in terms_of(annotation).items()} == expected


def test_evidence_filters_are_recorded(tmp_path: Path) -> None:
    annotation = pj.read_annotation(write(tmp_path / "file", GAF), evidence=["ND", "IDA"], drop_evidence=["IEA"])
    assert annotation.metadata["evidence"] == "IDA,ND"
    assert annotation.metadata["evidence dropped"] == "IEA"


@pytest.mark.parametrize("option", ["evidence", "drop_evidence"])
def test_an_evidence_code_that_no_row_has_is_refused_with_those_found(tmp_path: Path, option: str) -> None:
    path = write(tmp_path / "file", GAF)
    message = refusal(path, lambda: pj.read_annotation(path, **{option: ["IXX"]}))  # type: ignore[arg-type]
    assert "'IXX'" in message
    assert "found IDA, IEA, ND" in message


@pytest.mark.parametrize("option", ["evidence", "drop_evidence"])
def test_evidence_filters_on_gmt_are_refused(tmp_path: Path, option: str) -> None:
    path = write(tmp_path / "file", GMT)
    message = refusal(path, lambda: pj.read_annotation(path, **{option: ["IEA"]}))  # type: ignore[arg-type]
    assert "no evidence codes" in message


def test_filters_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "file", GAF_HEADER + gaf_row("TP53", "GO:0000001", evidence="IEA"))
    assert "no annotation" in refusal(path, lambda: pj.read_annotation(path, drop_evidence=["IEA"]))


def test_gene2go_keeps_the_rows_of_one_taxon(tmp_path: Path) -> None:
    path = write(tmp_path / "file", GENE2GO)
    assert "GO:0000005" not in pj.read_annotation(path).terms
    assert terms_of(pj.read_annotation(path, taxon=10_090)) == {"22059": {"GO:0000005": "MF"}}
    message = refusal(path, lambda: pj.read_annotation(path, taxon=7955))
    assert "no annotation of taxon 7955: the file holds taxon 9606, 10090 only; name the species with taxon=" in message


def test_entrez_ids_become_symbols_only_in_human_rows(tmp_path: Path) -> None:
    rows = gene2go_row(TP53, "GO:0000001", taxon=10_090) + gene2go_row(TP53, "GO:0000001")
    path = write(tmp_path / "file", GENE2GO_HEADER + rows)
    assert pj.read_annotation(path).genes == ("TP53",)
    assert pj.read_annotation(path, taxon=10_090).genes == (str(TP53),)


def test_old_human_symbols_resolve_in_a_gene2go_file(tmp_path: Path) -> None:
    path = write(tmp_path / "file", GENE2GO_HEADER + gene2go_row(16, "GO:0000001") + gene2go_row(TP53, "GO:0000001"))
    graph = pj.load_go_graph(["TP53", "AARS"], annotation=path)
    assert graph.genes == ("AARS1", "TP53")
    assert graph.provenance.renamed == (("AARS", "AARS1"),)


def test_another_species_has_no_human_aliases(tmp_path: Path) -> None:
    path = write(tmp_path / "file", GENE2GO)
    assert pj.read_annotation(path, taxon=10_090).aliases == {}


def test_gaf_synonyms_become_aliases(tmp_path: Path) -> None:
    path = write(tmp_path / "file", GAF)
    assert pj.read_annotation(path).aliases == {"P53": ("TP53",), "LFS1": ("TP53",)}
    graph = pj.load_go_graph(["MDM2", "LFS1"], annotation=path)
    assert graph.genes == ("MDM2", "TP53")
    assert graph.provenance.renamed == (("LFS1", "TP53"),)


def test_an_ambiguous_gaf_synonym_is_refused_on_use(tmp_path: Path) -> None:
    rows = gaf_row("A1", "GO:0000001", synonyms=("OLD",)) + gaf_row("B1", "GO:0000001", synonyms=("OLD", "B1"))
    path = write(tmp_path / "file", GAF_HEADER + rows)
    assert pj.read_annotation(path).aliases == {"OLD": ("A1", "B1")}
    with pytest.raises(pj.InputError, match="OLD \\(now A1 or B1\\)"):
        pj.load_go_graph(["OLD"], annotation=path)
    graph = pj.load_go_graph(["OLD", "A1"], annotation=path, unknown="drop")
    assert graph.genes == ("A1",)
    assert graph.provenance.dropped == (("OLD", "ambiguous: A1 or B1"),)


def test_a_synonym_that_is_a_symbol_of_the_file_is_no_alias(tmp_path: Path) -> None:
    rows = gaf_row("A1", "GO:0000001", synonyms=("B1",)) + gaf_row("B1", "GO:0000002")
    path = write(tmp_path / "file", GAF_HEADER + rows)
    assert pj.read_annotation(path).aliases == {}
    assert pj.load_go_graph(["B1"], annotation=path).genes == ("B1",)


def test_a_symbol_whose_rows_are_all_left_out_is_not_taken_for_a_synonym(tmp_path: Path) -> None:
    rows = gaf_row("A1", "GO:0000001", synonyms=("B1",)) + gaf_row("B1", "GO:0000002", evidence="IEA")
    path = write(tmp_path / "file", GAF_HEADER + rows)
    annotation = pj.read_annotation(path, drop_evidence=["IEA"])
    with pytest.raises(pj.InputError, match="1 gene not in"):
        pj.load_go_graph(["B1"], annotation=annotation)


def test_msigdb_prefixes_choose_the_namespace(tmp_path: Path) -> None:
    path = write(tmp_path / "file.gmt", GMT + "HALLMARK_FIVE\t\tGATA1\tTP53\n")
    annotation = pj.read_annotation(path)
    assert terms_of(annotation)["TP53"] == {"GOMF_ONE": "MF", "GOBP_TWO": "BP", "HALLMARK_FIVE": "unknown"}
    assert terms_of(annotation.in_namespaces(["BP"])) == {"TP53": {"GOBP_TWO": "BP"}}


def test_gmt_without_namespaces_refuses_a_choice(tmp_path: Path) -> None:
    path = write(tmp_path / "file.gmt", "HALLMARK_A\t\tTP53\tMDM2\n")
    assert "namespace" in refusal(path, lambda: pj.load_go_graph(annotation=path, namespaces=["BP"]))
    assert pj.load_go_graph(annotation=path).num_edges == 4


def test_metadata_has_the_name_and_the_checksum_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.gaf.gz", GAF)
    metadata = pj.read_annotation(path).metadata
    assert metadata["name"] == "GAF file mine.gaf.gz"
    assert metadata["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert metadata["pairs"] == 4
    assert metadata["read as"] == "GAF: 5 rows"
    assert pj.read_annotation(write(tmp_path / "sets", GMT)).metadata["read as"] == "GMT: 3 sets"
    assert pj.read_annotation(write(tmp_path / "rows", GENE2GO)).metadata["read as"] == "gene2go: 5 rows"


@pytest.mark.parametrize("content", [GENE2GO, GAF, GMT], ids=["gene2go", "gaf", "gmt"])
def test_utf_16_is_read(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "file", content.encode("utf-16"))
    assert pj.read_annotation(path).genes == ("999999999", "MDM2", "TP53")


def test_gene2go_whose_heading_lacks_its_mark_is_recognised(tmp_path: Path) -> None:
    assert terms_of(pj.read_annotation(write(tmp_path / "file", GENE2GO.removeprefix("#")))) == GO_TERMS


def test_a_gaf_file_of_several_species_is_filtered_where_one_is_named(tmp_path: Path) -> None:
    mouse = gaf_row("Trp53", "GO:0000001").replace("taxon:9606", "taxon:10090|taxon:1")
    path = write(tmp_path / "file", GAF + mouse)
    assert "Trp53" in pj.read_annotation(path).genes
    assert pj.read_annotation(path, taxon=10_090).genes == ("Trp53",)
    assert "holds taxon 9606, 10090 only" in refusal(path, lambda: pj.read_annotation(path, taxon=7955))


def test_a_gmt_file_has_no_species(tmp_path: Path) -> None:
    path = write(tmp_path / "file", GMT)
    assert "omit taxon" in refusal(path, lambda: pj.read_annotation(path, taxon=9606))


def test_enrichr_s_weights_and_missing_values_are_no_part_of_a_name(tmp_path: Path) -> None:
    annotation = pj.read_annotation(write(tmp_path / "file", "A\t\tKLF1,1.0\tNA\nB\t\tKLF1,0.5\tMYC,1\n"))
    assert {gene: set(terms) for gene, terms in terms_of(annotation).items()} == {"KLF1": {"A", "B"}, "MYC": {"B"}}
    assert annotation.metadata["weights left out"] == 3
    assert annotation.metadata["missing values left out"] == 1


def test_entrez_ids_of_a_gmt_file_become_symbols(tmp_path: Path) -> None:
    annotation = pj.read_annotation(write(tmp_path / "file", f"A\t\t{TP53}\t{MDM2}\t{NO_GENE}\n"))
    assert annotation.genes == (str(NO_GENE), "MDM2", "TP53")
    assert annotation.metadata["Entrez ids as symbols"] == 2


@pytest.mark.parametrize(
    "content",
    [
        "MYC\tna\tTP53\tMDM2\nTP53\tna\tCDKN1A\tMDM2\nGATA1\tna\tKLF1\n",
        "MYC\tMYC\tTP53\tMDM2\nTP53\tTP53\tCDKN1A\tMDM2\n",
        "DNA binding\tGO:0003677\tTP53\tMYC\nRNA binding\tGO:0003723\tTP53\n",
        "GO:0003677\tDNA binding\tTP53\tMYC\nGO:0003723\tRNA binding\tTP53\n",
        "A\tna\tX1\tX2\nB\tna\tX1\nC\tna\tX3\n",
    ],
    ids=["targets of factors", "names as descriptions", "GO ids as descriptions", "GO ids as names", "no symbols"],
)
def test_sets_that_only_resemble_something_else_are_read(tmp_path: Path, content: str) -> None:
    lines = [line.split("\t") for line in content.splitlines()]
    expected = {(gene, line[0]) for line in lines for gene in line[2:]}
    found = terms_of(pj.read_annotation(write(tmp_path / "file", content)))
    assert {(gene, term) for gene, terms in found.items() for term in terms} == expected


RANDOM_BYTES = np.random.default_rng(0).bytes(2_000)
COMPRESSED = gzip.compress(GENE2GO.encode() * 100 + RANDOM_BYTES.hex().encode(), mtime=0)
TWO_GENE2GO_ROWS = GENE2GO_HEADER + gene2go_row(TP53, "GO:0000001")
TWO_GAF_ROWS = GAF_HEADER + gaf_row("TP53", "GO:0000001")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("\n\n", "not an annotation file", id="blank lines"),
        pytest.param(GENE2GO_HEADER, "no annotation", id="only the header"),
        pytest.param(RANDOM_BYTES, "not a text file", id="random bytes"),
        pytest.param(GMT.replace("example", "m\xfcller").encode("latin-1"), "not in UTF-8", id="latin-1"),
        pytest.param(
            "SET_A\tKLF1\tGATA1\nSET_B\tTP53\tKLF1\n",
            "column 2 holds genes (KLF1, TP53)",
            id="gmt without descriptions",
        ),
        pytest.param(
            "SET_A\tX1\tX2\nSET_B\tX2\tX1\n", "column 2 holds genes (X1, X2)", id="gmt without descriptions, no human"
        ),
        pytest.param("SET_A\tSET_B\tSET_C\nna\tna\tna\nX1\tX2\tX3\n", "transposed (GMX)", id="gmx"),
        pytest.param(
            "SET_A\tSET_B\tSET_C\nKLF1\tTP53\tMYC\nGATA1\t\tMDM2\n", "transposed (GMX)", id="gmx without descriptions"
        ),
        pytest.param(
            "Gene name\tGO term\tx\nKLF1\tGO:0000001\ty\n", "a table with the columns 'Gene name'", id="BioMart"
        ),
        pytest.param(
            "KLF1\tGO:0000001\ty\nMYC\tGO:0000002\ty\n",
            "a gene and a GO term in each line",
            id="table without headings",
        ),
        pytest.param("SET_A\t\tTP53\nSET_A\t\tMYC\n", "sets of one name with other genes: SET_A", id="gmt name twice"),
        pytest.param(
            "SET_A\t\tTP53 MYC\nSET_B\t\tKLF1;MYC\n", "separated by tabs, got 'KLF1;MYC', 'TP53 MYC'", id="gmt blanks"
        ),
        pytest.param(COMPRESSED[: len(COMPRESSED) // 2], "cannot be read", id="truncated gzip"),
        pytest.param(COMPRESSED[:10] + b"\xff" + COMPRESSED[11:], "cannot be read", id="damaged gzip"),
        pytest.param(COMPRESSED[:-6] + b"\xff" + COMPRESSED[-5:], "cannot be read", id="wrong gzip checksum"),
        pytest.param(b"\x1f\x8b" + RANDOM_BYTES, "cannot be read", id="gzip magic only"),
        pytest.param("TP53\nMDM2\n", "not an annotation file", id="list of genes"),
        pytest.param("symbol\tterms\nTP53\tGO:0000001\n", "not an annotation file", id="two columns"),
        pytest.param("gene,term\nTP53,GO:0000001\n", "starts with 'gene,term'", id="comma separated"),
        pytest.param(
            TWO_GENE2GO_ROWS + "9606\t7157\tGO:0000002\tIDA\n", "line 3 is not a gene2go", id="gene2go columns"
        ),
        pytest.param(
            TWO_GENE2GO_ROWS + gene2go_row(TP53, "GO:0000002").replace("7157", "TP53"),
            "line 3 is not a gene2go",
            id="gene2go symbol",
        ),
        pytest.param(
            TWO_GENE2GO_ROWS + gene2go_row(TP53, "GO:0000002").replace("Function", "F"),
            "line 3 is not a gene2go",
            id="gene2go category",
        ),
        pytest.param(TWO_GAF_ROWS + "UniProtKB\tP00001\tTP53\n", "line 4 is not a GAF", id="gaf columns"),
        pytest.param(
            TWO_GAF_ROWS + gaf_row("TP53", "GO:0000002").replace("\tF\t", "\tX\t"),
            "line 4 is not a GAF",
            id="gaf aspect",
        ),
        pytest.param(TWO_GAF_ROWS + gaf_row("", "GO:0000002"), "line 4 is not a GAF", id="gaf blank symbol"),
        pytest.param(GAF.replace("2.2", "1.0"), "GAF version 2.x, got 'gaf-version: 1.0'", id="gaf 1.0"),
        pytest.param("SET_A\t\tTP53\nSET_B\n", "line 2 is not a GMT", id="gmt columns"),
        pytest.param("SET_A\t\tTP53\n\t\tMDM2\n", "line 2 is not a GMT", id="gmt without name"),
        pytest.param("SET_A\thttp://example.org\t\n", "no annotation", id="gmt without genes"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, content: str | bytes, expected: str) -> None:
    path = write(tmp_path / "file", content)
    message = refusal(path)
    assert message.startswith(f"{path}: ")
    assert expected in message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "absent.gaf"
    assert "no such file" in refusal(path)
    assert "no such file" in refusal(path, lambda: pj.load_go_graph(annotation=path))


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path)


@pytest.fixture(scope="module")
def some_genes() -> list[str]:
    genes = pj.human_annotation().genes
    return sorted({*genes[::140], *genes[9_000:9_150]})


@pytest.fixture(scope="module")
def written_by_format(some_genes: list[str]) -> dict[str, str]:
    """The embedded annotation of some genes, as the text of each format."""
    human = pj.human_annotation()
    entrez_of = {symbol: entrez for entrez, symbol in human.symbol_of_entrez.items()}
    gene2go, gaf = [GENE2GO_HEADER], [GAF_HEADER]
    genes_of: dict[str, list[str]] = {}
    for gene, terms in terms_of(human.subset(some_genes)).items():
        for term, namespace in terms.items():
            gene2go.append(gene2go_row(entrez_of[gene], term, namespace=namespace))
            gaf.append(gaf_row(gene, term, namespace=namespace))
            genes_of.setdefault(f"GO{namespace}_{term}", []).append(gene)
    gmt = ["\t".join([name, "", *genes]) + "\n" for name, genes in genes_of.items()]
    return {"gene2go": "".join(gene2go), "gaf": "".join(gaf), "gmt": "".join(gmt)}


@pytest.mark.parametrize("file_format", ["gene2go", "gaf", "gmt"])
@pytest.mark.parametrize("namespaces", [NAMESPACES, ("BP",), ("MF", "CC")], ids="+".join)
def test_a_file_of_the_embedded_annotation_gives_the_same_graph(
    tmp_path: Path,
    some_genes: list[str],
    written_by_format: dict[str, str],
    file_format: str,
    namespaces: tuple[str, ...],
) -> None:
    path = write(tmp_path / "annotation.gz", written_by_format[file_format])
    embedded = pj.load_go_graph(some_genes, namespaces=namespaces, unknown="drop")
    read = pj.load_go_graph(annotation=path, namespaces=namespaces)
    assert read.genes == embedded.genes
    assert read.num_nodes > 200
    assert read.num_edges > 2 * read.num_nodes
    np.testing.assert_array_equal(read.senders, embedded.senders)
    np.testing.assert_array_equal(read.receivers, embedded.receivers)
    np.testing.assert_array_equal(read.weights, embedded.weights)
