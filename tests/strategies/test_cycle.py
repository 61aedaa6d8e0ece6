"""Every strategy over several cycles, through the one contract, with a predictor that is really fitted."""

from dataclasses import replace

import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.strategies.choose import choose
from perturb_jax.strategies.graphdesign import GraphDesign
from perturb_jax.strategies.registry import STRATEGIES, Hybrid, make_strategy, one_shot_names, strategy_of
from perturb_jax.strategies.strategy import Ask
from perturb_jax.strategies.view import PARTS, View, view_of
from tests.screens import small_screen
from tests.strategies.questions import GRAPH, named, pick

NAMES_OF = named(30)
SCREEN = small_screen(NAMES_OF, [f"M{i}" for i in range(12)], seed=4)
MODEL_BASED = [name for name in STRATEGIES.names if name not in (*one_shot_names(), "hybrid")]
HYBRID = {"first": "graphreach", "cycles": 2}

CASES: dict[str, tuple[str, dict[str, object]]] = {
    **{name: (name, {}) for name in STRATEGIES.names if name != "hybrid"},
    "graphreach out": ("graphreach", {"direction": "out", "hops": 2, "ties": "first"}),
    "graphdesign information": ("graphdesign", {"criterion": "information", "noise": 1}),
    "typiclust effect": ("typiclust", {"representation": "effect", "neighbors": 3}),
    "acs-fw embedding": ("acs-fw", {"representation": "embedding", "random_features": 32, "sigma": 1}),
    **{f"hybrid {then}": ("hybrid", {**HYBRID, "then": then}) for then in MODEL_BASED},
}
READING = [name for name, (strategy, _) in CASES.items() if strategy in (*MODEL_BASED, "hybrid")]

every_case = pytest.mark.parametrize("case", CASES)
every_reading_case = pytest.mark.parametrize("case", READING)


def ask(case: str, screen: pj.Screen, selected: tuple[str, ...], cycle: int, batch: int, seed: int = 0) -> Ask:
    """What the experiment asks in a cycle; where a view is read, that of the predictor fitted to what is selected."""
    parts = strategy_of(*CASES[case]).parts(cycle)
    view = None
    if parts:
        view = view_of(pj.GraphGP(hops=2).fit(screen, GRAPH, selected, (), 0), NAMES_OF, parts)
    left = tuple(name for name in NAMES_OF if name not in selected)
    return Ask.of(GRAPH, left, batch, selected, seed, view)


def chosen(case: str, screen: pj.Screen = SCREEN, seed: int = 0) -> list[tuple[str, ...]]:
    """The picks of four cycles of 6."""
    strategy, cycles = strategy_of(*CASES[case]), list[tuple[str, ...]]()
    selected: tuple[str, ...] = ()
    for cycle in range(4):
        cycles.append(choose(strategy, ask(case, screen, selected, cycle, 6, seed)).genes)
        selected = (*selected, *cycles[-1])
    return cycles


@every_case
def test_picks_are_distinct_candidates_none_selected_before_and_the_same_for_a_seed(case: str) -> None:
    cycles = chosen(case)
    picks = [gene for cycle in cycles for gene in cycle]
    assert [len(cycle) for cycle in cycles] == [6] * 4
    assert len(set(picks)) == 24
    assert set(picks) <= set(NAMES_OF)
    assert chosen(case) == cycles


@every_case
def test_outcomes_of_what_is_not_selected_change_nothing(case: str) -> None:
    cycles = chosen(case)
    selected: tuple[str, ...] = ()
    for cycle, picks in enumerate(cycles):
        hidden = np.array([name not in selected for name in SCREEN.perturbations])
        other = replace(
            SCREEN,
            mean=np.where(hidden[:, None], SCREEN.mean[::-1] * 3, SCREEN.mean),
            variance=np.where(hidden[:, None], SCREEN.variance + 7, SCREEN.variance),
        )
        question = ask(case, other, selected, cycle, 6)
        assert choose(strategy_of(*CASES[case]), question).genes == picks
        selected = (*selected, *picks)


@every_case
def test_a_batch_larger_than_the_candidates_is_refused(case: str) -> None:
    strategy = strategy_of(*CASES[case])
    selected = NAMES_OF[:20]
    for cycle in (0, 2):
        question = ask(case, SCREEN, selected, cycle, 11)
        with pytest.raises(pj.InputError, match="at most 10, got 11: only 10 candidates can be picked"):
            choose(strategy, question)
        assert len(choose(strategy, question._replace(budget=10))) == 10


@every_case
def test_candidates_that_are_selected_already_are_never_picked(case: str) -> None:
    question = ask(case, SCREEN, NAMES_OF[:20], 2, 10)._replace(candidates=Ask.of(GRAPH, NAMES_OF, 1).candidates)
    assert set(choose(strategy_of(*CASES[case]), question)) == set(NAMES_OF[20:])


@every_case
def test_a_seed_that_is_no_whole_number_from_0_is_refused(case: str) -> None:
    with pytest.raises(pj.InputError, match="seed: expected a whole number of at least 0, got -1"):
        choose(strategy_of(*CASES[case]), ask(case, SCREEN, NAMES_OF[:20], 2, 3)._replace(seed=-1))


@every_reading_case
def test_a_view_without_the_part_that_is_read_is_refused(case: str) -> None:
    strategy = strategy_of(*CASES[case])
    (part,) = strategy.parts(2)
    question = ask(case, SCREEN, NAMES_OF[:20], 2, 3)
    assert question.view is not None
    without = question._replace(view=View(NAMES_OF))
    with pytest.raises(pj.InputError, match=f"{part}: not in this view of the predictor"):
        choose(strategy, without)


