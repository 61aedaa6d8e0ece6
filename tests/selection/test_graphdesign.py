"""GraphDesign from names to a `Selection`, against the definitions; and what it refuses."""

from typing import Any
from unittest.mock import patch

import jax
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.graph.knowledge_graph import make_graph
from perturb_jax.selection import criteria
from perturb_jax.selection.graphdesign import CRITERIA, Criterion
from tests.design_oracles import (
    DenseDesign,
    Genes,
    best_affordable,
    best_design,
    dense_design,
    graph_with,
    greedy_design,
    scattered_graph,
    weighted_graphs,
)
from tests.graphs import compilations, graph_of

Options = dict[str, Any]
SUBMODULAR: tuple[Criterion, ...] = ("information", "facility", "soft")


def names(perturbations: list[Genes]) -> list[str]:
    return ["+".join(f"G{gene}" for gene in genes) for genes in perturbations]


def picked(design: DenseDesign, candidates: list[Genes], picks: pj.Selection) -> list[int]:
    """The picks as candidate numbers; checks that names and node numbers agree."""
    position = {name: i for i, name in enumerate(names(candidates))}
    for name, row in zip(picks.genes, np.reshape(picks.indices, (len(picks), -1)).tolist(), strict=True):
        assert "+".join(f"G{node}" for node in row if node >= 0) == name
    return [position[name] for name in picks.genes]


def assert_greedy(design: DenseDesign, candidates: list[Genes], criterion: str, picks: pj.Selection) -> None:
    left = [v for v in design.candidates if v not in design.before]
    expected = greedy_design(design.value(criterion), left, len(picks))
    assert picked(design, candidates, picks) == expected.picks
    np.testing.assert_allclose(picks.gains, expected.gains, rtol=1e-7, atol=1e-11)
    np.testing.assert_allclose(picks.values, expected.values, rtol=1e-9)


CANDIDATES: list[Genes] = [(3,), (1, 2), (0,), (5,), (2, 3), (8,), (7,), (1,), (0, 4, 6)]
TARGETS: list[Genes] = [(0,), (6,), (4,), (3, 7), (1,)]


@settings(deadline=None, max_examples=60)
@given(
    weighted_graphs(),
    st.sampled_from(["variance", "information"]),
    st.fixed_dictionaries(
        {
            "hops": st.integers(1, 3),
            "direction": st.sampled_from(["in", "out", "both"]),
            "weighted": st.booleans(),
            "normalize": st.booleans(),
            "noise": st.sampled_from([0.01, 0.5, 2.0, 10]),
        }
    ),
    st.lists(st.sampled_from([0, 0.5, 1, 3]), min_size=len(TARGETS), max_size=len(TARGETS)).filter(any),
)
def test_posterior_picks_gains_and_values_are_the_definition(
    graph: pj.KnowledgeGraph, criterion: Criterion, chosen: Options, weights: list[float]
) -> None:
    worth = dict(zip(names(TARGETS), weights, strict=True))
    selected = [CANDIDATES[5], CANDIDATES[1]]
    picks = pj.graphdesign(graph, names(CANDIDATES), 5, criterion, targets=worth, selected=names(selected), **chosen)
    design = dense_design(graph, CANDIDATES, TARGETS, weights, before=[5, 1], **chosen)
    assert_greedy(design, CANDIDATES, criterion, picks)
    np.testing.assert_allclose(np.cumsum(picks.gains) + design.value(criterion)([]), picks.values)
    assert (np.diff(picks.values) >= 0).all()


@pytest.mark.parametrize("criterion", ["facility", "soft"])
@pytest.mark.parametrize(("direction", "hops"), [("in", 1), ("in", 2), ("out", 1), ("both", 1)])
def test_representation_picks_gains_and_values_are_the_definition(
    criterion: Criterion, direction: str, hops: int
) -> None:
    graph = scattered_graph(hops, 9, 30)
    chosen: Options = {"hops": hops, "direction": direction, "weighted": hops == 1, "normalize": hops == 2}
    weights = [1, 0, 2, 0.5, 1]
    worth = dict(zip(names(TARGETS), weights, strict=True))
    picks = pj.graphdesign(graph, names(CANDIDATES), 4, criterion, targets=worth, selected=["G8"], **chosen)
    design = dense_design(graph, CANDIDATES, TARGETS, weights, before=[5], **chosen)
    assert_greedy(design, CANDIDATES, criterion, picks)


