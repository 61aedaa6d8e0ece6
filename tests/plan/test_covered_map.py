"""The map of the covered graph: communities against networkx, discs that hold their nodes."""

import networkx as nx
import numpy as np
import scipy.sparse as sp

from perturb_jax.plan.covered_map import communities, lay_out


def test_communities_are_as_modular_as_those_of_networkx() -> None:
    graph = nx.planted_partition_graph(8, 40, 0.3, 0.01, seed=0)
    links = sp.csr_array(nx.to_scipy_sparse_array(graph, dtype=float))
    labels = communities(links)
    parts = [set(np.flatnonzero(labels == label).tolist()) for label in range(labels.max() + 1)]
    theirs = nx.community.modularity(graph, nx.community.louvain_communities(graph, seed=0))
    assert nx.community.modularity(graph, parts) >= 0.98 * theirs
    assert np.all(np.diff(np.bincount(labels)) <= 0)


def test_discs_do_not_overlap_and_hold_their_nodes() -> None:
    rng = np.random.default_rng(0)
    labels = np.sort(rng.geometric(0.2, 3000)) - 1
    labels = np.unique(labels, return_inverse=True)[1]
    one_way = sp.random_array((3000, 3000), density=0.002, rng=rng)
    positions, centres, radii, _ = lay_out(sp.csr_array(one_way + one_way.T), labels)
    assert np.all(np.linalg.norm(positions - centres[labels], axis=1) < radii[labels])
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2) - radii[:, None] - radii[None]
    assert apart[np.triu_indices(len(radii), 1)].min() > -1e-6
