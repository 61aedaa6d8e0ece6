"""Slow references of GraphDesign in dense float64 NumPy, from the definitions, without the package's code.

And what their tests have in common: random weighted graphs, and an objective's path along an order of candidates.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

import perturb_jax as pj
from perturb_jax.graph.knowledge_graph import make_graph
from perturb_jax.selection.greedy import Objective

Genes = tuple[int, ...]
Value = Callable[[Sequence[int]], float]

SAME = 1e-9  # gains that differ by less than this fraction of the best are a tie
ROUNDING = 1e-14  # and so are gains that are 0 but for rounding

NODES, EDGES = 9, 26


def dense_gcn_norm(graph: pj.KnowledgeGraph, direction: str, weighted: bool) -> np.ndarray:
    """P [reader, read] entry by entry, for a graph that has each edge once."""
    nodes = graph.num_nodes
    adjacency = np.zeros((nodes, nodes))
    for sender, receiver, weight in zip(
        graph.senders.tolist(), graph.receivers.tolist(), graph.weights.tolist(), strict=True
    ):
        adjacency[receiver, sender] = weight if weighted else 1.0
    if direction == "both":
        for a in range(nodes):
            for b in range(a):
                adjacency[a, b] = adjacency[b, a] = max(adjacency[a, b], adjacency[b, a])
    for node in range(nodes):
        if adjacency[node, node] == 0:
            adjacency[node, node] = 1.0
    degrees = [sum(row) for row in adjacency.tolist()]
    half = np.diag([degree**-0.5 for degree in degrees])
    normalized = half @ adjacency @ half
    return normalized.T if direction == "out" else normalized


class DenseDesign(NamedTuple):
    """A design problem with everything written out.

    Attributes:
        kernel: the prior covariance [candidates + targets, candidates + targets].
        reads: p [candidates, nodes], rows of P^k scaled to maximum 1.
        weights: of the targets.
        noise: in the units of the kernel.
        before: candidates that count as picked.
    """

    kernel: np.ndarray
    reads: np.ndarray
    weights: np.ndarray
    noise: float
    before: tuple[int, ...] = ()

    def __repr__(self) -> str:
        shape = f"{len(self.candidates)} candidates, {len(self.targets)} targets"
        return f"DenseDesign({shape}, noise={self.noise}, before={self.before})"

    @property
    def candidates(self) -> range:
        return range(len(self.reads))

    @property
    def targets(self) -> range:
        return range(len(self.reads), len(self.kernel))

    def posterior(self, picks: Sequence[int]) -> np.ndarray:
        """C of candidates and targets given some picks, by a direct solve."""
        picks = [*self.before, *picks]
        measured = self.kernel[np.ix_(picks, picks)] + self.noise * np.eye(len(picks))
        return self.kernel - self.kernel[:, picks] @ np.linalg.solve(measured, self.kernel[picks])

    def informs(self, picks: Sequence[int]) -> np.ndarray:
        """B_vv of every candidate: the sum over targets of w_t C_vt^2."""
        of_targets = self.posterior(picks)[: len(self.reads), len(self.reads) :]
        return of_targets**2 @ self.weights

    def variance(self, picks: Sequence[int]) -> float:
        """The fraction of the targets' prior variance that is explained."""
        picks, first = [*self.before, *picks], len(self.reads)
        prior, covariance = np.diag(self.kernel)[first:], self.kernel[picks, first:]
        measured = self.kernel[np.ix_(picks, picks)] + self.noise * np.eye(len(picks))
        explained = (covariance * np.linalg.solve(measured, covariance)).sum(0)
        return float(self.weights @ explained / (self.weights @ prior))

    def information(self, picks: Sequence[int]) -> float:
        """The log-determinant, in nats."""
        picks = [*self.before, *picks]
        sign, value = np.linalg.slogdet(np.eye(len(picks)) + self.kernel[np.ix_(picks, picks)] / self.noise)
        assert sign == 1
        return float(value)

    def facility(self, picks: Sequence[int]) -> float:
        """How similar targets are to their nearest pick."""
        picks = [*self.before, *picks]
        nearest = self.kernel[picks, len(self.reads) :].max(0, initial=0)
        return float(self.weights @ nearest / self.weights.sum())

    def soft(self, picks: Sequence[int]) -> float:
        """The expected number of nodes covered."""
        return float((1 - np.prod(1 - self.reads[[*self.before, *picks]], axis=0)).sum())

    def value(self, criterion: str) -> Value:
        """The set function of a criterion."""
        return {
            "variance": self.variance,
            "information": self.information,
            "facility": self.facility,
            "soft": self.soft,
        }[criterion]


def dense_design(
    graph: pj.KnowledgeGraph,
    candidates: Sequence[Genes],
    targets: Sequence[Genes],
    weights: Sequence[float] | None = None,
    hops: int = 1,
    noise: float = 2.0,
    normalize: bool = True,
    direction: str = "in",
    weighted: bool = True,
    before: Iterable[int] = (),
) -> DenseDesign:
    """The problem that `graphdesign` solves; perturbations are tuples of node numbers."""
    power = np.linalg.matrix_power(dense_gcn_norm(graph, direction, weighted), hops)
    features = np.array([sum(power[gene] for gene in genes) for genes in [*candidates, *targets]])
    reads = features[: len(candidates)] / features[: len(candidates)].max(1, keepdims=True)
    if normalize:
        features = np.array([row / np.sqrt(row @ row) for row in features])
    kernel = features @ features.T
    worth = np.ones(len(targets)) if weights is None else np.array(weights, float)
    mean_prior = worth @ np.diag(kernel)[len(candidates) :] / worth.sum()
    return DenseDesign(kernel, reads, worth, noise * float(mean_prior), tuple(before))