@pytest.mark.parametrize(
    ("criterion", "hops", "direction"),
    [("variance", 1, "in"), ("variance", 2, "out"), ("variance", 2, "both"), ("information", 1, "in")],
)
def test_blocks_and_message_passing_make_the_picks_of_the_definition_on_400_nodes(
    criterion: Criterion, hops: int, direction: str
) -> None:
    graph = scattered_graph(hops, 400, 1500)
    rng = np.random.default_rng(0)
    candidates: list[Genes] = [(v,) for v in rng.permutation(400)[:300].tolist()]
    targets: list[Genes] = [(v,) for v in range(400)]
    chosen: Options = {"hops": hops, "direction": direction, "noise": 0.5}
    runs = []
    for largest in (4096, 0):
        with patch.object(criteria, "_LARGEST_BLOCK", largest):
            runs.append(pj.graphdesign(graph, names(candidates), 5, criterion, targets=graph.genes, **chosen))
    design = dense_design(graph, candidates, targets, **chosen)
    assert_greedy(design, candidates, criterion, runs[0])
    assert_greedy(design, candidates, criterion, runs[1])
    for blocks, passing in ((runs[0].gains, runs[1].gains), (runs[0].values, runs[1].values)):
        np.testing.assert_allclose(passing, blocks, rtol=1e-11)


@pytest.mark.parametrize("criterion", ["facility", "soft"])
def test_representation_on_400_nodes(criterion: Criterion) -> None:
    graph = scattered_graph(4, 400, 1500)
    everyone: list[Genes] = [(v,) for v in range(400)]
    picks = pj.graphdesign(graph, None, 40, criterion)
    assert_greedy(dense_design(graph, everyone, everyone), everyone, criterion, picks)
    assert (picks.bounds >= picks.values * (1 - 1e-12)).all()
    assert picks.guarantee > 1 - 1 / np.e
    assert picks.info.naive_evaluations == sum(400 - i for i in range(40))
    assert picks.info.evaluations <= picks.info.naive_evaluations


def operator_of_entries(graph: pj.KnowledgeGraph) -> sp.csr_array:
    """P of a graph that has each edge once, from lists of its entries."""
    entries = {
        (receiver, sender): weight
        for sender, receiver, weight in zip(
            graph.senders.tolist(), graph.receivers.tolist(), graph.weights.tolist(), strict=True
        )
    }
    for node in range(graph.num_nodes):
        entries.setdefault((node, node), 1.0)
    degree = [0.0] * graph.num_nodes
    for (reader, _), weight in entries.items():
        degree[reader] += weight
    normalized = [weight / np.sqrt(degree[reader] * degree[read]) for (reader, read), weight in entries.items()]
    return sp.csr_array((normalized, np.array(list(entries)).T), shape=(graph.num_nodes, graph.num_nodes))


@pytest.mark.parametrize(("hops", "budget"), [(1, 30), (2, 10)])
def test_the_whole_real_graph_is_learned_pick_by_pick_as_by_rank_one_updates(
    library_graph: pj.KnowledgeGraph, candidates_1087: list[str], hops: int, budget: int
) -> None:
    picks = pj.graphdesign(library_graph, candidates_1087, budget, hops=hops, targets=library_graph.genes)
    features = operator_of_entries(library_graph)
    if hops == 2:
        features = sp.csr_array(features @ features)
    features = sp.csr_array(sp.diags_array(1 / np.sqrt((features * features).sum(1))) @ features)
    rows = [library_graph.genes.index(gene) for gene in candidates_1087]
    covariance = (features[rows] @ features.T).toarray()
    total, noise, value = library_graph.num_nodes, 2.0, 0.0
    left = np.ones(len(rows), bool)
    for gene, gain, after in zip(picks.genes, picks.gains, picks.values, strict=True):
        measured = covariance[np.arange(len(rows)), rows] + noise
        gains = np.where(left, np.einsum("vt,vt->v", covariance, covariance) / measured / total, -1)
        pick = int(gains.argmax())
        assert gene == candidates_1087[pick]
        value += gains[pick]
        assert gain == pytest.approx(gains[pick], rel=1e-9)
        assert after == pytest.approx(value, rel=1e-10)
        left[pick] = False
        covariance -= np.outer(covariance[:, rows[pick]] / measured[pick], covariance[pick])


