"""The gene-ontology graph is GEARS' graph, whatever the order of the genes, and the same each time."""

import inspect
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.graph.annotation import NAMESPACES, Annotation, annotation_from_pairs
from tests.oracles import gears_go_edges

PROTEIN_BINDING = frozenset({"GO:0005515"})
OLFACTORY_RECEPTOR = frozenset({"GO:0004930", "GO:0004984", "GO:0005886", "GO:0007186", "GO:0016021", "GO:0050911"})
"""Two annotations that more than 100 genes have exactly: ties at Jaccard 1."""

TermsOf = Mapping[str, frozenset[str]]


@cache
def terms_of_human_genes(namespaces: tuple[str, ...] = NAMESPACES) -> TermsOf:
    annotation = pj.human_annotation()
    codes = [NAMESPACES.index(namespace) for namespace in namespaces]
    keep = np.isin(annotation.namespaces, codes)
    rows = np.split(annotation.indices, annotation.indptr[1:-1])
    terms = {
        gene: frozenset(annotation.terms[term] for term in row[keep[row]])
        for gene, row in zip(annotation.genes, rows, strict=True)
    }
    return {gene: own for gene, own in terms.items() if own}


def genes_with_exactly(terms: frozenset[str], count: int) -> list[str]:
    return [gene for gene, own in terms_of_human_genes().items() if own == terms][:count]


@pytest.fixture(scope="module")
def gears_genes() -> list[str]:
    """Genes from the whole alphabet, and two families of more than 21 genes with one and the same annotation."""
    terms = terms_of_human_genes()
    protein_binding = genes_with_exactly(PROTEIN_BINDING, 60)
    olfactory = genes_with_exactly(OLFACTORY_RECEPTOR, 60)
    assert min(len(protein_binding), len(olfactory)) > 21
    return sorted({*protein_binding, *olfactory, *list(terms)[::25]})


@pytest.fixture(scope="module")
def gears_similarities(gears_genes: list[str]) -> pd.DataFrame:
    """All pairs above 0.1 by GEARS' own function, in the order in which GEARS makes them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.script` is deprecated", category=DeprecationWarning)
        utils = pytest.importorskip("gears.utils")
    terms = terms_of_human_genes()
    gene2go = {gene: set(terms[gene]) for gene in gears_genes}
    edges = [edge for gene in gears_genes for edge in utils.get_GO_edge_list((gene, gene2go))]
    return pd.DataFrame(edges).rename(columns={0: "source", 1: "target", 2: "importance"})


def gears_similarity_network(df_jaccard: pd.DataFrame, k: int) -> pd.DataFrame:
    """The expression of `gears.utils.get_similarity_network`, weights as the float32 that GEARS' tensors hold."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="DataFrameGroupBy.apply operated on the grouping columns")
        df_out = df_jaccard.groupby("target").apply(lambda x: x.nlargest(k + 1, ["importance"])).reset_index(drop=True)
    return df_out.astype({"importance": np.float32})


@pytest.mark.gears
@pytest.mark.parametrize("neighbors", [20, 3])
def test_edges_are_those_of_gears(gears_genes: list[str], gears_similarities: pd.DataFrame, neighbors: int) -> None:
    assert len(gears_genes) >= 800
    ours = pj.edge_table(pj.load_go_graph(gears_genes, neighbors=neighbors))
    theirs = gears_similarity_network(gears_similarities, neighbors)
    # pandas orders a group that nlargest does not have to cut by an unstable sort; only the others have a fixed order.
    group_sizes = gears_similarities.groupby("target").size()
    ours_cut = ours[ours["target"].map(group_sizes) > neighbors + 1].reset_index(drop=True)
    theirs_cut = theirs[theirs["target"].map(group_sizes) > neighbors + 1].reset_index(drop=True)
    assert ours_cut["target"].nunique() > 500
    pd.testing.assert_frame_equal(ours_cut, theirs_cut, check_exact=True)
    theirs_ordered = theirs.sort_values(
        ["target", "importance", "source"], ascending=[True, False, True], ignore_index=True
    )
    pd.testing.assert_frame_equal(ours, theirs_ordered, check_exact=True)


