"""Edge lists become graphs as they are, wrong ones are refused; and a graph is a pytree that jit can take."""

import gzip
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj

HEADER = "source,target,importance\n"


def edge_frame(*edges: tuple[object, object, object]) -> pd.DataFrame:
    return pd.DataFrame(list(edges), columns=["source", "target", "importance"])


@pytest.fixture(scope="module")
def go_graph() -> pj.KnowledgeGraph:
    return pj.load_go_graph(pj.human_annotation().genes[9_000:9_200])


@pytest.fixture
def toy() -> pd.DataFrame:
    return edge_frame(("B", "A", 0.5), ("A", "A", 1.0), ("A", "C", 0.25), ("C", "A", 2.0))


def refusal(edges: pd.DataFrame | Path, genes: list[str] | None = None) -> str:
    """The one-line message of the `InputError` that building raises; it names the origin of the edges."""
    with pytest.raises(pj.InputError) as caught:
        pj.graph_from_edges(edges, genes)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def assert_same_arrays(graph: pj.KnowledgeGraph, other: pj.KnowledgeGraph) -> None:
    assert graph.genes == other.genes
    for array, expected in zip(jax.tree.leaves(graph), jax.tree.leaves(other), strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


def test_edges_become_a_graph_sorted_by_target(toy: pd.DataFrame) -> None:
    graph = pj.graph_from_edges(toy)
    assert graph.genes == ("A", "B", "C")
    assert graph.senders.tolist() == [1, 0, 2, 0]
    assert graph.receivers.tolist() == [0, 0, 0, 2]
    assert graph.weights.tolist() == [0.5, 1.0, 2.0, 0.25]
    assert (graph.num_nodes, graph.num_edges) == (3, 4)
    assert graph.graph.n_node.tolist() == [3]
    assert graph.graph.n_edge.tolist() == [4]


def test_edges_of_one_target_keep_the_order_given() -> None:
    sources = [f"S{i}" for i in np.random.default_rng(0).permutation(300)]
    given = [(source, f"T{i % 3}", 1.0) for i, source in enumerate(sources)]
    table = pj.edge_table(pj.graph_from_edges(edge_frame(*given)))
    for target in ("T0", "T1", "T2"):
        kept = table["source"][table["target"] == target].tolist()
        assert kept == [source for source, other, _ in given if other == target]


def test_arrays_have_the_documented_types(toy: pd.DataFrame) -> None:
    graph = pj.graph_from_edges(toy)
    assert graph.weights.dtype == np.float32
    assert graph.senders.dtype == graph.receivers.dtype == np.int32


def test_self_loops_are_kept_and_none_is_added(toy: pd.DataFrame) -> None:
    graph = pj.graph_from_edges(toy)
    loops = np.asarray(graph.senders) == np.asarray(graph.receivers)
    assert [graph.genes[node] for node in np.asarray(graph.senders)[loops]] == ["A"]


def test_a_table_round_trip_keeps_every_array(go_graph: pj.KnowledgeGraph) -> None:
    table = pj.edge_table(go_graph)
    assert list(table.columns) == ["source", "target", "importance"]
    assert len(table) == go_graph.num_edges > go_graph.num_nodes
    assert_same_arrays(pj.graph_from_edges(table), go_graph)


@pytest.mark.parametrize("name", ["edges.csv", "edges.csv.gz", "edges.tsv", "edges.tsv.gz"])
def test_a_file_round_trip_keeps_every_array(tmp_path: Path, go_graph: pj.KnowledgeGraph, name: str) -> None:
    path = tmp_path / name
    pj.edge_table(go_graph).to_csv(path, index=False, sep="\t" if ".tsv" in name else ",")
    graph = pj.graph_from_edges(path)
    assert_same_arrays(graph, go_graph)
    assert_same_arrays(pj.graph_from_edges(str(path)), go_graph)
    assert name in graph.provenance.source


def test_a_file_with_byte_order_mark_further_columns_and_crlf_is_read(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    path.write_text(
        "\ufeffimportance,note,target,source\r\n0.5,x,A,B\r\n1e-3,y,B,NAT1\r\n", encoding="utf-8", newline=""
    )
    graph = pj.graph_from_edges(path)
    assert graph.genes == ("A", "B", "NAT1")
    assert pj.edge_table(graph)["source"].tolist() == ["B", "NAT1"]
    assert graph.weights.tolist() == [0.5, np.float32(1e-3)]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("Source;Target;Weight\nA;B;0,5\nB;A;1.000,25\n", "utf-8"),
        (" source \tTARGET\timportance\nA\tB\t0.5\nB\tA\t1000.25\n", "utf-16"),
        (",source,target,importance,weight\r0,A,B,0.5,7\r1,B,A,1000.25,7\r", "utf-8-sig"),
    ],
    ids=["an office's", "utf-16", "an index, old line ends, both words"],
)
def test_files_are_read_as_offices_write_them(tmp_path: Path, content: str, encoding: str) -> None:
    path = tmp_path / "edges.txt"
    path.write_bytes(content.encode(encoding))
    table = pj.edge_table(pj.graph_from_edges(path))
    assert table.values.tolist() == [["B", "A", 1000.25], ["A", "B", 0.5]]