@pytest.mark.parametrize("criterion", CRITERIA)
def test_what_is_selected_counts_as_picked(criterion: Criterion) -> None:
    def run(budget: int, selected: list[str]) -> pj.Selection:
        return pj.graphdesign(scattered_graph(7, 9, 30), names(CANDIDATES), budget, criterion, selected=selected)

    whole = run(4, ["G8"])
    rest = run(2, ["G8", *whole.genes[:2]])
    assert rest.genes == whole.genes[2:]
    np.testing.assert_allclose(rest.values, whole.values[2:], rtol=1e-12)
    np.testing.assert_allclose(rest.gains, whole.gains[2:], rtol=1e-9)
    turned = run(2, ["G2+G1", "G8", "G6"])
    assert same(turned, run(2, ["G6", "G1+G2", "G8"]))
    assert not {"G1+G2", "G8"} & set(turned.genes)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_picks_do_not_depend_on_the_order_of_nodes_edges_and_candidates(criterion: Criterion) -> None:
    graph = scattered_graph(3, 30, 200)
    senders, receivers, weights = (np.asarray(part) for part in (graph.senders, graph.receivers, graph.weights))
    chosen: Options = {"normalize": criterion in ("variance", "facility")}
    expected = pj.graphdesign(graph, None, 6, criterion, **chosen)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        position, edges = rng.permutation(30), rng.permutation(len(senders))
        genes = [f"G{i}" for i in np.argsort(position)]
        other = make_graph(position[senders][edges], position[receivers][edges], weights[edges], genes)
        picks = pj.graphdesign(other, [f"G{i}" for i in rng.permutation(30)], 6, criterion, **chosen)
        assert picks.genes == expected.genes
        np.testing.assert_allclose(picks.values, expected.values, rtol=1e-12)


def same(one: pj.Selection, other: pj.Selection) -> bool:
    return one.genes == other.genes and np.allclose(one.values, other.values, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("criterion", "normalize"), [("variance", True), ("variance", False), ("facility", False)])
def test_targets_by_name_and_by_weight(criterion: Criterion, normalize: bool) -> None:
    graph = scattered_graph(5, 9, 30)

    def run(targets: Any) -> pj.Selection:
        return pj.graphdesign(graph, names(CANDIDATES), 4, criterion, targets=targets, normalize=normalize, noise=0.5)

    few = run(["G0", "G6", "G3+G7"])
    assert same(few, run(iter(["G0", "G6", "G3+G7"])))
    assert same(few, run({"G0": 1, "G6": 1.0, "G7+G3": np.float32(1)}))
    assert same(few, run({"G0": 1e6, "G6": 1e6, "G3+G7": 1e6}))
    assert same(few, run({"G0": 1, "G6": 1, "G3+G7": 1, "G1": 0, "G4": 0.0}))
    assert not same(few, run({"G0": 1, "G6": 5, "G3+G7": 1}))
    assert same(run("G4"), run(["G4"]))
    assert same(run(None), run(names(CANDIDATES)))
    assert same(run(graph.genes), run({f"G{i}": 2 for i in range(9)}))
    everyone = pj.graphdesign(graph, None, 4, criterion, normalize=normalize)
    assert same(everyone, pj.graphdesign(graph, graph.genes, 4, criterion, targets=graph.genes, normalize=normalize))


