"""Columns of the kernel K and of B0, for `posterior`: from dense blocks, or by message passing alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int

from perturb_jax.genes.perturbations import NO_MEMBER
from perturb_jax.kernel.graph import GraphKernel, Rows


class Edges(NamedTuple):
    """P as a list of its entries, P[reader, read] = weight, to be applied `hops` times."""

    readers: Int[Array, " edges"]
    read: Int[Array, " edges"]
    weights: Float[Array, " edges"]
    hops: Int[Array, ""]
    nodes: Int[Array, " nodes"]


class Members(NamedTuple):
    """Perturbations: their genes' nodes, and what their rows of P^k are multiplied with."""

    nodes: Int[Array, "rows arity"]
    scale: Float[Array, " rows"]


def edges_of(kernel: GraphKernel) -> Edges:
    """The kernel's operator, on the default device."""
    entries = kernel.operator.tocoo()
    readers, read = (jnp.asarray(end.astype(np.int32)) for end in entries.coords)
    return Edges(readers, read, jnp.asarray(entries.data, float), jnp.int32(kernel.hops), jnp.arange(entries.shape[0]))


def members_of(rows: Rows, num_nodes: int) -> Members:
    """Rows of a kernel on the default device; absent members point beyond the last node."""
    return Members(
        jnp.asarray(np.where(rows.members == NO_MEMBER, num_nodes, rows.members)), jnp.asarray(rows.scale, float)
    )


def pull(edges: Edges, members: Members, values: Float[Array, " nodes"]) -> Float[Array, " rows"]:
    """F x: what the rows of F = P^k read of `values`, scaled."""

    def one_hop(_: Array, values: Array) -> Array:
        return jax.ops.segment_sum(edges.weights * values[edges.read], edges.readers, len(values))

    values = jax.lax.fori_loop(0, edges.hops, one_hop, values)
    return members.scale * values.at[members.nodes].get(mode="fill", fill_value=0).sum(1)


def push(edges: Edges, members: Members, values: Float[Array, " rows"]) -> Float[Array, " nodes"]:
    """F^T y: what nodes are read, by all rows of F = P^k together, each multiplied with its value."""

    def one_hop(_: Array, values: Array) -> Array:
        return jax.ops.segment_sum(edges.weights * values[edges.readers], edges.read, len(values))

    scaled = jnp.broadcast_to((members.scale * values)[:, None], members.nodes.shape)
    nodes = jnp.zeros(len(edges.nodes), values.dtype).at[members.nodes].add(scaled, mode="drop")
    return jax.lax.fori_loop(0, edges.hops, one_hop, nodes)


def block_columns(gram: Float[Array, "rows rows"], taught: Float[Array, "rows rows"] | None) -> Partial:
    """Columns from the dense blocks K and B0 (None: not needed)."""
    return Partial(_block_columns, gram, taught)


def operator_columns(edges: Edges, members: Members, targets: Members, weights: Float[Array, " targets"]) -> Partial:
    """Columns by message passing, in 4 k passes over the edges: K e_v = F F^T e_v, B0 e_v = F F_T^T W F_T F^T e_v."""
    return Partial(_operator_columns, edges, members, targets, weights)


def _block_columns(gram: Array, taught: Array | None, pick: Int[Array, ""]) -> tuple[Array, Array | None]:
    return gram[pick], None if taught is None else taught[pick]


def _operator_columns(
    edges: Edges, members: Members, targets: Members, weights: Array, pick: Int[Array, ""]
) -> tuple[Array, Array]:
    read_by_pick = push(edges, members, jnp.zeros_like(members.scale).at[pick].set(1))
    of_targets = weights * pull(edges, targets, read_by_pick)
    return pull(edges, members, read_by_pick), pull(edges, members, push(edges, targets, of_targets))
