"""The planner: what is asked for when, what is shared, and what each identity depends on."""

from dataclasses import replace
from typing import Any

import pytest

from perturb_jax.experiment.file import PURPOSES, Experiment, Sources, experiment_of, seed_for
from perturb_jax.experiment.planner import Chain, Choice, Preparation, Training, Work, chains_of, preparation_of, walk
from perturb_jax.strategies.baselines import Random
from perturb_jax.strategies.graphreach import GraphReach
from perturb_jax.strategies.registry import Hybrid
from perturb_jax.support.errors import InputError
from tests.experiment.grids import SIMULATION, Largest, tables, with_strategy

NAMES = tuple(f"G{number:02d}" for number in range(24))
SOURCES = Sources({"sim": {}}, {})


class Pretended:
    """`Known` in memory, with picks that are the first candidates."""

    def __init__(self) -> None:
        self.done: set[str] = set()

    def perturbations(self, work: Preparation) -> tuple[str, ...] | None:
        return NAMES if work.digest in self.done else None

    def picks(self, work: Choice) -> tuple[str, ...] | None:
        free = [name for name in NAMES if name not in {*work.test, *work.selected}]
        return tuple(free[: work.batch]) if work.digest in self.done else None

    def holds(self, work: Training) -> bool:
        return work.digest in self.done


def rounds(experiment: Experiment, chain: Chain) -> list[tuple[Work, ...]]:
    """What is wanted, all of it done at once, until nothing is."""
    known, found = Pretended(), []
    while wanted := walk(experiment, SOURCES, chain, known).wanted:
        found.append(wanted)
        known.done |= {work.digest for work in wanted}
    return found


def test_a_one_shot_strategy_is_asked_once_and_its_trainings_are_independent() -> None:
    asked = rounds(experiment_of(tables(cycles=3)), Chain("sim", "graph-gp", "random", 0))
    assert [[work.kind for work in one] for one in asked] == [["data"], ["selections"], ["runs"] * 3]
    (choice,) = asked[1]
    assert isinstance(choice, Choice)
    assert (choice.batch, choice.selected, choice.run) == (12, (), None)
    sizes = [len(work.selected) for work in asked[2] if isinstance(work, Training)]
    assert sizes == [4, 8, 12]


def test_a_model_based_strategy_waits_for_the_run_of_the_cycle_before() -> None:
    experiment = with_strategy(experiment_of(tables(cycles=3)), "large", Largest())
    asked = rounds(experiment, Chain("sim", "graph-gp", "large", 0))
    kinds = ["data", "selections", "runs", "selections", "runs", "selections", "runs"]
    assert [[work.kind for work in one] for one in asked] == [[kind] for kind in kinds]
    second, run = asked[3][0], asked[2][0]
    assert isinstance(second, Choice)
    assert (second.run, second.batch, second.parts, len(second.selected)) == (run, 4, ("embedding",), 4)


def test_a_hybrid_is_asked_for_its_first_cycles_together() -> None:
    hybrid = Hybrid(GraphReach(), 2, Largest())
    experiment = with_strategy(experiment_of(tables(cycles=4)), "hybrid", hybrid)
    asked = rounds(experiment, Chain("sim", "graph-gp", "hybrid", 0))
    batches = [work.batch for one in asked for work in one if isinstance(work, Choice)]
    assert batches == [8, 4, 4]
    assert [len(one) for one in asked] == [1, 1, 2, 1, 1, 1, 1]


def test_equal_training_sets_are_one_run_and_picks_are_divided_in_order() -> None:
    experiment = with_strategy(experiment_of(tables()), "hybrid", Hybrid(Random(), 1, Largest()))
    known = Pretended()
    walks = {}
    for label in ("random", "graphreach", "hybrid"):
        chain = Chain("sim", "graph-gp", label, 0)
        while wanted := walk(experiment, SOURCES, chain, known).wanted:
            known.done |= {work.digest for work in wanted}
        walks[label] = walk(experiment, SOURCES, chain, known)
    runs = [[cycle.training for cycle in found.cycles] for found in walks.values()]
    assert runs[0] == runs[1] == runs[2], "the pretended picks are the same"
    assert [cycle.number for cycle in walks["random"].cycles] == [1, 2]
    assert walks["random"].cycles[0].choice is not None
    assert walks["random"].cycles[1].choice is None
    assert walks["hybrid"].cycles[1].choice is not None
    picks = [name for cycle in walks["random"].cycles for name in cycle.picks]
    assert len(set(picks)) == 8
    assert set(picks).isdisjoint(walks["random"].cycles[0].training.test)