def test_columns_of_a_table_are_found_whatever_their_case() -> None:
    table = edge_frame(("A", "B", 0.5)).rename(columns={"source": " Source", "importance": "WEIGHT"})
    assert pj.edge_table(pj.graph_from_edges(table)).values.tolist() == [["A", "B", 0.5]]


def test_two_columns_that_are_called_alike_are_refused() -> None:
    table = edge_frame(("A", "B", 0.5)).assign(**{"Source": "A", "source ": "B"}).drop(columns="source")
    assert "'Source', 'source ' may all be source" in refusal(table)


@pytest.mark.parametrize("word", ["NA", "nan", "None", "-", "#N/A"])
def test_a_word_for_a_missing_value_is_no_gene(word: str) -> None:
    assert "the target in row 1, row 3 is blank" in refusal(edge_frame(("A", word, 1), ("A", "B", 1), ("B", word, 1)))


def test_all_that_is_wrong_is_said_at_once() -> None:
    message = refusal(edge_frame(("", "B", 1), ("A", "", 0)))
    assert "the source in row 1" in message
    assert "the target in row 2" in message
    assert "got 0 in row 2" in message


def test_spaces_around_names_are_removed() -> None:
    assert pj.graph_from_edges(edge_frame((" A", "B ", 1.0))).genes == ("A", "B")


def test_exact_duplicates_count_once() -> None:
    graph = pj.graph_from_edges(edge_frame(("A", "B", 0.5), ("B", "A", 0.5), ("A", "B", 0.5), (" A", "B", "0.50")))
    assert pj.edge_table(graph).values.tolist() == [["B", "A", 0.5], ["A", "B", 0.5]]


def test_the_input_table_is_not_changed(toy: pd.DataFrame) -> None:
    before = toy.copy()
    pj.graph_from_edges(toy)
    pd.testing.assert_frame_equal(toy, before)


def test_the_index_of_the_table_does_not_matter(toy: pd.DataFrame) -> None:
    shifted = toy.set_index(np.array([7, 7, 3, 0]))
    assert_same_arrays(pj.graph_from_edges(shifted), pj.graph_from_edges(toy))


@pytest.mark.parametrize("columns", [["source"], ["source", "target"]], ids=["source", "both"])
def test_categorical_names_are_read_like_text(columns: list[str]) -> None:
    table = edge_frame(("A", "B", 0.5), ("A", "C", 1.0))
    categorical = table.astype(dict.fromkeys(columns, "category"))
    assert_same_arrays(pj.graph_from_edges(categorical), pj.graph_from_edges(table))


def test_given_genes_set_the_order_of_the_nodes(toy: pd.DataFrame) -> None:
    graph = pj.graph_from_edges(toy, genes=["C", "ALONE", "A"])
    assert graph.genes == ("C", "ALONE", "A")
    assert graph.provenance.settings == (("edges outside the genes given", 1),)
    edges = {tuple(edge) for edge in pj.edge_table(graph).values.tolist()}
    assert edges == {("C", "A", 2.0), ("A", "A", 1.0), ("A", "C", 0.25)}
    assert graph.receivers.tolist() == sorted(graph.receivers.tolist())


