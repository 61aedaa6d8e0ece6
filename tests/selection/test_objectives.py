"""The contract of `Objective`: every objective is held to what it states, and all machines make the same picks."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.graph.operator import Edges, gcn_norm, message_passing
from perturb_jax.graph.reach import reach_mask
from perturb_jax.selection.coverage import coverage
from perturb_jax.selection.greedy import Objective, greedy
from perturb_jax.selection.spectral import Spectral
from tests.design_oracles import CANDIDATES, NODES, TARGETS, dense_design, path, scattered_graph
from tests.selection import test_criteria

COUNT = len(CANDIDATES)
SEEDS = range(5)
LABELS = ["+".join(f"G{node}" for node in genes) for genes in CANDIDATES]
MEMBERS = np.array([[*genes, -1, -1][:3] for genes in CANDIDATES], np.int32)


class Stated(NamedTuple):
    """What an objective must state, and how to make one.

    Attributes:
        make: from a seed.
        monotone: as `Properties`.
        submodular: as `Properties`.
        lazy: as `Properties`.
        double: whether it is computed in double precision.
        score: whether a gain is the objective itself (its negative), not a difference.
    """

    make: Callable[[int], Objective]
    monotone: bool
    submodular: bool
    lazy: bool
    double: bool = False
    score: bool = False

    def precision(self) -> AbstractContextManager[None]:
        return jax.enable_x64(True) if self.double else nullcontext()

    @property
    def slack(self) -> float:
        return 1e-12 if self.double else 2e-5 if self.score else 0.0


def graph_of_seed(seed: int) -> pj.KnowledgeGraph:
    return scattered_graph(seed, NODES, 14)


def batch_of_seed(seed: int) -> pj.GraphBatch:
    return pj.edge_dropout(graph_of_seed(seed), 0.3, 3, jax.random.key(seed))


def covering(seed: int) -> Objective:
    return coverage(reach_mask(graph_of_seed(seed), MEMBERS, 1, "in"))


def covering_weighted(seed: int) -> Objective:
    rng = np.random.default_rng(seed)
    weights, counts = (jnp.asarray(rng.integers(0, most, NODES), jnp.int32) for most in (9, 3))
    return coverage(reach_mask(graph_of_seed(seed), MEMBERS, 2, "out"), weights, counts)


def covering_many(seed: int) -> Objective:
    return coverage(reach_mask(batch_of_seed(seed), MEMBERS, 1, "both"))


def norm(renormalize: bool = False, sense: Literal["min", "max"] = "min") -> Callable[[int], Objective]:
    def make(seed: int) -> Objective:
        operator = message_passing(graph_of_seed(seed))
        operator = operator if renormalize else gcn_norm(operator)
        mask = reach_mask(graph_of_seed(seed), MEMBERS, 1, "in")
        return Spectral(mask, Edges.of(operator), jnp.zeros(NODES, bool), renormalize, sense)

    return make


def designed(criterion: str) -> Callable[[int], Objective]:
    def make(seed: int) -> Objective:
        design = dense_design(scattered_graph(seed, NODES, 26), CANDIDATES, TARGETS, noise=0.5, hops=1 + seed % 2)
        return test_criteria.objective(design, criterion)

    return make


OBJECTIVES = {
    "coverage": Stated(covering, True, True, True),
    "coverage, weighted, begun": Stated(covering_weighted, True, True, True),
    "mean coverage": Stated(covering_many, True, True, True),
    "spectral norm": Stated(norm(), True, False, True, score=True),
    "renormalised norm": Stated(norm(renormalize=True), False, False, False, score=True),
    "largest norm": Stated(norm(sense="max"), False, False, False, score=True),
    "explained variance": Stated(designed("variance"), True, False, False, double=True),
    "information": Stated(designed("information"), True, True, True, double=True),
    "facility location": Stated(designed("facility"), True, True, True, double=True),
    "soft coverage": Stated(designed("soft"), True, True, True, double=True),
}
every_objective = pytest.mark.parametrize("stated", OBJECTIVES.values(), ids=OBJECTIVES)


def made(stated: Stated) -> Iterator[tuple[Objective, list[int]]]:
    """Objectives, each with an order of all candidates."""
    for seed in SEEDS:
        yield stated.make(seed), np.random.default_rng(seed).permutation(COUNT).tolist()


@every_objective
def test_it_is_monotone_submodular_and_lazy_as_it_states(stated: Stated) -> None:
    with stated.precision():
        for objective, order in made(stated):
            properties = objective.properties
            assert (properties.monotone, properties.submodular, properties.lazy) == stated[1:4]
            along = path(objective, order)
            if stated.monotone:
                assert (np.diff(along.values) >= -stated.slack).all()
            if stated.submodular or stated.lazy:  # of a lazy one a stale gain bounds the fresh one
                assert (np.diff(along.gains, axis=0) <= stated.slack).all()


@every_objective
def test_a_gain_is_the_difference_of_two_values(stated: Stated) -> None:
    with stated.precision():
        for objective, order in made(stated):
            along = path(objective, order)
            next_one = along.gains[np.arange(COUNT), order]
            rises = np.abs(along.values[1:]) if stated.score else np.diff(along.values)
            np.testing.assert_allclose(along.gain, next_one, rtol=2e-5 if stated.score else 1e-12, atol=1e-12)
            np.testing.assert_allclose(np.abs(next_one), rises, rtol=2e-5 if stated.score else 1e-8, atol=1e-12)


@every_objective
def test_lazy_greedy_makes_the_picks_of_naive_greedy_and_is_refused_elsewhere(stated: Stated) -> None:
    available = jnp.ones(COUNT, bool)
    with stated.precision():
        for objective, _ in made(stated):
            if not stated.lazy:
                with pytest.raises(pj.InputError, match="use method='naive'"):
                    greedy(objective, 2, available, "lazy")
                continue
            naive, lazy = (greedy(objective, COUNT, available, method) for method in ("naive", "lazy"))
            assert naive.picks.tolist() == lazy.picks.tolist()
            np.testing.assert_allclose(naive.gains, lazy.gains, rtol=2e-5, atol=1e-12)
            assert naive.layers.tolist() == lazy.layers.tolist()


@pytest.mark.parametrize("make", [graph_of_seed, batch_of_seed], ids=["coverage", "mean coverage"])
@pytest.mark.parametrize("seed", SEEDS)
def test_host_jit_and_mesh_make_the_same_picks_of_combinations_in_every_layer(
    make: Callable[[int], pj.KnowledgeGraph | pj.GraphBatch], seed: int
) -> None:
    graph, budget = make(seed), COUNT - 1
    mesh = jax.make_mesh((1,), ("candidates",))
    picks = [
        pj.graphreach(graph, LABELS, budget, selected=[LABELS[seed]], **on)
        for on in ({"method": "host"}, {"method": "naive"}, {"method": "lazy"}, {"mesh": mesh})
    ]
    assert picks[0].layers[-1] > 1
    for other in picks[1:]:
        assert other.genes == picks[0].genes
        for part in ("indices", "gains", "values", "layers", "bounds"):
            np.testing.assert_array_equal(getattr(other, part), getattr(picks[0], part), part)
        assert other.reachable == picks[0].reachable


@pytest.mark.parametrize("seed", SEEDS)
def test_host_and_jit_find_the_same_least_norms(seed: int) -> None:
    graph = graph_of_seed(seed)
    host, device = (pj.maxspec(graph, LABELS, 6, backend=backend) for backend in ("host", "jax"))
    assert host.genes == device.genes
    np.testing.assert_allclose(host.values, device.values, rtol=2e-5)