def trainings(**changes: Any) -> list[Work]:
    experiment = experiment_of(tables(**changes))
    return [work for chain in chains_of(experiment) for work in rounds(experiment, chain)[-1]]


def test_what_is_fixed_has_one_seed_in_all_repetitions() -> None:
    assert len({*trainings(strategies={"random": {}}, predictors={"graph-gp": {}})}) == 4
    fixed = trainings(strategies={"random": {}}, predictors={"graph-gp": {}}, fixed=["data", "split", "training"])
    assert len({*fixed}) == 2, "the pretended picks do not depend on the seed of selection"
    assert len({seed_for(purpose, seed, cycle) for purpose in PURPOSES for seed in (0, 1) for cycle in (0, 1)}) == 16


def test_more_seeds_strategies_or_predictors_leave_the_runs_as_they_are() -> None:
    few = {*trainings()}
    many = {*trainings(seeds=3, strategies={"random": {}, "k-center": {}}, name="other", predictors={
        "training-mean": {}, "graph-gp": {}, "control-mean": {}})}  # fmt: skip
    assert few < many


WORK = next(work for work in trainings() if isinstance(work, Training))
CHANGES: dict[str, dict[str, Any]] = {
    "selected": {"selected": WORK.selected[1:]},
    "test": {"test": WORK.test[1:]},
    "split": {"split_seed": 1},
    "training": {"training_seed": 1},
    "validation": {"validation": 0.2},
    "predictor": {"predictor": experiment_of(tables()).predictors["graph-gp"]},
    "setting": {"predictor": experiment_of(tables(predictors={"graph-gp": {"hops": 2}})).predictors["graph-gp"]},
    "data": {"preparation": replace(WORK.preparation, seed=5)},
    "graph": {
        "preparation": replace(
            WORK.preparation, graph=experiment_of(tables(graph={"neighbors": 5})).table.graph
        )
    },
    "effect": {"effect": True},
}  # fmt: skip


def test_an_identity_depends_on_everything_that_the_result_does() -> None:
    digests = {name: replace(WORK, **change).digest for name, change in CHANGES.items()}
    assert len({*digests.values(), WORK.digest}) == len(CHANGES) + 1
    assert replace(WORK).digest == WORK.digest
    renamed = replace(WORK.predictor.predictor, name="another name in tables")  # type: ignore[type-var]
    assert replace(WORK, predictor=WORK.predictor._replace(predictor=renamed)).digest == WORK.digest


def test_a_file_is_what_it_holds_wherever_it_is() -> None:
    digests = []
    for path, checksum in (("a.h5ad", "1"), ("b/a.h5ad", "1"), ("a.h5ad", "2")):
        experiment = experiment_of(tables(data={"sim": {"screen": path}}))
        sources = Sources({"sim": {"data.screen": checksum}}, {})
        digests.append(preparation_of(experiment, sources, Chain("sim", "graph-gp", "random", 0)).digest)
    assert digests[0] == digests[1] != digests[2]


def test_more_than_there_is_cannot_be_selected() -> None:
    experiment = experiment_of(tables(cycles=6))
    known, chain = Pretended(), Chain("sim", "graph-gp", "random", 0)
    known.done.add(preparation_of(experiment, SOURCES, chain).digest)
    with pytest.raises(InputError, match=r"data\.sim: 6 cycles of 4 are 24 perturbations, and there are 20"):
        walk(experiment, SOURCES, chain, known)


def test_the_seed_of_files_is_not_part_of_what_they_are() -> None:
    raw = tables(data={"sim": {"screen": "a.h5ad"}, "other": {"simulation": SIMULATION}})
    experiment, sources = experiment_of(raw), Sources({"sim": {"data.screen": "1"}, "other": {}}, {})
    chains = [Chain(data, "graph-gp", "random", seed) for data in ("sim", "other") for seed in (0, 1)]
    assert len({preparation_of(experiment, sources, chain) for chain in chains}) == 3