@pytest.mark.parametrize("criterion", SUBMODULAR)
def test_the_certificate_holds_against_exhaustive_search(criterion: Criterion) -> None:
    for seed in range(4):
        graph = scattered_graph(seed, 9, 30)
        picks = pj.graphdesign(graph, names(CANDIDATES), 4, criterion, targets=names(TARGETS), selected=["G8"])
        design = dense_design(graph, CANDIDATES, TARGETS, before=[5])
        left = [v for v in design.candidates if v != 5]
        for size in range(1, 5):
            best = best_design(design.value(criterion), left, size)
            assert picks.values[size - 1] <= best * (1 + 1e-12)
            assert picks.bounds[size - 1] >= best * (1 - 1e-12)
        assert (1 - 1 / np.e) * (1 - 1e-9) <= picks.guarantee <= 1 + 1e-12


def test_explained_variance_has_no_certificate() -> None:
    graph = graph_of(2, [])
    picks = pj.graphdesign(graph, ["G0+G1", "G1"], 2, targets=["G0"], noise=0.01)
    assert np.isnan(picks.bounds).all()
    assert picks.genes == ("G0+G1", "G1")
    alone = pj.graphdesign(graph, ["G1"], 1, targets=["G0"], noise=0.01)
    assert alone.gains[0] == 0
    assert picks.gains[1] > 0.4


@pytest.mark.parametrize("criterion", CRITERIA)
def test_costs_buy_no_more_than_the_budget_and_nearly_the_best(criterion: Criterion) -> None:
    given: Options = {
        "G3": 0.3,
        "G2+G1": np.float32(1.5),
        "G0": 2,
        "G2": 50,
        "G8": np.int64(3),
        "G6+G4+G0": 0.25,
    }
    costs = [0.3, 1.5, 2, 1, 1, 3, 1, 1, 0.25]
    for seed, budget in ((0, 3), (1, 3.55), (2, np.float64(3.7))):
        graph = scattered_graph(seed, 9, 30)
        picks = pj.graphdesign(graph, names(CANDIDATES), budget, criterion, targets=names(TARGETS), costs=given)
        design = dense_design(graph, CANDIDATES, TARGETS)
        numbers, value = picked(design, CANDIDATES, picks), design.value(criterion)
        assert sum(costs[v] for v in numbers) <= budget * (1 + 1e-6)
        assert min(costs[v] for v in design.candidates if v not in numbers) > budget - sum(costs[v] for v in numbers)
        np.testing.assert_allclose(picks.values, [value(numbers[: i + 1]) for i in range(len(numbers))], rtol=1e-9)
        assert np.isnan(picks.bounds).all()
        if criterion != "variance":
            assert picks.values[-1] >= (1 - 1 / np.e) / 2 * best_affordable(value, costs, float(budget))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_where_all_costs_are_equal_picks_are_those_without_costs(criterion: Criterion) -> None:
    def run(budget: float, costs: dict[str, float] | None) -> pj.Selection:
        graph = scattered_graph(6, 9, 30)
        return pj.graphdesign(graph, names(CANDIDATES), budget, criterion, costs=costs, selected=["G8"], seed=3)

    plain = run(4, None)
    assert same(plain, run(4, {}))
    assert same(plain, run(0.4, dict.fromkeys(names(CANDIDATES), 0.1)))


def test_ten_tenths_are_one() -> None:
    costs = {f"G{i}": 0.1 for i in range(15)}
    assert len(pj.graphdesign(graph_of(15, []), None, 1.0, "information", costs=costs)) == 10


