"""The map of the covered graph: communities, their layout, the picture."""

from html import escape
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.support.loops import kernel

_PASSES = 50  # a bound for the loop; a level of a real graph comes to rest within ten


def communities(links: sp.csr_array) -> Int[np.ndarray, " nodes"]:
    """The community of every node, by greedy modularity: 0 is the largest, ties in the order of the nodes.

    Louvain (Blondel et al. 2008, https://doi.org/10.1088/1742-5468/2008/10/P10008), with nodes visited in their
    order, so that equal graphs give equal communities. A local optimum, not the best partition.

    Complexity: O(links) per pass over the nodes.
    """
    total = float(links.sum())
    labels = np.arange(links.shape[0])
    while total > 0:
        degrees = np.asarray(links.sum(1)).ravel().astype(float)
        found = _move(links.indptr, links.indices, links.data.astype(float), degrees, total)
        _, found = np.unique(found, return_inverse=True)
        labels = found[labels]
        if found.max() + 1 == len(found):
            break
        member = sp.csr_array((np.ones(len(found)), (np.arange(len(found)), found)))
        links = sp.csr_array(member.T @ links @ member)
    _, first, label, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int64)
    rank[np.lexsort((first, -counts))] = np.arange(len(counts))
    return rank[label]


@kernel
def _move(indptr, neighbors, weights, degrees, total):  # type: ignore[no-untyped-def]
    """Move nodes to the neighbouring community that raises modularity most, until none moves."""
    num_nodes = len(degrees)
    labels = np.arange(num_nodes)
    inside = degrees.copy()
    shared = np.zeros(num_nodes)
    for _ in range(_PASSES):
        moved = False
        for node in range(num_nodes):
            start, end = indptr[node], indptr[node + 1]
            old = labels[node]
            inside[old] -= degrees[node]
            for entry in range(start, end):
                if neighbors[entry] != node:
                    shared[labels[neighbors[entry]]] += weights[entry]
            best, best_gain = old, shared[old] - degrees[node] * inside[old] / total
            for entry in range(start, end):
                label = labels[neighbors[entry]]
                gain = shared[label] - degrees[node] * inside[label] / total
                if gain > best_gain + 1e-12 * total:
                    best, best_gain = label, gain
            for entry in range(start, end):
                shared[labels[neighbors[entry]]] = 0.0
            inside[best] += degrees[node]
            labels[node] = best
            moved = moved or best != old
        if not moved:
            break
    return labels


_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
_DIRECTIONS = 72
_RINGS = 400


def lay_out(links: sp.csr_array, labels: Int[np.ndarray, " nodes"]) -> tuple[np.ndarray, ...]:
    """Positions of the nodes, centres and radii of the discs that hold them, weights of the links between discs.

    Discs never overlap and have areas proportional to their nodes, so that density is the same everywhere and 10,000
    nodes stay as readable as 100. Larger discs are laid first, each as near as it fits to those it is linked with.
    Within a disc, nodes lie in a sunflower's spiral, the best linked in the middle.
    """
    sizes = np.bincount(labels)
    radii = np.sqrt(sizes) + 1.0
    member = sp.csr_array((np.ones(len(labels)), (np.arange(len(labels)), labels)))
    between = (member.T @ links @ member).toarray()
    centres = _pack(radii, between)
    order = np.lexsort((-np.asarray(links.sum(1)).ravel(), labels))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rank = np.arange(len(labels)) - starts[labels[order]]
    radius, angle = np.sqrt(rank + 0.5), rank * _GOLDEN_ANGLE
    positions = np.empty((len(labels), 2))
    positions[order] = centres[labels[order]] + np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return positions, centres, radii, between


def _pack(
    radii: Float[np.ndarray, " communities"], between: Float[np.ndarray, "communities communities"]
) -> Float[np.ndarray, "communities 2"]:
    centres = np.zeros((len(radii), 2))
    angles = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    for disc in range(1, len(radii)):
        weights = between[disc, :disc] / radii[:disc]
        wanted = np.average(centres[:disc], axis=0, weights=weights) if weights.sum() > 0 else np.zeros(2)
        reach = np.linalg.norm(centres[:disc] - wanted, axis=1).max() + radii[:disc].max() + radii[disc]
        rings = np.linspace(0, reach, _RINGS)
        for ring in rings:  # the last ring always has room
            spots = wanted + ring * circle
            apart = np.linalg.norm(spots[:, None] - centres[None, :disc], axis=2) - radii[None, :disc] - radii[disc]
            room = apart.min(1) >= -1e-9
            if room.any():  # of the spots with room, the one nearest to the middle: the picture stays round
                centres[disc] = spots[room][np.linalg.norm(spots[room], axis=1).argmin()]
                break
    return centres


