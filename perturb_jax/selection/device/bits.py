"""Sets of nodes as bits, 32 to a word, and reach as bitwise "or" over edges."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

from perturb_jax.genes.perturbations import NO_MEMBER
from perturb_jax.graph.knowledge_graph import Direction, GraphBatch
from perturb_jax.graph.reach import batch_walk

WORD = 32


class Walk(NamedTuple):
    """The steps ``here -> there`` of all graphs of a batch, sorted by `here`.

    Attributes:
        here: where a step begins, rising.
        there: where it ends.
        last: for each node the position of its last step, -1 without any.
        doublings: rounds after which a node's steps are combined: the logarithm of the largest degree.
        present: which steps each graph has.
    """

    here: Int[np.ndarray | Array, " steps"]
    there: Int[np.ndarray | Array, " steps"]
    last: Int[np.ndarray | Array, " nodes"]
    doublings: int | Int[Array, ""]
    present: Bool[np.ndarray | Array, "graphs steps"]


def walk_of(batch: GraphBatch, direction: Direction) -> Walk:
    """The steps of a batch in one direction, on the host."""
    here, there, present = batch_walk(batch, direction)
    order = np.argsort(here, kind="stable")
    degrees = np.bincount(here, minlength=batch.graph.num_nodes)
    last = np.where(degrees > 0, np.cumsum(degrees) - 1, -1).astype(np.int32)
    return Walk(here[order], there[order], last, int(degrees.max(initial=1) - 1).bit_length(), present[:, order])


def num_words(num_nodes: int) -> int:
    """Words that hold a set of nodes."""
    return -(-num_nodes // WORD)


def padded(size: int) -> int:
    """The next of eight sizes per octave: at most an eighth larger, so that few shapes are ever compiled."""
    step = 1 << max(0, size.bit_length() - 4)
    return -(-size // step) * step


def pad_members(members: Int[np.ndarray, "rows arity"]) -> Int[np.ndarray, "padded_rows padded_arity"]:
    """Rows of node numbers, filled up with `NO_MEMBER` to sizes that repeat."""
    rows, arity = padded(max(1, len(members))), padded(max(1, members.shape[1]))
    padding = ((0, rows - len(members)), (0, arity - members.shape[1]))
    return np.pad(members, padding, constant_values=NO_MEMBER).astype(np.int32)


def reach_words(
    walk: Walk, present: Bool[Array, " steps"], hops: int | Int[Array, ""], first: int | Int[Array, ""], words: int
) -> UInt32[Array, "nodes words"]:
    """Which of the 32 x `words` nodes from word `first` on each node reaches within `hops` steps, itself included.

    The "or" over a node's steps is taken by doubling: after round r, a step holds the "or" of the 2^r steps before it
    that begin at the same node. That overlaps do no harm is what makes "or" special.

    Complexity: O(hops x log(largest degree) x steps x words).
    """
    num_nodes, num_steps = len(walk.last), len(walk.here)
    numbers = jnp.arange(num_nodes, dtype=jnp.int32)
    mine = (numbers // WORD - first)[:, None] == jnp.arange(words, dtype=jnp.int32)[None, :]
    bit = jnp.uint32(1) << (numbers % WORD).astype(jnp.uint32)
    start = jnp.where(mine, bit[:, None], jnp.uint32(0))
    if num_steps == 0:
        return start
    steps = jnp.arange(num_steps, dtype=jnp.int32)

    def double(r: Int[Array, ""], values: UInt32[Array, "steps words"]) -> UInt32[Array, "steps words"]:
        earlier = steps - (jnp.int32(1) << r)
        source = jnp.maximum(earlier, 0)
        same = (earlier >= 0) & (walk.here[source] == walk.here)
        return values | jnp.where(same[:, None], values[source], jnp.uint32(0))

    def hop(_: Int[Array, ""], reached: UInt32[Array, "nodes words"]) -> UInt32[Array, "nodes words"]:
        values = jnp.where(present[:, None], reached[walk.there], jnp.uint32(0))
        values = jax.lax.fori_loop(0, walk.doublings, double, values)
        arrived = jnp.where((walk.last >= 0)[:, None], values[walk.last], jnp.uint32(0))
        return reached | arrived

    return jax.lax.fori_loop(0, hops, hop, start)


def union(sets: UInt32[Array, "nodes words"], members: Int[Array, "rows arity"]) -> UInt32[Array, "rows words"]:
    """The union of the sets of each row's members."""
    there = (members != NO_MEMBER)[:, :, None]
    return jax.lax.reduce(jnp.where(there, sets[members], jnp.uint32(0)), np.uint32(0), jax.lax.bitwise_or, (1,))


def unpack(words: UInt32[Array, "*rows words"], num_nodes: int) -> Bool[Array, "*rows nodes"]:
    """Bits as truth values."""
    numbers = jnp.arange(num_nodes, dtype=jnp.int32)
    shifts = (numbers % WORD).astype(jnp.uint32).reshape((1,) * (words.ndim - 1) + (-1,))
    return ((words[..., numbers // WORD] >> shifts) & 1).astype(bool)


def count(words: UInt32[Array, "*rows words"]) -> Int[Array, " *rows"]:
    """How many nodes are in each set."""
    return jax.lax.population_count(words).astype(jnp.int32).sum(-1)