def test_old_symbols_of_targets_costs_and_selected_are_understood() -> None:
    plain = scattered_graph(2, 6, 14)
    graph = make_graph(
        np.asarray(plain.senders),
        np.asarray(plain.receivers),
        np.asarray(plain.weights),
        plain.genes,
        {"OLD0": ("G0",), "OLD1": ("G1",), "MANY": ("G2", "G3")},
    )
    chosen: Options = {"criterion": "variance", "noise": 0.1}
    old = pj.graphdesign(graph, ["OLD0", "G2", "G1+OLD0", "G3"], 2.5, targets={"OLD1": 2, "G5": 1},
                         costs={"OLD0": 1.5, "OLD0+OLD1": 0.5}, selected=["OLD1"], **chosen)  # fmt: skip
    new = pj.graphdesign(graph, ["G0", "G2", "G1+G0", "G3"], 2.5, targets={"G1": 2, "G5": 1},
                         costs={"G0": 1.5, "G0+G1": 0.5}, selected=["G1"], **chosen)  # fmt: skip
    assert same(old, new)
    for option in ("targets", "costs"):
        for names_given, message in (
            ({"G0": 1, "OLD0": 1}, "names of one gene, G0"),
            ({"MANY": 1}, "ambiguous old gene"),
        ):
            refused: Options = {option: names_given}
            with pytest.raises(pj.InputError, match=message):
                pj.graphdesign(graph, None, 1, **refused)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_ties_go_to_the_earliest_and_with_a_seed_to_a_seeded_one(criterion: Criterion) -> None:
    graph, order = graph_of(8, []), [f"G{i}" for i in (5, 2, 7, 0)]
    assert pj.graphdesign(graph, order, 4, criterion).genes == tuple(order)
    seeded = [pj.graphdesign(graph, order, 4, criterion, seed=seed).genes for seed in range(12)]
    assert len(set(seeded)) > 5
    assert pj.graphdesign(graph, order, 4, criterion, seed=3).genes == seeded[3]


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_candidate_can_be_picked_from_any_graph(criterion: Criterion) -> None:
    """Isolated and identical genes, two components, weights over 9 decades, more hops than the diameter."""
    edges = [(0, 1), (0, 2), (1, 2), (2, 1), (3, 4), (4, 5), (5, 3)]
    graph = graph_with(9, edges, [1e-6, 1e-6, 1, 1, 1e3, 1e-3, 1])
    several: list[Options] = [{}, {"hops": 12}, {"hops": 3, "direction": "both", "normalize": False, "noise": 1e-6}]
    for chosen in several:
        picks = pj.graphdesign(graph, None, 9, criterion, **chosen)
        assert sorted(picks.genes) == sorted(graph.genes)
        assert np.isfinite(picks.values).all()
        assert (picks.gains >= 0).all()
        assert (np.diff(picks.values) >= 0).all()
    one = pj.graphdesign(graph, "G4", 1, criterion)
    assert (one.genes, one.indices.tolist()) == (("G4",), [4])


def test_one_name_and_a_pandas_series_are_understood() -> None:
    graph = graph_of(5, [(0, 1), (0, 2), (3, 4)])
    assert pj.graphdesign(graph, None, 2, selected="G0").genes == pj.graphdesign(graph, None, 2, selected=["G0"]).genes
    worth = {"G1": 2.0, "G4": 1.0}
    by_series = pj.graphdesign(graph, None, 2, targets=pd.Series(worth), costs=pd.Series({"G1": 0.5, "G2": 3.0}))
    by_mapping = pj.graphdesign(graph, None, 2, targets=worth, costs={"G1": 0.5, "G2": 3.0})
    assert by_series.genes == by_mapping.genes
    of_names = pj.graphdesign(graph, None, 2, targets=pd.Series(["G1", "G4"]))
    assert of_names.genes == pj.graphdesign(graph, None, 2, targets=["G1", "G4"]).genes


@pytest.mark.parametrize("criterion", ["variance", "facility"])
def test_targets_that_no_candidate_tells_of(criterion: Criterion) -> None:
    picks = pj.graphdesign(graph_of(4, [(0, 1), (1, 0)]), ["G0", "G1"], 2, criterion, targets=["G2", "G3"])
    assert picks.genes == ("G0", "G1")
    assert picks.values.tolist() == [0, 0]


@pytest.mark.parametrize("criterion", ["variance", "facility"])
def test_weights_of_any_size_are_relative(criterion: Criterion) -> None:
    graph = scattered_graph(8, 9, 30)
    expected = pj.graphdesign(graph, None, 3, criterion)
    for size in (1e-320, 1e300, 1.7e308):
        picks = pj.graphdesign(graph, None, 3, criterion, targets={f"G{i}": size for i in range(9)})
        assert same(picks, expected), size


