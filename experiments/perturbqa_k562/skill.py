"""How well unseen perturbations are predicted, over the labelled pairs of the test perturbations.

Score of a pair = base rate of the gene + excess that the predictor adds. Averages over genes take the genes with at
least `LEAST` positive and `LEAST` negative test perturbations, each with the same weight; which genes these are depends
on the split alone, so all strategies are averaged over the same ones.

- gene_auroc: AUROC across test perturbations within a gene. The base rate is constant within a gene: 0.5 for a
  predictor that only knows which genes respond to anything.
- gene_auroc_pair: the same with the excess centred per perturbation (its mean over all measured genes taken off):
  what is specific to the pair.
- gene_auroc_strength: the same with that mean alone: how strong the perturbation is, whichever the gene.
- gene_auroc_least_3, gene_auroc_least_10: gene_auroc with other least numbers.
- gene_ap_lift: average precision within a gene over the share of positives, minus 1; 0 is chance.
- pooled_auroc, pooled_ap: over all pairs at once: mostly which genes respond to anything.
- brier: mean squared error of the score; brier_base of the base rate alone.
"""

import numpy as np
from data import Outcomes
from numba import njit

LEAST = 5
OTHER_LEAST = (3, 10)


class TestPairs:
    """The labelled pairs of the test perturbations, sorted by gene."""

    __test__ = False

    def __init__(self, outcomes: Outcomes, test: np.ndarray, least: int = LEAST) -> None:
        mask = np.isin(outcomes.rows, test)
        columns = outcomes.columns[mask]
        order = np.argsort(columns, kind="stable")
        self.rows = np.searchsorted(test, outcomes.rows[mask])[order]
        self.columns = columns[order]
        self.labels = outcomes.labels[mask][order]
        size = len(outcomes.genes)
        positive = np.bincount(self.columns, self.labels, size)
        negative = np.bincount(self.columns, 1 - self.labels, size)
        self.rarer = np.minimum(positive, negative)
        self.genes = np.flatnonzero(self.rarer >= least)

    def bounds(self, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the pairs of some genes begin and end."""
        return np.searchsorted(self.columns, genes), np.searchsorted(self.columns, genes, side="right")


def skills(pairs: TestPairs, excess: np.ndarray, base: np.ndarray) -> dict[str, float]:
    """Every measure of a prediction: `excess` [test, genes] over the base rates [genes]."""
    of_pair = excess[pairs.rows, pairs.columns].astype(np.float64)
    strength = excess.mean(1, dtype=np.float64)[pairs.rows]
    score = of_pair + base[pairs.columns]
    auroc, lift = _within(of_pair, pairs.labels, *pairs.bounds(pairs.genes))
    specific, _ = _within(of_pair - strength, pairs.labels, *pairs.bounds(pairs.genes))
    alone, _ = _within(strength, pairs.labels, *pairs.bounds(pairs.genes))
    others = {
        f"gene_auroc_least_{least}": _mean(
            _within(of_pair, pairs.labels, *pairs.bounds(np.flatnonzero(pairs.rarer >= least)))[0]
        )
        for least in OTHER_LEAST
    }
    pooled_auroc, pooled_ap = _ranked(score, pairs.labels)
    return {
        "gene_auroc": _mean(auroc),
        "gene_auroc_pair": _mean(specific),
        "gene_auroc_strength": _mean(alone),
        "gene_ap_lift": _mean(lift),
        **others,
        "pooled_auroc": pooled_auroc,
        "pooled_ap": pooled_ap,
        "brier": np.mean((score - pairs.labels) ** 2),
        "brier_base": np.mean((base[pairs.columns] - pairs.labels) ** 2),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


@njit(cache=True)
def _within(scores, labels, starts, stops):  # type: ignore[no-untyped-def]
    auroc, lift = np.empty(len(starts)), np.empty(len(starts))
    for i in range(len(starts)):
        own = labels[starts[i] : stops[i]]
        auroc[i], precision = _ranked(scores[starts[i] : stops[i]], own)
        lift[i] = precision / own.mean() - 1
    return auroc, lift


@njit(cache=True)
def _ranked(scores, labels):  # type: ignore[no-untyped-def]
    """AUROC, ties counting half, and average precision with tied scores entering together."""
    order = np.argsort(-scores)
    positives, seen_positive, seen = labels.sum(), 0.0, 0.0
    wins, precision = 0.0, 0.0
    first = 0
    while first < len(order):
        last = first
        tied_positive = 0.0
        while last < len(order) and scores[order[last]] == scores[order[first]]:
            tied_positive += labels[order[last]]
            last += 1
        tied_negative = (last - first) - tied_positive
        wins += seen_positive * tied_negative + 0.5 * tied_positive * tied_negative
        seen_positive += tied_positive
        seen += last - first
        precision += tied_positive * seen_positive / seen
        first = last
    return wins / (positives * (len(labels) - positives)), precision / positives