@pytest.mark.parametrize("name", MODEL_BASED)
def test_a_model_based_strategy_without_a_view_says_what_to_do(name: str) -> None:
    question = Ask.of(GRAPH, NAMES_OF[5:], 3, NAMES_OF[:5], 0)
    with pytest.raises(pj.InputError, match="expected a view of a fitted predictor, got none; select the first"):
        make_strategy(name).choose(question)


@pytest.mark.parametrize("name", MODEL_BASED)
def test_the_first_cycle_is_random_s(name: str) -> None:
    assert strategy_of(name).parts(0) == ()
    assert chosen(name, seed=3)[0] == pick(make_strategy("random"), GRAPH, NAMES_OF, 6, seed=3).genes
    assert set(strategy_of(name).parts(1)) < set(PARTS)


def test_a_hybrid_is_its_first_strategy_for_its_cycles_and_then_the_other() -> None:
    cycles = chosen("hybrid typiclust", seed=2)
    first = cycles[0] + cycles[1]
    graphreach = pj.graphreach(GRAPH, NAMES_OF, 6, seed=2).genes
    assert cycles[0] == graphreach
    assert cycles[1] == pj.graphreach(GRAPH, NAMES_OF, 6, selected=graphreach, seed=2).genes
    question = ask("typiclust", SCREEN, first, 2, 6, seed=2)
    assert cycles[2] == make_strategy("typiclust").choose(question)


@pytest.mark.parametrize("case", ["random", "typiclust", "acs-fw", "typiclust effect"])
def test_other_seeds_pick_otherwise(case: str) -> None:
    question = ask(case, SCREEN, NAMES_OF[:10], 2, 6)
    strategy = strategy_of(*CASES[case])
    assert len({choose(strategy, question._replace(seed=seed)).genes for seed in range(6)}) > 1


def test_a_registry_gives_values_that_are_equal_when_their_options_are() -> None:
    once = strategy_of("hybrid", {**HYBRID, "then": "acs-fw", "then_options": {"sigma": 0.5}})
    again = strategy_of("hybrid", {**HYBRID, "then": "acs-fw", "then_options": {"sigma": 0.5}})
    assert once == again
    assert hash(once) == hash(again)
    assert strategy_of("graphdesign", {"targets": ["G1", "G2"]}) == GraphDesign(targets=("G1", "G2"))
    assert isinstance(strategy_of("hybrid", {**HYBRID, "then": "uncertainty"}), Hybrid)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("entropy", {}, "strategy: expected one of graphreach, maxspec, .*, hybrid, or FILE.py:NAME; got 'entropy'"),
        ("uncertainty", {"sigma": 1}, "sigma: no such setting; there are none"),
        ("typiclust", {"clusters": 4}, "clusters: .* expected one of representation, max_clusters, neighbors"),
        ("typiclust", {"neighbors": 0}, "neighbors: expected a whole number of at least 1, got 0"),
        ("acs-fw", {"sigma": "a"}, "sigma: expected a finite number above 0, got 'a'"),
        ("acs-fw", {"sigma": True}, "sigma: expected a finite number above 0, got True"),
        ("acs-fw", {"scale": "yes"}, "scale: expected true or false, got 'yes'"),
        ("acs-fw", {"random_features": 1.5}, "random_features: expected a whole number of at least 1, got 1.5"),
        (
            "acs-fw",
            {"representation": "state"},
            "representation: expected one of embedding, effect, features, got 'state'",
        ),
        ("graphreach", {"k": 2}, "k: no such setting; expected one of hops, direction, ties"),
        ("graphreach", {"hops": True}, "hops: expected a whole number of at least 1, got True"),
        ("graphreach", {"direction": "up"}, "direction: expected one of in, out, both, got 'up'"),
        ("maxspec", {"normalization": "none"}, "normalization: expected one of graph, subgraph, got 'none'"),
        ("maxspec", {"normalization": "subgraph", "symmetric": True}, "normalization: 'subgraph' on a symmetric graph"),
        ("maxspec", {"weighted": "yes"}, "weighted: expected true or false, got 'yes'"),
        ("graphdesign", {"criterion": "v"}, "criterion: expected one of variance, .*, got 'v'"),
        ("graphdesign", {"noise": -1}, "noise: expected a finite number above 0, got -1"),
        ("graphdesign", {"targets": "G1"}, "targets: expected a list of names, or a table of values by name, or none"),
        ("graphdesign", {"costs": {"G1": 2}}, "costs: not for several cycles"),
        ("hybrid", {"first": "random", "cycles": 1}, "then: expected a value, got none"),
        ("hybrid", {"first": "random", "cycles": 1, "then": "random"}, "then: expected one of uncertainty, .*'random'"),
        ("hybrid", {"first": "typiclust", "cycles": 1, "then": "acs-fw"}, "first: expected one of graphreach"),
        ("hybrid", {"first": "random", "cycles": 0, "then": "acs-fw"}, "cycles: expected a whole number of at least 1"),
        ("hybrid", {**HYBRID, "then": "acs-fw", "after": 1}, "after: no such setting; expected"),
        ("hybrid", {**HYBRID, "then": "acs-fw", "then_options": 3}, "then_options: expected a table of options, got 3"),
        (
            "hybrid",
            {**HYBRID, "then": "acs-fw", "first_options": {"ties": "all"}},
            "first_options: ties: expected one of rare, first, got 'all'",
        ),
        (
            "hybrid",
            {**HYBRID, "then": "acs-fw", "then_options": {"sigma": 0}},
            "then_options: sigma: expected a finite number above 0, got 0",
        ),
    ],
)
def test_what_a_config_gets_wrong_is_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(pj.InputError, match=message):
        strategy_of(name, options)