@pytest.mark.parametrize("criterion", ["variance", "soft"])
def test_an_accelerator_computes_in_single_precision(criterion: Criterion) -> None:
    graph = scattered_graph(9, 60, 200)
    double = pj.graphdesign(graph, None, 12, criterion)
    with patch.object(jax, "default_backend", lambda: "gpu"):
        single = pj.graphdesign(graph, None, 12, criterion)
    assert double.info.method.endswith("float64")
    assert single.info.method.endswith("float32")
    assert single.genes == double.genes
    np.testing.assert_allclose(single.values, double.values, rtol=1e-5)
    np.testing.assert_allclose(single.gains, double.gains, atol=1e-6 * double.values[-1])


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_second_design_of_the_same_shapes_compiles_nothing(criterion: Criterion) -> None:
    from perturb_jax.selection.greedy import _search, knapsack, upper_bounds

    functions = (_search, upper_bounds, knapsack)
    edges = [(a, b) for a in range(6) for b in range(6) if a != b]
    for attempt in range(2):
        weights = np.random.default_rng(attempt).uniform(0.1, 1, len(edges)).tolist()
        graph = graph_with(6, edges, weights)
        chosen: Options = {"noise": 1.0 + attempt, "hops": 1 + attempt, "selected": [f"G{attempt}"]}
        pj.graphdesign(graph, None, 3, criterion, **chosen)
        pj.graphdesign(graph, None, 3.0, criterion, costs={"G3": 0.9, "G4": 1.0 + attempt / 8}, **chosen)
        if attempt == 0:
            compiled = [compilations(function) for function in functions]
    assert [compilations(function) for function in functions] == compiled


GRAPH = graph_of(4, [(0, 1), (1, 2)])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"budget": 0}, "budget: expected a whole number of at least 1, got 0"),
        ({"budget": -2}, "budget: expected a whole number of at least 1, got -2"),
        ({"budget": 1.5}, "budget: expected a whole number of at least 1, got 1.5"),
        ({"budget": True}, "budget: expected a whole number of at least 1, got True"),
        ({"budget": 5}, "budget: .* only 4 candidates can be picked"),
        ({"budget": 4, "selected": ["G0"]}, "budget: .* only 3 candidates can be picked"),
        ({"budget": 1, "candidates": []}, "only 0 candidates can be picked"),
        ({"budget": 0, "costs": {}}, "budget: expected a number above 0, what the picks may cost together, got 0"),
        ({"budget": True, "costs": {}}, "budget: expected a number above 0"),
        ({"budget": np.inf, "costs": {}}, "budget: expected a number above 0"),
        ({"budget": np.nan, "costs": {}}, "budget: expected a number above 0"),
        ({"budget": 0.5, "costs": {"G1": 0.75}}, "budget: 0.5 buys nothing: the cheapest candidate costs 0.75"),
        ({"costs": {}, "candidates": ["G0"], "selected": ["G0"]}, "buys nothing: no candidate can be picked"),
        ({"hops": 0}, "hops: expected a whole number of at least 1, got 0"),
        ({"noise": 0.0}, "noise: expected a number above 0 .*, got 0.0"),
        ({"noise": -1.0}, "noise: expected a number above 0 .*, got -1.0"),
        ({"noise": np.nan}, "noise: expected a number above 0 .*, got nan"),
        ({"noise": np.inf}, "noise: expected a number above 0 .*, got inf"),
        ({"noise": True}, "noise: expected a number above 0 .*, got True"),
        ({"seed": -1}, "seed: expected a whole number of at least 0, got -1"),
        ({"targets": []}, "targets: expected at least one gene, got none"),
        ({"targets": {}}, "targets: expected at least one gene, got none"),
        ({"targets": {"G0": 0, "G1": 0.0}}, "targets: expected a weight above 0 for at least one target, got 0 for"),
        ({"targets": {"G0": -1.0}}, "targets: expected a finite number of at least 0 for G0, got -1.0"),
        ({"targets": {"G0": np.nan}}, "targets: expected a finite number of at least 0 for G0, got nan"),
        ({"targets": {"G0": np.inf}}, "targets: expected a finite number of at least 0 for G0, got inf"),
        ({"targets": {"G0": True}}, "targets: expected a finite number of at least 0 for G0, got True"),
        ({"targets": ["X"]}, "not in the graph: 'X'"),
        ({"targets": {"X": 1}}, "not in the graph: 'X'"),
        ({"targets": ["G0", "G0"]}, "given more than once: G0"),
        ({"targets": {"G0+G1": 1, "G1+G0": 1}}, "are the same perturbation"),
        ({"costs": {"G0": 0}}, "costs: expected a finite number above 0 for G0, got 0"),
        ({"costs": {"G0": -1.0}}, "costs: expected a .*number .* 0 for G0, got -1.0"),
        ({"costs": {"G0": np.nan}}, "costs: expected a .*number .* 0 for G0, got nan"),
        ({"costs": {"G0": True}}, "costs: expected a .*number .* 0 for G0, got True"),
        ({"costs": {"X": 1}}, "not in the graph: 'X'"),
        ({"candidates": ["X"]}, "not in the graph: 'X'"),
        ({"candidates": ["G0", "G0"]}, "given more than once: G0"),
        ({"candidates": ["G0+G0"]}, "names one gene twice"),
        ({"candidates": ["G0+"]}, "malformed combination"),
        ({"selected": ["X"]}, "not in the graph: 'X'"),
        ({"selected": ["G0", "G0"]}, "given more than once: G0"),
    ],
    ids=str,
)
def test_what_cannot_be_used(chosen: Options, message: str) -> None:
    options: Options = {"candidates": None, "budget": 1} | chosen
    with pytest.raises(pj.InputError, match=message):
        pj.graphdesign(GRAPH, **options)