@pytest.mark.gears
def test_genes_of_a_large_identical_family_lose_their_own_loop_as_in_gears(
    gears_genes: list[str], gears_similarities: pd.DataFrame
) -> None:
    graph = pj.load_go_graph(gears_genes)
    theirs = gears_similarity_network(gears_similarities, 20)
    loops = set(np.asarray(graph.senders)[graph.senders == graph.receivers].tolist())
    without_loop = {gene for node, gene in enumerate(graph.genes) if node not in loops}
    assert without_loop == set(gears_genes) - set(theirs["source"][theirs["source"] == theirs["target"]])
    assert set(genes_with_exactly(PROTEIN_BINDING, 60)[21:]) <= without_loop


def test_the_first_of_an_identical_family_are_the_sources_of_all() -> None:
    family = genes_with_exactly(PROTEIN_BINDING, 40)
    graph = pj.load_go_graph(family)
    senders, receivers = np.asarray(graph.senders), np.asarray(graph.receivers)
    np.testing.assert_array_equal(senders, np.tile(np.arange(21), 40))
    np.testing.assert_array_equal(receivers, np.repeat(np.arange(40), 21))
    np.testing.assert_array_equal(graph.weights, np.ones(40 * 21))


def assert_same_graph(graph: pj.KnowledgeGraph, other: pj.KnowledgeGraph) -> None:
    assert graph.genes == other.genes
    np.testing.assert_array_equal(graph.senders, other.senders)
    np.testing.assert_array_equal(graph.receivers, other.receivers)
    np.testing.assert_array_equal(graph.weights, other.weights)


def test_the_order_of_the_genes_does_not_matter(gears_genes: list[str]) -> None:
    graph = pj.load_go_graph(gears_genes)
    shuffled = np.random.default_rng(0).permutation(np.array(gears_genes)).tolist()
    assert shuffled != gears_genes
    assert list(graph.genes) == gears_genes
    assert_same_graph(pj.load_go_graph(shuffled), graph)
    assert_same_graph(pj.load_go_graph(reversed(gears_genes)), graph)


def test_a_graph_built_twice_is_identical(gears_genes: list[str]) -> None:
    first, second = pj.load_go_graph(gears_genes), pj.load_go_graph(gears_genes)
    assert_same_graph(first, second)
    assert first.provenance == second.provenance


def test_edges_are_sorted_by_target_then_falling_weight_then_source(
    at_size: tuple[pj.KnowledgeGraph, list[str]],
) -> None:
    graph, _ = at_size
    order = np.lexsort((graph.senders, -np.asarray(graph.weights), graph.receivers))
    np.testing.assert_array_equal(order, np.arange(graph.num_edges))


def test_the_library_graph_has_its_known_size_with_old_symbols_resolved(library_graph: pj.KnowledgeGraph) -> None:
    assert (library_graph.num_nodes, library_graph.num_edges) == (9_782, 201_653)
    assert len(library_graph.provenance.renamed) == 154
    assert len(library_graph.provenance.dropped) == 108
    assert ("AARS", "AARS1") in library_graph.provenance.renamed
    assert ("QARS", "ambiguous: EPRS1 or QARS1") in library_graph.provenance.dropped


def test_the_library_graph_has_its_known_size_from_current_symbols(library: list[str]) -> None:
    current = set(pj.human_annotation().genes).intersection(library)
    graph = pj.load_go_graph(current)
    assert (graph.num_nodes, graph.num_edges) == (9_628, 198_418)
    assert graph.provenance.renamed == ()


def test_at_size_edges_are_the_most_similar_of_all_pairs(at_size: tuple[pj.KnowledgeGraph, list[str]]) -> None:
    graph, _ = at_size
    annotation = pj.human_annotation()
    terms = annotation.matrix[np.searchsorted(annotation.genes, graph.genes)].tocsr()
    sample = np.sort(np.random.default_rng(0).choice(graph.num_nodes, 500, replace=False))
    common, sizes = (terms[sample] @ terms.T).tocoo(), terms.sum(1)
    target, source = common.coords
    pairs = pd.DataFrame({"target": sample[target], "source": source, "common": common.data})
    pairs["importance"] = pairs["common"] / (sizes[pairs["target"]] + sizes[pairs["source"]] - pairs["common"])
    pairs = pairs[pairs["importance"] > 0.1].sort_values(
        ["target", "importance", "source"], ascending=[True, False, True]
    )
    expected = pairs.groupby("target").head(21)
    ours = np.isin(graph.receivers, sample)
    np.testing.assert_array_equal(np.asarray(graph.receivers)[ours], expected["target"])
    np.testing.assert_array_equal(np.asarray(graph.senders)[ours], expected["source"])
    np.testing.assert_array_equal(np.asarray(graph.weights)[ours], expected["importance"].to_numpy(np.float32))


