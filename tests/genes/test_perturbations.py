"""Perturbations: single genes, combinations, and what is wrong with them."""

import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.genes.perturbations import parse_perturbations
from tests.graphs import graph_of

GRAPH = graph_of(5, [])


def test_single_genes_keep_their_order() -> None:
    pool = parse_perturbations(GRAPH.names, ["G3", "G0"])
    assert pool.labels == ("G3", "G0")
    assert pool.indices().tolist() == [3, 0]


def test_none_is_every_gene() -> None:
    np.testing.assert_array_equal(parse_perturbations(GRAPH.names, None).indices(), np.arange(5))


def test_combinations_are_padded_and_genes_may_recur_between_them() -> None:
    pool = parse_perturbations(GRAPH.names, ["G0+G1", "G1", "G2+G1+G0"])
    assert pool.members.tolist() == [[0, 1, -1], [1, -1, -1], [2, 1, 0]]
    assert pool.without(parse_perturbations(GRAPH.names, ["G1+G0"])).labels == ("G1", "G2+G1+G0")


@pytest.mark.parametrize("name", ["G0+", "+G0", "G0++G1", "+"])
def test_malformed_combinations(name: str) -> None:
    with pytest.raises(pj.InputError, match="malformed combination"):
        parse_perturbations(GRAPH.names, [name])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["G0+G0"], "names one gene twice"),
        (["G0+G1", "G1+G0"], "the same perturbation"),
        (["G0", "G0"], "more than once"),
        (["G0+G1", " "], "blank"),
        (["G0+X"], "not in the graph: 'X'"),
    ],
)
def test_names_that_cannot_be_used(names: list[str], message: str) -> None:
    with pytest.raises(pj.InputError, match=message):
        parse_perturbations(GRAPH.names, names)


def test_dropped_candidates_are_reported() -> None:
    pool = parse_perturbations(GRAPH.names, ["G0+X", "G1", "Y"], unknown="drop")
    assert pool.labels == ("G1",)
    assert set(pool.dropped) == {"G0+X", "Y"}


def test_two_names_of_one_gene_in_different_combinations() -> None:
    graph = pj.load_go_graph(["AARS1", "TP53", "MDM2"])
    assert parse_perturbations(graph.names, ["AARS+TP53", "AARS1+MDM2"]).labels == ("AARS1+TP53", "AARS1+MDM2")


def test_a_dropped_combination_says_which_gene_was_unknown() -> None:
    assert parse_perturbations(GRAPH.names, ["G0+X", "G1"], "drop").dropped == {"G0+X": "X not in the graph"}
