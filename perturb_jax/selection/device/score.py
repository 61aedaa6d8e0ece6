"""Every candidate's marginal gain and spectral norm, for many selections and graphs in one call."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from perturb_jax.genes.perturbations import NO_MEMBER, parse_perturbations
from perturb_jax.graph.knowledge_graph import Direction, GraphBatch, KnowledgeGraph, as_batch
from perturb_jax.graph.operator import Edges, gcn_norm, message_passing
from perturb_jax.selection.device import bits
from perturb_jax.selection.host.coverage import coverage_on_host
from perturb_jax.selection.spectral import norm_within
from perturb_jax.support.checks import check_count
from perturb_jax.support.errors import InputError
from perturb_jax.support.loops import Backend, on_host

_SELECTIONS_AT_ONCE = 4


class Scores(NamedTuple):
    """What each candidate would add to each selection on each graph.

    Attributes:
        candidates: current gene names, or "A+B".
        gains: nodes that the candidate reaches and the selection does not.
        covered: nodes that the selection reaches.
        norms: spectral norm of GEARS' operator on what selection and candidate reach; None without `norms`.
    """

    candidates: tuple[str, ...]
    gains: Int[np.ndarray, "graphs selections candidates"]
    covered: Int[np.ndarray, "graphs selections"]
    norms: Float[np.ndarray, "graphs selections candidates"] | None


def score(
    graph: KnowledgeGraph | GraphBatch | Sequence[KnowledgeGraph],
    candidates: Iterable[str] | None = None,
    selected: Iterable[str] | Sequence[Iterable[str]] = (),
    hops: int = 1,
    direction: Direction = "in",
    *,
    norms: bool = False,
    weighted: bool = True,
    backend: Backend = "auto",
    memory: int = 2**30,
) -> Scores:
    r"""Score all candidates after each of many selections, on each of many graphs.

    The gain of v after S is |R(v) \ R(S)|, R the nodes within `hops` steps. On a device sets are 32 nodes to a word,
    and differences are counted by population count; on the host a breadth-first search from each candidate counts. The
    norm is sigma(P restricted to R(S + v)), P as for `maxspec`, to 5e-6.

    Args:
        graph: one graph, several, or a batch of `edge_dropout` or `graph_batch`.
        candidates: genes or combinations "A+B"; None: every gene.
        selected: one selection (names), or many (a list of lists of names).
        hops: as for `graphreach`.
        direction: as for `graphreach`.
        norms: also the spectral norms, which cost far more.
        weighted: norms use the edge weights; else every edge weighs 1.
        backend: "host": compiled search; "jax": bits on the default device, always used with `norms`; "auto": "host"
            where there is only a CPU. The numbers are equal.
        memory: bytes that intermediate results on a device may take: reach is computed for so many target nodes at a
            time, norms for so many candidates. Inputs (graphs x edges) and results come on top.

    Raises:
        InputError: names, hops or a direction that cannot be used; another backend; memory too small for a single
            word of each set.

    Complexity: gains on the host O(edges visited + selections x nodes visited) per graph and candidate; on a device
        O(graphs x hops x log(largest degree) x edges x nodes / 32 + graphs x selections x candidates x
        nodes / 32) word operations; norms O(iterations x edges) each. Compiled once per padded number of candidates and
        selections (at most an eighth larger than given), not again for other hops or names.

    Examples:
        >>> import pandas as pd
        >>> from perturb_jax import graph_from_edges
        >>> graph = graph_from_edges(pd.DataFrame({"source": ["A", "B"], "target": ["B", "C"], "importance": 1.0}))
        >>> score(graph, ["A", "B", "C"], [[], ["B"]]).gains.tolist()
        [[[1, 2, 2], [0, 0, 1]]]
    """
    check_count("hops", hops)
    batch = as_batch(graph)
    pool = parse_perturbations(batch.graph.names, candidates)
    before = [parse_perturbations(batch.graph.names, names).members.ravel() for names in _each(selected)]
    before = [members[members != NO_MEMBER] for members in before]
    hops = min(hops, batch.graph.num_nodes)
    if on_host(backend) and not norms:
        return Scores(pool.labels, *coverage_on_host(batch, pool.members, before, hops, direction), None)
    largest = max(map(len, before), default=0)
    filled = [np.pad(members, (0, largest - len(members)), constant_values=NO_MEMBER) for members in before]
    rows, selections = bits.pad_members(pool.members), bits.pad_members(np.stack(filled))
    walk = bits.walk_of(batch, direction)
    least = _bytes_per_word(walk, rows, selections)
    if memory < least:
        raise InputError(f"memory: expected at least {least:,} bytes for this graph and these candidates, got {memory}")
    words = max(1, min(bits.num_words(len(walk.last)), memory // least))
    graphs_at_once = max(1, min(len(batch), memory // (least * words)))
    gains, covered = _coverage(walk, hops, rows, selections, words, graphs_at_once)
    shape = np.s_[:, : len(before), : len(pool)]
    sigma = None
    if norms:
        operators = _operators(batch, weighted)
        at_once = max(1, memory // (4 * (28 * len(walk.last) + 3 * operators.weights.shape[1])))
        sigma = np.asarray(_norms(walk, hops, operators, rows, selections, words, at_once))[shape]
    return Scores(pool.labels, np.asarray(gains)[shape], np.asarray(covered)[shape[:2]], sigma)


def _each(selected: Iterable[str] | Sequence[Iterable[str]]) -> list[tuple[str, ...]]:
    given: list[Any] = [selected] if isinstance(selected, str) else list(selected)
    names = [isinstance(part, str) for part in given]
    if all(names):
        return [tuple(given)]
    if any(names):
        raise InputError("selected: expected names, or a list of lists of names, got both in one list")
    return [tuple(part) for part in given]


def _bytes_per_word(walk: bits.Walk, rows: np.ndarray, selections: np.ndarray) -> int:
    sets = rows.size + (1 + _SELECTIONS_AT_ONCE) * len(rows) + _SELECTIONS_AT_ONCE * selections.shape[1]
    return 4 * (3 * len(walk.here) + 3 * len(walk.last) + sets)


def _operators(batch: GraphBatch, weighted: bool) -> Edges:
    """P of every graph [graphs, edges], filled up with edges of weight 0."""
    each = [gcn_norm(message_passing(batch.variant(i), weighted)) for i in range(len(batch))]
    size = bits.padded(max(operator.nnz for operator in each))
    return jax.tree.map(lambda *parts: jnp.stack(parts), *(Edges.of(operator, size) for operator in each))


@partial(jax.jit, static_argnames=("words", "graphs_at_once"))
def _coverage(
    walk: bits.Walk,
    hops: int | Int[Array, ""],
    candidates: Int[Array, "candidates arity"],
    selections: Int[Array, "selections size"],
    words: int,
    graphs_at_once: int,
) -> tuple[Int[Array, "graphs selections candidates"], Int[Array, "graphs selections"]]:
    def one_graph(present: Bool[Array, " steps"]) -> tuple[Array, Array]:
        def chunk(i: Int[Array, ""], total: tuple[Array, Array]) -> tuple[Array, Array]:
            sets = bits.reach_words(walk, present, hops, i * words, words)
            rows = bits.union(sets, candidates)

            def one_selection(members: Int[Array, " size"]) -> tuple[Array, Array]:
                covered = bits.union(sets, members[None])
                return bits.count(rows & ~covered), bits.count(covered)[0]

            gains, covered = jax.lax.map(one_selection, selections, batch_size=_SELECTIONS_AT_ONCE)
            return total[0] + gains, total[1] + covered

        none = jnp.zeros((len(selections), len(candidates)), jnp.int32), jnp.zeros(len(selections), jnp.int32)
        return jax.lax.fori_loop(0, _chunks(walk, words), chunk, none)

    return jax.lax.map(one_graph, walk.present, batch_size=graphs_at_once)


@partial(jax.jit, static_argnames=("words", "at_once"))
def _norms(
    walk: bits.Walk,
    hops: int | Int[Array, ""],
    operators: Edges,
    candidates: Int[Array, "candidates arity"],
    selections: Int[Array, "selections size"],
    words: int,
    at_once: int,
) -> Float[Array, "graphs selections candidates"]:
    num_nodes = len(walk.last)

    def one_graph(graph: tuple[Array, Edges]) -> Float[Array, "selections candidates"]:
        present, operator = graph

        def chunk(i: Int[Array, ""]) -> tuple[Array, Array]:
            sets = bits.reach_words(walk, present, hops, i * words, words)
            return bits.union(sets, candidates), bits.union(sets, selections)

        def norm(covered: Array, start: Float[Array, " nodes"]) -> tuple[Array, Array]:
            return norm_within(operator, bits.unpack(covered, num_nodes), start)

        def one_selection(covered: Array) -> Float[Array, " candidates"]:
            _, vector = norm(covered, jnp.zeros(num_nodes))
            return jax.lax.map(lambda row: norm(covered | row, vector)[0], rows, batch_size=at_once)

        parts = jax.lax.map(chunk, jnp.arange(_chunks(walk, words)))
        rows, before = (jnp.moveaxis(part, 0, 1).reshape(part.shape[1], -1) for part in parts)
        return jax.lax.map(one_selection, before)

    return jax.lax.map(one_graph, (walk.present, operators))


def _chunks(walk: bits.Walk, words: int) -> int:
    return -(-bits.num_words(len(walk.last)) // words)
