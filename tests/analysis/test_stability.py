"""Agreement of selections, against scipy's Jaccard distance."""

from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import jaccard

from perturb_jax.analysis.results import complete_runs
from perturb_jax.analysis.summary import left_out, stability
from tests.made_results import made_results, row_of, without


def test_unique_perturbations_and_agreement_of_the_first_five_complete_seeds() -> None:
    results = without(made_results(seeds=7), strategy="random", seed=1)
    found = stability(results, complete_runs(results))
    picks = results.selections
    pool = sorted(picks["perturbation"].unique())
    for strategy, seeds in (("random", [0, 2, 3, 4, 5]), ("uncertainty", [0, 1, 2, 3, 4])):
        for cycle in (1, 2, 3):
            own = picks[(picks["strategy"] == strategy) & (picks["cycle"] <= cycle)]
            flags = [np.isin(pool, own.loc[own["seed"] == seed, "perturbation"]) for seed in seeds]
            agree = [1 - jaccard(one, other) for one, other in combinations(flags, 2)]
            row = row_of(found, strategy=strategy, cycle=cycle)
            assert (row["size"], row["seeds"], row["unique"]) == (8 * cycle, 5, np.any(flags, 0).sum())
            assert row["jaccard"] == pytest.approx(np.mean(agree))
    same = found[found["strategy"] == "graphreach"]
    assert (same["unique"] == same["size"]).all() and (same["jaccard"] == 1).all()


@pytest.mark.parametrize(
    ("fixed", "seeds", "why"),
    [((), 3, "data and split"), (("data",), 3, "seeds differ also in split"), (("data", "split"), 1, "no strategy has"),
     (("data", "split", "selection"), 3, "selections have the same seed"), (("data", "split", "training"), 3, None)],
)  # fmt: skip
def test_it_is_told_why_it_is_left_out(fixed: tuple[str, ...], seeds: int, why: str | None) -> None:
    reason = left_out(complete_runs(made_results(fixed=fixed, seeds=seeds)))
    assert reason is None if why is None else reason is not None and why in reason