COLORS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#EE8866", "#44AA99", "#997700", "#AAAAFF")
"""By community, the largest first (after Paul Tol's schemes); all others are grey."""

GREY = "#B5B5B5"
MAX_DISCS = 60
"""Communities drawn apart; the nodes of smaller ones share one disc."""

_SIZE = 1000.0
_LINKS = 120


class CoveredMap(NamedTuple):
    """The covered graph, laid out: its nodes, the discs of their communities, the links between communities."""

    nodes: Int[np.ndarray, " covered"]
    labels: Int[np.ndarray, " covered"]
    positions: Float[np.ndarray, "covered 2"]
    centres: Float[np.ndarray, "communities 2"]
    radii: Float[np.ndarray, " communities"]
    between: Float[np.ndarray, "communities communities"]


def map_covered(graph: KnowledgeGraph, covered: Bool[np.ndarray, " nodes"]) -> CoveredMap:
    """Communities and layout of the subgraph of the covered genes, edges taken both ways.

    Complexity: O(edges + covered x communities).
    """
    nodes = np.flatnonzero(covered)
    senders, receivers = np.asarray(graph.senders), np.asarray(graph.receivers)
    inside = covered[senders] & covered[receivers] & (senders != receivers)
    number = np.cumsum(covered) - 1
    edges = (np.asarray(graph.weights, float)[inside], (number[senders[inside]], number[receivers[inside]]))
    one_way = sp.csr_array(edges, shape=(len(nodes), len(nodes)))
    links = sp.csr_array(one_way + one_way.T)
    labels = np.minimum(communities(links), MAX_DISCS - 1)
    return CoveredMap(nodes, labels, *lay_out(links, labels))


def draw(
    drawn: CoveredMap, graph: KnowledgeGraph, picks: Int[np.ndarray, " picks"], tested: Int[np.ndarray, " t"]
) -> str:
    """The map as an SVG: about 15 bytes for a covered gene, 150 for a marked one."""
    low = (drawn.centres - drawn.radii[:, None]).min(0)
    span = (drawn.centres + drawn.radii[:, None]).max(0) - low
    scale = _SIZE / span.max()
    width, height = span * scale
    dot = max(0.9, min(1.25 * scale, 7.0))
    mark = max(3.2, min(0.75 * scale, 7.0))
    spots = (drawn.positions - low) * scale
    centres, radii = (drawn.centres - low) * scale, drawn.radii * scale
    parts = [
        f'<svg viewBox="-8 -8 {width + 16:.0f} {height + 16:.0f}" role="img" aria-label="Covered genes by community">'
    ]
    parts += _ribbons(drawn.between, centres, radii)
    for label, (centre, radius) in enumerate(zip(centres, radii, strict=True)):
        color = color_of(label)
        disc = f'<circle cx="{centre[0]:.1f}" cy="{centre[1]:.1f}" r="{radius:.1f}"'
        parts += [f'{disc} fill="#fff"/>', f'{disc} fill="{color}" fill-opacity=".13"/>']
        path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in spots[drawn.labels == label])
        parts.append(f'<path d="{path}" stroke="{color}" stroke-width="{dot:.2f}" stroke-linecap="round"/>')
    position = dict(zip(drawn.nodes.tolist(), spots, strict=True))
    for node in tested.tolist():
        x, y = position[node] - mark
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{2 * mark:.1f}" height="{2 * mark:.1f}" class="tested">'
            f"<title>{escape(graph.genes[node])}, already tested</title></rect>"
        )
    for node in picks.tolist():
        x, y = position[node]
        gene = escape(graph.genes[node])
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{mark:.1f}" class="pick" data-gene="{gene}">'
            f"<title>{gene}, picked</title></circle>"
        )
    for label in range(min(len(COLORS), len(radii))):
        x, y = centres[label] + [0, 10]
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="number">{label + 1}</text>')
    return "".join([*parts, "</svg>"])


def color_of(label: int) -> str:
    """The colour of a community, the largest being 0."""
    return COLORS[label] if label < len(COLORS) else GREY


def _ribbons(between: np.ndarray, centres: np.ndarray, radii: np.ndarray) -> list[str]:
    """The strongest links between discs, wider where they are stronger, below everything else."""
    one, other = np.triu_indices(len(radii), 1)
    strength = between[one, other]
    strongest = np.argsort(-strength, kind="stable")[:_LINKS]
    strongest = strongest[strength[strongest] > 0]
    return [
        f'<path d="M{centres[a][0]:.0f} {centres[a][1]:.0f}L{centres[b][0]:.0f} {centres[b][1]:.0f}" stroke="#888" '
        f'stroke-opacity=".3" stroke-width="{max(0.6, 22 * np.sqrt(value / strength.max())):.1f}"/>'
        for a, b, value in zip(one[strongest], other[strongest], strength[strongest], strict=True)
    ]