@pytest.mark.parametrize("criterion", ["variance", "information", "facility"])
@pytest.mark.parametrize("largest", [4096, 0])
def test_a_matrix_is_designed_for_as_the_graph_that_it_is_of(criterion: Criterion, largest: int) -> None:
    graph = scattered_graph(4, 30, 200)
    raw = pj.GraphKernel(graph, 2, "both", normalize=False)
    given: Options = {"targets": {"G3": 2.0, "G9": 1.0, "G1+G2": 1.0}, "selected": ["G8", "G4+G5"], "noise": 0.5}
    expected = pj.graphdesign(graph, None, 6, criterion, hops=2, direction="both", **given)
    kernels = [
        pj.GraphKernel(graph, 2, "both"),
        pj.DenseKernel(graph.genes, raw.matrix()),
        0.25 * pj.GraphKernel(graph, 2, "both") + 0.75 * pj.DenseKernel(graph.genes, raw.matrix()),
    ]
    with patch.object(criteria, "_LARGEST_BLOCK", largest):
        for kernel in kernels:
            picks = pj.graphdesign(kernel, None, 6, criterion, **given)
            assert picks.genes == expected.genes
            np.testing.assert_allclose(picks.values, expected.values, rtol=1e-9)


def test_genes_that_one_source_alone_knows_are_candidates_of_the_sum() -> None:
    graph = graph_of(4, [(0, 1), (0, 2)])
    other = pj.DenseKernel(["X", "Y", "G3"], [[1, 0.9, 0.5], [0.9, 1, 0.5], [0.5, 0.5, 1]])
    picks = pj.graphdesign(0.5 * pj.GraphKernel(graph) + 0.5 * other, None, 6)
    assert sorted(picks.genes) == ["G0", "G1", "G2", "G3", "X", "Y"]


def test_what_a_kernel_cannot_be_used_for() -> None:
    kernel = pj.DenseKernel(["A", "B"], [[1, 0.5], [0.5, 1]])
    with pytest.raises(pj.InputError, match="matrix kernel has no features of at least 0; use a graph"):
        pj.graphdesign(kernel, None, 1, "soft")
    with pytest.raises(pj.InputError, match="hops, weighted: only for a graph"):
        pj.graphdesign(kernel, None, 1, hops=2, weighted=False)
    with pytest.raises(pj.InputError, match="1 gene not in the kernel: 'C'"):
        pj.graphdesign(kernel, ["C"], 1)
