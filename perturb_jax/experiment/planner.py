"""What can be done next: a pure function of what is known already, from which progress and results are read too."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, Protocol, runtime_checkable

from perturb_jax.experiment.file import PURPOSES, Experiment, Purpose, seed_for
from perturb_jax.experiment.sources import Sources
from perturb_jax.experiment.work import Choice, Preparation, Training, Work
from perturb_jax.screen.split import choose_test, remaining
from perturb_jax.strategies.strategy import parts_of
from perturb_jax.support.errors import InputError


class Chain(NamedTuple):
    """What is done cycle after cycle: labels of the file, and the repetition."""

    data: str
    predictor: str
    strategy: str
    seed: int


@runtime_checkable
class Known(Protocol):
    """What is there."""

    def perturbations(self, work: Preparation) -> tuple[str, ...] | None:
        """Those of the screen that the graph knows; None while it is not prepared."""
        ...

    def picks(self, work: Choice) -> tuple[str, ...] | None:
        """What was selected; None while nothing is."""
        ...

    def has_run(self, work: Training) -> bool:
        """Whether the run is finished."""
        ...


class Cycle(NamedTuple):
    """One cycle of a chain, as far as it is known.

    Attributes:
        number: from 1.
        picks: selected in this cycle, in order.
        choice: which selected them; None but in the first cycle that it selected for.
        training: the run.
        done: whether it is finished.
    """

    number: int
    picks: tuple[str, ...]
    choice: Choice | None
    training: Training
    done: bool


class Walk(NamedTuple):
    """How far a chain is.

    Attributes:
        cycles: those whose perturbations are selected.
        wanted: work that can be done now; empty where the chain is finished.
    """

    cycles: tuple[Cycle, ...]
    wanted: tuple[Work, ...]


def chains_of(experiment: Experiment) -> Iterator[Chain]:
    """All chains: by repetition, so that whole repetitions come in first."""
    for seed in experiment.table.seeds:
        for data in experiment.table.data:
            for strategy, named in experiment.strategies.items():
                for predictor in named.predictors:
                    yield Chain(data, predictor, strategy, seed)


def preparation_of(experiment: Experiment, sources: Sources, chain: Chain) -> Preparation:
    """The screen and graph of a chain."""
    data = experiment.table.data[chain.data]
    seed = None if data.simulation is None else _seed(experiment, chain, "data")
    found = sources.of(chain.data)
    return Preparation(data, experiment.table.graph, seed, found.checksums, found.paths)


def walk(experiment: Experiment, sources: Sources, chain: Chain, known: Known) -> Walk:
    """Follow a chain as far as it is known.

    Cycles in a row in which the strategy reads no view are selected together; a cycle in which it reads one needs the
    run of the cycle before.

    Raises:
        InputError: fewer perturbations than the experiment selects and tests.
    """
    table, strategy = experiment.table, experiment.strategies[chain.strategy].strategy
    preparation = preparation_of(experiment, sources, chain)
    names = known.perturbations(preparation)
    if names is None:
        return Walk((), (preparation,))
    split_seed, training_seed = (_seed(experiment, chain, purpose) for purpose in ("split", "training"))
    test = _test_of(names, table.test, split_seed)
    budget, candidates = table.cycles * table.batch, len(names) - len(test)
    if budget > candidates:
        raise InputError(
            f"data.{chain.data}: {table.cycles} cycles of {table.batch} are {budget} perturbations, and there are "
            f"{candidates} that are not held out; select fewer"
        )
    effect = any("effect" in _parts(experiment, label) for label in experiment.strategies)
    cycles: list[Cycle] = []
    wanted: list[Work] = []
    selected: tuple[str, ...] = ()
    while len(cycles) < table.cycles:
        first = len(cycles)
        parts = parts_of(strategy, first)
        if parts and not cycles[-1].done:
            break  # its run is wanted already
        together = first + 1
        while not parts and together < table.cycles and not parts_of(strategy, together):
            together += 1
        seed = _seed(experiment, chain, "selection", first)
        run = cycles[-1].training if parts else None
        choice = Choice(
            preparation, strategy, test, selected, (together - first) * table.batch, seed, tuple(parts), run
        )
        picks = known.picks(choice)
        if picks is None:
            wanted.append(choice)
            break
        for number in range(first, together):
            part = picks[(number - first) * table.batch : (number + 1 - first) * table.batch]
            selected += part
            training = Training(
                preparation, experiment.predictors[chain.predictor], tuple(sorted(selected)), test, table.validation,
                split_seed, training_seed, effect, experiment.metrics,
            )  # fmt: skip
            done = known.has_run(training)
            wanted += [] if done else [training]
            cycles.append(Cycle(number + 1, part, choice if number == first else None, training, done))
    return Walk(tuple(cycles), tuple(wanted))


@lru_cache(256)
def _test_of(names: tuple[str, ...], size: int | float, seed: int) -> tuple[str, ...]:
    test = choose_test(names, size, seed)
    assert len(remaining(names, test)) == len(names) - len(test)
    return test


def _parts(experiment: Experiment, label: str) -> set[str]:
    strategy = experiment.strategies[label].strategy
    return {part for cycle in range(experiment.table.cycles) for part in parts_of(strategy, cycle)}


def _seed(experiment: Experiment, chain: Chain, purpose: Purpose, cycle: int = 0) -> int:
    assert purpose in PURPOSES
    return seed_for(purpose, 0 if purpose in experiment.table.fixed else chain.seed, cycle)
