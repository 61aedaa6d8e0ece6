"""Greedy coverage over a mesh of devices: candidates split among them, what is covered known to all."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from jaxtyping import Array, Bool, Int, UInt32

from perturb_jax.selection.device.bits import WORD, count, num_words, padded, unpack
from perturb_jax.support.errors import InputError

_NOWHERE = np.int32(2**31 - 1)
_State = tuple[Array, Any, Array]


class Layout(NamedTuple):
    """How candidates lie on the devices.

    Attributes:
        per_device: candidates on each device, padding included.
        width: words of a candidate's row.
        bits: a row is a set of bits; else a list of node numbers, where even the longest is shorter.
    """

    per_device: int
    width: int
    bits: bool

    @property
    def bytes_per_pick(self) -> int:
        """What a device contributes to the two all-reduces of a pick: the best gain; the winner's row and number.

        When a cover layer is exhausted, another 4 bytes find the next layer and 4 the best gain in it.
        """
        return 4 + 4 * (self.width + 1)


def layout_of(sets: sp.csr_array, devices: int) -> Layout:
    """Node numbers where all sets are small, else bits."""
    longest, words = padded(max(1, int(np.diff(sets.indptr).max(initial=0)))), num_words(sets.shape[1])
    rows = padded(max(1, -(-sets.shape[0] // devices)))
    return Layout(rows, min(longest, words), bits=words <= longest)


def sharded_cover(
    sets: sp.csr_array,
    budget: int,
    counts: Int[np.ndarray, " nodes"],
    order: Int[np.ndarray, " candidates"],
    mesh: Mesh,
) -> tuple[np.ndarray, ...]:
    """The picks of `host.coverage.lazy_greedy` with unit weights, their gains and layers, by naive greedy on a mesh.

    Each device scores its own candidates. One all-reduce (4 bytes) finds the best gain and the device that has it, the
    first in `order` among equals; a second carries that candidate's row, from which all devices bring what is covered
    up to date. With `jax.distributed`, every process calls this with the same arguments and makes its own devices'
    rows only. `counts` says how often each node is covered already.

    Complexity: O(budget x candidates x width / devices), `Layout.bytes_per_pick` per pick and device.
    """
    devices = mesh.devices.size
    largest = int(np.diff(sets.indptr).max(initial=0))
    if (largest + 1) * devices >= 2**31:
        raise InputError(f"mesh: sets of {largest:,} nodes on {devices} devices do not fit 31 bits; use fewer devices")
    layout = layout_of(sets, devices)
    total = layout.per_device * devices
    candidates = NamedSharding(mesh, P(mesh.axis_names))

    def rows(index: Any) -> np.ndarray:
        start, stop, _ = index[0].indices(total)
        return _rows(sets[order[start:stop]], stop - start, layout)

    picks, gains, layers = _greedy(
        jax.make_array_from_callback((total, layout.width), candidates, rows),
        jax.make_array_from_callback((total,), candidates, lambda index: (np.arange(total) < len(order))[index]),
        jax.make_array_from_callback(counts.shape, NamedSharding(mesh, P()), lambda index: counts[index]),
        mesh,
        budget,
        layout.bits,
    )
    return order[np.asarray(picks)], np.asarray(gains).astype(np.int64), np.asarray(layers)


def _rows(sets: sp.csr_array, number: int, layout: Layout) -> UInt32[np.ndarray, "rows width"]:
    padding, nodes = (0, number - sets.shape[0]), sets.shape[1]
    if layout.bits:
        covers = np.pad(sets.toarray(), (padding, (0, layout.width * WORD - nodes)))
        return np.packbits(covers, axis=1, bitorder="little").view("<u4").astype(np.uint32)
    rows = np.full((number, layout.width), nodes, np.uint32)
    rows[np.arange(layout.width)[None, :] < np.pad(np.diff(sets.indptr), padding)[:, None]] = sets.indices
    return rows


@partial(jax.jit, static_argnames=("mesh", "budget", "bits"))
def _greedy(
    rows: UInt32[Array, "candidates width"],
    left: Bool[Array, " candidates"],
    counts: Int[Array, " nodes"],
    mesh: Mesh,
    budget: int,
    bits: bool,
) -> tuple[Int[Array, " budget"], Int[Array, " budget"], Int[Array, " budget"]]:
    axes = mesh.axis_names
    run = partial(_on_each_device, axes, mesh.devices.size, budget, bits)
    split = jax.shard_map(run, mesh=mesh, in_specs=(P(axes), P(axes), P()), out_specs=P(), check_vma=False)
    return split(rows, left, counts)


def _on_each_device(
    axes: tuple[str, ...], devices: int, budget: int, bits: bool, rows: Array, left: Array, counts: Array
) -> tuple[Array, Array, Array]:
    device, nodes = jax.lax.axis_index(axes).astype(jnp.int32), len(counts)

    def best(counts: Array, level: Array, left: Array) -> tuple[Array, Array]:
        """This device's best candidate; and (gain, device) of the best of all, the first device among equals."""
        gains = jnp.where(left, _sizes(rows, counts == level, bits), -1)
        mine = gains.argmax().astype(jnp.int32)
        return mine, jax.lax.pmax(gains[mine] * devices + (devices - 1 - device), axes)

    def next_level(counts: Array, left: Array) -> Array:
        """The lowest count of a node that a candidate which is left reaches."""
        if bits:
            any_left = jnp.where(left[:, None], rows, jnp.uint32(0))
            reached = unpack(jax.lax.reduce(any_left, np.uint32(0), jax.lax.bitwise_or, (0,)), nodes)
            lowest = jnp.where(reached, counts, _NOWHERE).min()
        else:
            here = jnp.append(counts, _NOWHERE)[rows]
            lowest = jnp.where(left[:, None], here, _NOWHERE).min()
        return jax.lax.pmin(lowest, axes)

    def step(state: _State, _: None) -> tuple[_State, _State]:
        counts, level, left = state
        mine, key = best(counts, level, left)

        def open_layer() -> tuple[Array, Array, Array]:
            lowest = next_level(counts, left)
            opened = jnp.where(lowest == _NOWHERE, level, lowest)
            return (opened, *best(counts, opened, left))

        level, mine, key = jax.lax.cond(key < devices, open_layer, lambda: (level, mine, key))
        won = devices - 1 - key % devices == device
        number = (device * len(left) + mine).astype(jnp.uint32)
        message = jnp.append(rows[mine], number)
        message = jax.lax.psum(jnp.where(won, message, jnp.uint32(0)), axes)
        row, number = message[:-1], message[-1].astype(jnp.int32)
        counts = counts + unpack(row, nodes) if bits else counts.at[row].add(1, mode="drop")
        left = left.at[mine].set(left[mine] & ~won)
        return (counts, level, left), (number, key // devices, level + 1)

    _, picked = jax.lax.scan(step, (counts, jnp.int32(0), left), None, length=budget)
    return picked


def _sizes(rows: Array, opened: Bool[Array, " nodes"], bits: bool) -> Int[Array, " candidates"]:
    """How many of the nodes that count each row holds."""
    if not bits:
        return jnp.append(opened, False)[rows].sum(1, dtype=jnp.int32)
    words = rows.shape[1]
    padded_to = jnp.pad(opened, (0, words * WORD - len(opened))).reshape(words, WORD).astype(jnp.uint32)
    packed = (padded_to << jnp.arange(WORD, dtype=jnp.uint32)[None, :]).sum(1, dtype=jnp.uint32)
    return count(rows & packed[None, :])