def test_without_given_genes_no_edge_is_outside(toy: pd.DataFrame) -> None:
    assert pj.graph_from_edges(toy).provenance.settings == (("edges outside the genes given", 0),)


def test_repeated_given_genes_are_refused(toy: pd.DataFrame) -> None:
    assert "given more than once: A" in refusal(toy, ["A", "B", "A"])


def test_blank_given_genes_are_refused(toy: pd.DataFrame) -> None:
    assert "position 2 is blank" in refusal(toy, ["A", " "])


BAD_IMPORTANCE = ["nan", "-0.5", "0", "inf", "-inf", "high", "", "1e300", "1e-60"]


@pytest.mark.parametrize("importance", BAD_IMPORTANCE)
def test_importance_in_a_file_must_be_finite_and_positive(tmp_path: Path, importance: str) -> None:
    path = tmp_path / "edges.csv"
    path.write_text(HEADER + f"A,B,0.5\nA,C,{importance}\n")
    message = refusal(path)
    assert message.startswith(f"{path}: ")
    assert f"finite number > 0, got {importance!r} in row 2" in message


@pytest.mark.parametrize("importance", [float("nan"), -0.5, 0.0, float("inf"), 1e300, 1e-60, None, "high", [1.0]])
def test_importance_in_a_table_must_be_finite_and_positive(importance: object) -> None:
    message = refusal(edge_frame(("A", "B", 0.5), ("A", "C", importance)))
    assert message.startswith("edge table: ")
    assert "finite number > 0" in message
    assert "in row 2" in message


@pytest.mark.parametrize("column", ["source", "target"])
@pytest.mark.parametrize("blank", ["", "  ", None, float("nan"), 7])
def test_a_blank_name_is_refused_with_its_row(column: str, blank: object) -> None:
    named = {"source": "A", "target": "B", "importance": 0.5}
    table = pd.DataFrame([named, {**named, "target": "C", column: blank}])
    assert f"the {column} in row 2 is blank or not text" in refusal(table)


def test_a_blank_name_in_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    path.write_text(HEADER + "A,B,0.5\n,C,0.5\n")
    message = refusal(path)
    assert message.startswith(f"{path}: ")
    assert "the source in row 2 is blank" in message


def test_conflicting_duplicates_are_refused() -> None:
    message = refusal(edge_frame(("A", "B", 0.5), ("B", "A", 0.7), ("A", "B", 0.6)))
    assert "the edge A -> B has two different importances" in message


@pytest.mark.parametrize("column", ["source", "target", "importance"])
def test_a_missing_column_is_refused_by_name(toy: pd.DataFrame, column: str) -> None:
    message = refusal(toy.rename(columns={column: "other"}))
    assert f"; {column} missing" in message
    assert "other" in message.partition("found:")[2]


def test_a_repeated_column_is_refused() -> None:
    table = pd.DataFrame([["A", "B", "C", 1.0]], columns=["source", "source", "target", "importance"])
    assert "source" in refusal(table)


def test_a_table_without_rows_is_refused() -> None:
    assert "at least one row" in refusal(edge_frame())