def test_old_symbols_give_the_graph_of_the_current_ones() -> None:
    human = pj.human_annotation()
    old_of = {symbols[0]: alias for alias, symbols in human.aliases.items() if len(symbols) == 1}
    current = human.genes[::4]
    names = [old_of.get(gene, gene) for gene in current]
    graph = pj.load_go_graph(names)
    assert_same_graph(graph, pj.load_go_graph(current))
    expected = {(old, gene) for old, gene in zip(names, current, strict=True) if old != gene}
    assert set(graph.provenance.renamed) == expected
    assert len(expected) > 1000


def test_every_target_has_a_source_and_at_most_21(at_size: tuple[pj.KnowledgeGraph, list[str]]) -> None:
    graph, _ = at_size
    in_degree = np.bincount(graph.receivers, minlength=graph.num_nodes)
    assert in_degree.min() >= 1
    assert in_degree.max() == 21


def test_the_genome_graph_has_every_annotated_gene(genome: pj.KnowledgeGraph) -> None:
    assert genome.genes == pj.human_annotation().genes
    assert genome.num_nodes == 20_728
    weights = np.asarray(genome.weights)
    assert weights.max() == 1
    assert weights.min() > 0.1


def assert_equals_oracle(graph: pj.KnowledgeGraph, terms: TermsOf, neighbors: int, min_jaccard: float) -> None:
    expected = gears_go_edges(terms, neighbors, min_jaccard)
    table = pj.edge_table(graph)
    assert list(zip(table["source"], table["target"], strict=True)) == [edge[:2] for edge in expected]
    np.testing.assert_array_equal(graph.weights, np.array([edge[2] for edge in expected], np.float32))


@pytest.mark.parametrize(
    ("neighbors", "min_jaccard", "namespaces"),
    [
        (20, 0.1, NAMESPACES),
        (20, 0.1, ("BP",)),
        (20, 0.1, ("CC", "MF")),
        (1, 0.0, NAMESPACES),
        (5, 0.25, ("MF",)),
        (400, 0.1, NAMESPACES),
        (10, 0.999, ("CC",)),
    ],
)
def test_edges_equal_a_slow_count_of_sets(neighbors: int, min_jaccard: float, namespaces: tuple[str, ...]) -> None:
    all_terms = terms_of_human_genes(namespaces)
    genes = sorted({*list(all_terms)[::100], *list(all_terms)[12_000:12_120]})
    graph = pj.load_go_graph(genes, neighbors=neighbors, min_jaccard=min_jaccard, namespaces=namespaces)
    assert graph.num_nodes > 250
    assert_equals_oracle(graph, {gene: all_terms[gene] for gene in genes}, neighbors, min_jaccard)


def toy_annotation(terms: TermsOf) -> Annotation:
    return annotation_from_pairs({(gene, term) for gene, own in terms.items() for term in own}, {}, {}, {"name": "toy"})


@given(
    st.dictionaries(
        st.text("ABC", min_size=1, max_size=3),
        st.frozensets(st.sampled_from("stuvwxyz"), min_size=1),
        min_size=1,
        max_size=25,
    ),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.1, 0.125, 0.2, 0.25, 1 / 3, 0.5, 2 / 3, 0.9]),
)
@settings(max_examples=150, deadline=None)
def test_any_small_annotation_gives_the_edges_of_a_slow_count(
    terms: dict[str, frozenset[str]], neighbors: int, min_jaccard: float
) -> None:
    graph = pj.load_go_graph(neighbors=neighbors, min_jaccard=min_jaccard, annotation=toy_annotation(terms))
    assert graph.genes == tuple(sorted(terms))
    assert_equals_oracle(graph, terms, neighbors, min_jaccard)


def test_a_pair_exactly_at_the_threshold_is_no_edge() -> None:
    annotation = toy_annotation({"A": frozenset("01234"), "B": frozenset("456789")})
    at_threshold = pj.load_go_graph(min_jaccard=0.1, annotation=annotation)
    assert pj.edge_table(at_threshold).values.tolist() == [["A", "A", 1.0], ["B", "B", 1.0]]
    below = pj.load_go_graph(min_jaccard=0.0999, annotation=annotation)
    assert below.num_edges == 4
    assert sorted(below.weights.tolist()) == [np.float32(0.1), np.float32(0.1), 1.0, 1.0]


