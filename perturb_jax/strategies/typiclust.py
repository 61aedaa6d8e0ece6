"""TypiClust: the most typical perturbation of each cluster that nothing selected belongs to."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from perturb_jax.strategies.strategy import Ask, Strategy
from perturb_jax.strategies.view import Representation, isometric, read_view
from perturb_jax.support.extras import require
from perturb_jax.support.options import option


@dataclass(frozen=True)
class TypiClust(Strategy):
    """Pick typical perturbations, from clusters that hold as few selected ones as possible.

    Selected perturbations and candidates together are divided by k-means into (selected + batch) clusters, so that at
    least `batch` of them hold nothing selected, as long as `max_clusters` allows. Clusters with the fewest selected
    come first, among these the largest. They are gone through in that order, again and again until the batch is full,
    those with no candidate left passed over; each time the candidate with the largest typicality is picked, among the
    cluster's candidates that are left:

        typicality(x) = (mean distance to its K nearest of them)^-1,   K = min(neighbors, their number // 2).

    Ties go to the earliest candidate; one that is alone is picked. The seed is k-means'.

    The authors' code drops clusters of at most 5, though screens of 1,000 perturbations with 500 clusters have few
    larger ones: here, as in IterPert's package, none is dropped. Their code uses mini batches of 5,000 beyond 50
    clusters, which is for images by the ten thousand; here it is always Lloyd's algorithm, begun once by k-means++.
    They take squared distances for typicality where their paper, and this, takes distances.

    Source: Hacohen, Dekel and Weinshall 2022 (ICML; arXiv 2202.02794); code at github.com/avihu111/TypiClust.
    Complexity: O(iterations x perturbations x clusters x features), and O(cluster^2 x features) per pick.

    Attributes:
        representation: the part of the view in which perturbations are near: "embedding", for GEARS that of the
            knowledge-graph layers, as in Panagopoulos et al. (arXiv 2503.14571); "effect", as in IterPert's published
            runs; "features", as in IterPert's package (for GEARS the cross-gene state).
        max_clusters: no more clusters than this, 500 as in the authors' code; nor ever more than different rows.
        neighbors: the largest K.

    Raises:
        InputError: an option that cannot be used.
    """

    representation: Representation = option("embedding", "In which perturbations are near.")
    max_clusters: int = option(500, "No more clusters than this.", at_least=1)
    neighbors: int = option(20, "Nearest ones of a cluster by which a perturbation is typical, at most.", at_least=1)

    def parts(self, cycle: int) -> tuple[str, ...]:  # noqa: ARG002  (the contract's)
        """The representation."""
        return (self.representation,)

    def choose(self, ask: Ask) -> tuple[str, ...]:
        """The batch, cluster by cluster.

        Raises:
            InputError: no such part in the view, or one that is not finite; scikit-learn is not installed.
        """
        left, budget = ask.candidates, int(ask.budget)
        given = read_view(ask, self.representation, [*left, *ask.selected])
        distinct = len(np.unique(given, axis=0))
        rows = isometric(given)
        clusters = k_means(rows, min(len(ask.selected) + budget, self.max_clusters, distinct), ask.seed)
        order = cluster_order(clusters, len(left))
        picks = typical(rows[: len(left)], clusters[: len(left)], order, budget, self.neighbors)
        return left.take(np.array(picks, np.int64)).labels


def k_means(rows: Float[np.ndarray, "rows features"], count: int, seed: int | None) -> Int[np.ndarray, " rows"]:
    """The cluster of each row."""
    require("typiclust", "sklearn")
    from sklearn.cluster import KMeans

    state = int(np.random.SeedSequence(seed).generate_state(1)[0])  # scikit-learn's seeds end at 2^32
    return KMeans(count, random_state=state).fit(rows).labels_.astype(np.int64)


def cluster_order(clusters: Int[np.ndarray, " rows"], num_candidates: int) -> list[int]:
    """The clusters, those with fewest selected rows first, then the largest, then the one of the earliest row."""
    names, first, sizes = np.unique(clusters, return_index=True, return_counts=True)
    selected = np.bincount(clusters[num_candidates:], minlength=int(names.max()) + 1)[names]
    return [int(name) for name in names[np.lexsort((first, -sizes, selected))]]


def typical(
    rows: Float[np.ndarray, "candidates features"],
    clusters: Int[np.ndarray, " candidates"],
    order: list[int],
    batch: int,
    neighbors: int,
) -> list[int]:
    """Rows of the candidates picked, the clusters visited in turn: least mean distance to the nearest of those left."""
    from scipy.spatial.distance import cdist

    members = {cluster: np.flatnonzero(clusters == cluster) for cluster in order}
    picks: list[int] = []
    while len(picks) < batch:
        for cluster in order:
            left = members[cluster]
            if len(left) == 0 or len(picks) == batch:
                continue
            nearest = min(neighbors, len(left) // 2)
            distances = np.sort(cdist(rows[left], rows[left]), axis=1)[:, 1 : nearest + 1]  # the first is its own, 0
            pick = int(distances.mean(1).argmin()) if nearest else 0
            picks.append(int(left[pick]))
            members[cluster] = np.delete(left, pick)
    return picks