RANDOM_BYTES = np.random.default_rng(0).bytes(2_000)
COMPRESSED = gzip.compress((HEADER + "A,B,0.5\n" * 500).encode() + RANDOM_BYTES.hex().encode(), mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        pytest.param("edges.csv", b"", "empty", id="empty"),
        pytest.param("edges.csv", b"\n\n", "empty", id="blank lines"),
        pytest.param("edges.csv", HEADER.encode(), "at least one row", id="only the header"),
        pytest.param("edges.csv", RANDOM_BYTES, "not a ", id="random bytes"),
        pytest.param("edges.csv", bytes(500), "not a text file", id="zero bytes"),
        pytest.param("edges.csv", HEADER.replace(",", ";").encode(), "at least one row", id="semicolons"),
        pytest.param("edges.csv", b"TP53\nMDM2\n", "missing", id="list of genes"),
        pytest.param("edges.csv", HEADER.encode() + b"A,B\n", "got '' in row 1", id="short row"),
        pytest.param("edges.csv", HEADER.encode() + b"A,B,1\nA,C,1,2\n", "line 3 has 4 cells", id="long row"),
        pytest.param("edges.csv", HEADER.encode() + b"A,B,1,2\nA,C,1,3\n", "columns", id="every row long"),
        pytest.param(
            "edges.csv", HEADER.encode() + b'A,B,"1\n', "finite number > 0, got '\"1' in row 1", id="open quote"
        ),
        pytest.param("edges.csv.gz", HEADER.encode(), "at least one row", id="not gzip"),
        pytest.param("edges.csv.gz", COMPRESSED[: len(COMPRESSED) // 2], "cannot be read", id="truncated gzip"),
        pytest.param("edges.csv.gz", COMPRESSED[:10] + b"\xff" + COMPRESSED[11:], "cannot be read", id="damaged gzip"),
    ],
)
def test_a_file_that_is_no_edge_list_is_refused(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = refusal(path)
    assert message.startswith(f"{path}: ")
    assert expected in message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "absent.csv"
    assert refusal(path).startswith(f"{path}: no such file")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path}: a directory")


def test_a_graph_survives_flattening(go_graph: pj.KnowledgeGraph) -> None:
    leaves, structure = jax.tree.flatten(go_graph)
    assert [leaf.shape for leaf in leaves] == [(go_graph.num_edges,)] * 3 + [(1,), (1,)]
    rebuilt = jax.tree.unflatten(structure, leaves)
    assert isinstance(rebuilt, pj.KnowledgeGraph)
    assert_same_arrays(rebuilt, go_graph)
    assert rebuilt.provenance == go_graph.provenance
    assert rebuilt.index(go_graph.genes[5:7]).tolist() == [5, 6]


def test_a_graph_can_be_put_on_a_device(go_graph: pj.KnowledgeGraph) -> None:
    placed = jax.device_put(go_graph)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(placed))
    assert_same_arrays(placed, go_graph)
    assert_same_arrays(pj.graph_from_edges(pj.edge_table(placed)), go_graph)


def counting_degree() -> tuple[Callable[[pj.KnowledgeGraph], jax.Array], list[int]]:
    """A jitted weighted in-degree, and a list that grows with each trace."""
    traces: list[int] = []

    @jax.jit
    def degree(graph: pj.KnowledgeGraph) -> jax.Array:
        traces.append(graph.num_edges)
        return jax.ops.segment_sum(jnp.asarray(graph.weights), graph.receivers, graph.num_nodes)

    return degree, traces


def test_jit_takes_a_graph_and_does_not_retrace_for_an_equal_one(toy: pd.DataFrame) -> None:
    degree, traces = counting_degree()
    np.testing.assert_array_equal(degree(pj.graph_from_edges(toy)), [3.5, 0.0, 0.25])
    heavier = toy.assign(importance=toy["importance"] * 2)
    np.testing.assert_array_equal(degree(pj.graph_from_edges(heavier)), [7.0, 0.0, 0.5])
    np.testing.assert_array_equal(degree(jax.device_put(pj.graph_from_edges(toy))), [3.5, 0.0, 0.25])
    assert traces == [4]


def test_jit_retraces_for_other_gene_names(toy: pd.DataFrame) -> None:
    degree, traces = counting_degree()
    degree(pj.graph_from_edges(toy))
    degree(pj.graph_from_edges(toy.replace("C", "D")))
    assert traces == [4, 4]


def test_go_graphs_built_twice_share_one_trace() -> None:
    degree, traces = counting_degree()
    genes = ["TP53", "MDM2", "AARS", "GATA1"]
    first, second = pj.load_go_graph(genes), pj.load_go_graph(genes)
    assert len({jax.tree.structure(first), jax.tree.structure(second)}) == 1
    np.testing.assert_array_equal(degree(first), degree(second))
    assert len(traces) == 1


def test_a_graph_is_shown_by_its_sizes(toy: pd.DataFrame) -> None:
    assert repr(pj.graph_from_edges(toy)) == "KnowledgeGraph(3 genes, 4 edges, edge list edge table)"
