"""Where the nodes of a graph with communities are drawn: each community a disc, linked discs side by side."""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
_DIRECTIONS = 72
_RINGS = 400


def place(
    links: sp.csr_array, labels: Int[np.ndarray, " nodes"]
) -> tuple[Float[np.ndarray, "nodes 2"], Float[np.ndarray, "communities 2"], Float[np.ndarray, " communities"]]:
    """Positions of the nodes, and the discs that hold them: centres and radii, in units of a node's room.

    Discs never overlap and have areas proportional to their nodes, so that density is the same everywhere and 10,000
    nodes stay as readable as 100. Larger discs are laid first, each as near as it fits to those it is linked with.
    Within a disc, nodes lie in a sunflower's spiral, the best linked in the middle.

    Args:
        links: symmetric weights [nodes, nodes].
        labels: the community of every node, from 0, the largest first.
    """
    sizes = np.bincount(labels)
    radii = np.sqrt(sizes) + 1.0
    member = sp.csr_array((np.ones(len(labels)), (np.arange(len(labels)), labels)), shape=(len(labels), len(sizes)))
    between = (member.T @ links @ member).toarray()
    centres = _pack(radii, between)
    order = np.lexsort((-np.asarray(links.sum(1)).ravel(), labels))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rank = np.arange(len(labels)) - starts[labels[order]]
    radius, angle = np.sqrt(rank + 0.5), rank * _GOLDEN_ANGLE
    positions = np.empty((len(labels), 2))
    positions[order] = centres[labels[order]] + np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return positions, centres, radii


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