class DesignRun(NamedTuple):
    """What a greedy design did."""

    picks: list[int]
    gains: list[float]
    values: list[float]


def first_best_by_definition(gains: Mapping[int, float]) -> int:
    """The candidate with the largest gain; among equals the one that is listed first."""
    best = max(gains.values())
    return next(v for v, gain in gains.items() if gain >= best - SAME * abs(best) - ROUNDING)


def greedy_design(value: Value, candidates: Iterable[int], budget: int) -> DesignRun:
    """Greedy by the definition: every gain is a difference of two values."""
    left, run = list(candidates), DesignRun([], [], [])
    for _ in range(budget):
        now = value(run.picks)
        gains = {v: value([*run.picks, v]) - now for v in left}
        pick = first_best_by_definition(gains)
        left.remove(pick)
        run.picks.append(pick)
        run.gains.append(gains[pick])
        run.values.append(now + gains[pick])
    return run


def best_design(value: Value, candidates: Iterable[int], budget: int) -> float:
    """The best value of any `budget` candidates, by trying all of them."""
    return max(value(picks) for picks in combinations(candidates, budget))


def best_affordable(value: Value, costs: Sequence[float], budget: float) -> float:
    """The best value of any candidates that cost at most `budget` together, by trying all sets."""
    everyone = range(len(costs))
    sets = (picks for size in range(len(costs) + 1) for picks in combinations(everyone, size))
    return max(value(picks) for picks in sets if sum(costs[v] for v in picks) <= budget)


@st.composite
def weighted_graphs(draw: st.DrawFn) -> pj.KnowledgeGraph:
    """Weighted directed graphs of `NODES` genes, some with self-loops: P always has `EDGES` + `NODES` entries."""
    pairs = [(a, b) for a in range(NODES) for b in range(NODES) if a != b]
    edges = draw(st.lists(st.sampled_from(pairs), min_size=EDGES, max_size=EDGES, unique=True))
    edges += [(node, node) for node in sorted(draw(st.sets(st.integers(0, NODES - 1))))]
    weights = draw(st.lists(st.floats(0.05, 1), min_size=len(edges), max_size=len(edges)))
    return graph_with(NODES, edges, weights)


def scattered_graph(seed: int, num_nodes: int, num_edges: int) -> pj.KnowledgeGraph:
    """A graph of `num_edges` edges anywhere, and some self-loops: P always has `num_edges` + `num_nodes` entries."""
    rng = np.random.default_rng(seed)
    numbers = rng.choice(num_nodes * (num_nodes - 1), num_edges, replace=False)
    senders, offsets = np.divmod(numbers, max(1, num_nodes - 1))
    edges = list(zip(senders.tolist(), ((senders + 1 + offsets) % num_nodes).tolist(), strict=True))
    edges += [(node, node) for node in range(num_nodes) if rng.random() < 0.3]
    return graph_with(num_nodes, edges, rng.uniform(0.05, 1, len(edges)).tolist())


def graph_with(num_nodes: int, edges: Sequence[tuple[int, int]], weights: Sequence[float]) -> pj.KnowledgeGraph:
    """A graph of genes G0, G1, ... with these edges source -> target."""
    senders, receivers = np.array(edges, np.int32).reshape(-1, 2).T
    return make_graph(senders, receivers, np.array(weights, float), [f"G{i}" for i in range(num_nodes)])


class Path(NamedTuple):
    """What an objective says before the first candidate of an order, and after each.

    Attributes:
        values: the objective.
        gains: of all candidates.
        gain: of the one that comes next, by itself.
    """

    values: np.ndarray
    gains: np.ndarray
    gain: np.ndarray


def path(objective: Objective, order: Sequence[int]) -> Path:
    """Add candidates in order."""
    return Path(*(np.asarray(part) for part in _path(objective, jnp.asarray(order))))


@jax.jit
def _path(objective: Objective, order: jax.Array) -> tuple[jax.Array, ...]:
    def step(state: object, v: jax.Array) -> tuple[object, tuple[jax.Array, ...]]:
        report = objective.value(state), objective.gains(state), objective.gain(state, v)
        return objective.update(state, v), report

    state, (values, gains, gain) = jax.lax.scan(step, objective.init(), order)
    return jnp.append(values, objective.value(state)), jnp.vstack([gains, objective.gains(state)]), gain


CANDIDATES: list[Genes] = [*((node,) for node in range(NODES)), (0, 1), (1, 2, 3)]
TARGETS: list[Genes] = [*((node,) for node in range(NODES)), (2, 5)]


@st.composite
def dense_designs(draw: st.DrawFn, least_noise: float = 0.01) -> DenseDesign:
    """Problems with the candidates `CANDIDATES` and the targets `TARGETS`; the kernel has no full rank."""
    worth = st.just(0.0) | st.floats(0.1, 3)
    return dense_design(
        draw(weighted_graphs()),
        CANDIDATES,
        TARGETS,
        [1.0, *draw(st.lists(worth, min_size=len(TARGETS) - 1, max_size=len(TARGETS) - 1))],
        hops=draw(st.integers(1, 3)),
        noise=draw(st.floats(np.log(least_noise), np.log(10)).map(np.exp)),
        normalize=draw(st.booleans()),
        direction=draw(st.sampled_from(["in", "out", "both"])),
        weighted=draw(st.booleans()),
        before=(4, 9),
    )
