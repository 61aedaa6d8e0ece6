"""Which graph: what excludes what is said before anything is read, and the rules reach the builder."""

from pathlib import Path

import pytest

import perturb_jax as pj


def test_values_that_exclude_each_other_are_refused_before_any_file_is_read(tmp_path: Path) -> None:
    absent = tmp_path / "absent.csv"
    with pytest.raises(pj.InputError, match="neighbors, min_jaccard: a finished edge list is used as it is"):
        pj.GraphChoice(file=absent, neighbors=3, min_jaccard=0.2)
    with pytest.raises(pj.InputError, match="file, annotation: expected one source of edges, got both"):
        pj.GraphChoice(file=absent, annotation=absent)
    with pytest.raises(pj.InputError, match="evidence, taxon: need annotation"):
        pj.GraphChoice(evidence=("IDA",), taxon=10090)
    with pytest.raises(pj.InputError, match=r"neighbors: expected .* got 0; min_jaccard: expected .* got 1\.0"):
        pj.GraphChoice(neighbors=0, min_jaccard=1.0)


def test_the_rules_reach_the_builder(tmp_path: Path) -> None:
    genes = ["TP53", "MDM2", "MDM4", "GATA1", "no such gene"]
    universe = tmp_path / "genes.txt"
    universe.write_text("\n".join(genes[:4]))
    expected = pj.load_go_graph(genes[:4], neighbors=2, min_jaccard=0.15, namespaces=("BP",))
    rules = {"neighbors": 2, "min_jaccard": 0.15, "namespaces": ("BP",)}
    for graph in (
        pj.GraphChoice(universe=universe, **rules).build(),  # type: ignore[arg-type]
        pj.GraphChoice(**rules).build(genes=genes),  # type: ignore[arg-type]
    ):
        assert graph.genes == expected.genes
        assert graph.weights.tolist() == expected.weights.tolist()
        assert graph.senders.tolist() == expected.senders.tolist()
    edges = tmp_path / "edges.csv"
    pj.edge_table(expected).to_csv(edges, index=False)
    assert pj.GraphChoice(file=edges).build(genes=["A"]).num_edges == expected.num_edges