def test_a_gene_with_more_terms_than_int16_counts_is_compared_exactly() -> None:
    terms = [f"t{i}" for i in range(40_000)]
    annotation = toy_annotation({"A": frozenset(terms), "B": frozenset(terms[:33_000]), "C": frozenset(terms[:10])})
    graph = pj.load_go_graph(annotation=annotation)
    weights = {tuple(edge[:2]): edge[2] for edge in pj.edge_table(graph).values.tolist()}
    assert weights == {
        ("A", "A"): 1.0,
        ("B", "B"): 1.0,
        ("C", "C"): 1.0,
        ("A", "B"): np.float32(33_000 / 40_000),
        ("B", "A"): np.float32(33_000 / 40_000),
    }


def test_one_gene_gives_a_graph_of_its_own_loop() -> None:
    graph = pj.load_go_graph(["TP53"])
    assert pj.edge_table(graph).values.tolist() == [["TP53", "TP53", 1.0]]


def test_provenance_says_how_the_graph_was_made() -> None:
    graph = pj.load_go_graph(["TP53", "MDM2"], neighbors=7, min_jaccard=0.2, namespaces=("BP", "CC"))
    made_with = dict(graph.provenance.settings)
    assert graph.provenance.source == "human GO, direct annotations"
    assert (made_with["neighbors"], made_with["min_jaccard"], made_with["namespaces"]) == (7, 0.2, "BP,CC")
    assert made_with["annotation sha256"] == pj.human_annotation().metadata["sha256"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"neighbors": 0},
        {"neighbors": -1},
        {"neighbors": True},
        {"neighbors": 2.5},
        {"neighbors": "20"},
        {"min_jaccard": -0.1},
        {"min_jaccard": 1.0},
        {"min_jaccard": float("nan")},
        {"min_jaccard": float("inf")},
        {"min_jaccard": "0.1"},
    ],
    ids=str,
)
def test_a_wrong_number_is_refused_by_name(wrong: dict[str, object]) -> None:
    (name, value), *_ = wrong.items()
    load_go_graph = inspect.unwrap(pj.load_go_graph)
    with pytest.raises(pj.InputError, match=f"^{name}: expected") as caught:
        load_go_graph(["TP53", "MDM2"], **wrong)
    assert repr(value) in str(caught.value)


def test_unknown_genes_are_refused_or_dropped_on_request() -> None:
    with pytest.raises(pj.InputError, match=r"2 genes not in the human GO.*'NOGENE'.*'tp53' \(did you mean TP53\?\)"):
        pj.load_go_graph(["TP53", "NOGENE", "MDM2", "tp53"])
    graph = pj.load_go_graph(["TP53", "NOGENE", "MDM2", "tp53"], unknown="drop")
    assert graph.genes == ("MDM2", "TP53")
    assert [name for name, _ in graph.provenance.dropped] == ["NOGENE", "tp53"]


def test_a_gene_without_terms_in_the_chosen_namespaces_is_unknown() -> None:
    gene = next(gene for gene in terms_of_human_genes() if gene not in terms_of_human_genes(("BP",)))
    with pytest.raises(pj.InputError, match=f"1 gene not in .*'{gene}'"):
        pj.load_go_graph([gene, "TP53"], namespaces=("BP",))


@pytest.mark.parametrize(("genes", "count"), [([], 0), (["NOGENE", "NONE"], 2)])
def test_no_known_gene_at_all_is_refused(genes: list[str], count: int) -> None:
    with pytest.raises(pj.InputError, match=f"none of the {count} genes"):
        pj.load_go_graph(genes, unknown="drop")


def test_namespaces_that_no_term_has_are_refused() -> None:
    annotation = annotation_from_pairs({("A", "t"), ("B", "t")}, {"t": 0}, {}, {"name": "toy"})
    with pytest.raises(pj.InputError, match="MF"):
        pj.load_go_graph(annotation=annotation, namespaces=("MF",))


def test_an_annotation_file_may_be_given_as_text_or_path(tmp_path: Path) -> None:
    path = tmp_path / "sets.gmt"
    path.write_text("SET\t\tA\tB\n")
    assert_same_graph(pj.load_go_graph(annotation=path), pj.load_go_graph(annotation=str(path)))
    assert pj.load_go_graph(annotation=path).provenance.source == "GMT file sets.gmt"
