"""How much a selection depends on its seed."""

from itertools import combinations

import numpy as np
import pandas as pd

from perturb_jax.analysis.results import Results
from perturb_jax.analysis.run_means import PLACE, RUN, Runs

INITIALISATIONS = 5
"""Seeds that are compared, as in the paper's Figure 2."""

STABILITY = [*PLACE, "strategy", "cycle", "size", "seeds", "unique", "jaccard"]


def left_out(runs: Runs) -> str | None:
    """Why the stability of selections cannot be told, or None where it can."""
    differing = [part for part in ("data", "split") if part not in runs.fixed]
    if differing:
        return (
            "Sensitivity to initialisation is left out: seeds differ also in "
            f"{' and '.join(differing)} (put {', '.join(differing)} into `fixed` of the config)."
        )
    if "selection" in runs.fixed:
        return "Sensitivity to initialisation is left out: selections have the same seed in all of them."
    if runs.means.groupby([*PLACE, "strategy"])["seed"].nunique().max() < 2:
        return "Sensitivity to initialisation is left out: no strategy has two complete seeds."
    return None


def stability(results: Results, runs: Runs) -> pd.DataFrame:
    """What the first five seeds select together, and how far any two of them agree, by cycle.

    Everything selected up to and including a cycle counts. `unique` is the number of different perturbations over the
    seeds: `size` if all agree, `seeds` x `size` if none does; `jaccard` is that index, mean over pairs of seeds.
    Both are bounded by the pool: selections that exhaust it agree.

    Source: Panagopoulos et al. (arXiv 2503.14571), Figure 2, which draws `unique` against `size`.

    Returns:
        Columns `STABILITY`; strategies with one complete seed are not in it.
    """
    complete = pd.MultiIndex.from_frame(runs.means[RUN].drop_duplicates())
    picks = results.selections[pd.MultiIndex.from_frame(results.selections[RUN]).isin(complete)]
    rows: list[tuple[object, ...]] = []
    for place, own in picks.groupby([*PLACE, "strategy"], sort=False):
        seeds = sorted(own["seed"].unique())[:INITIALISATIONS]
        if len(seeds) < 2:
            continue
        for cycle in sorted(own["cycle"].unique()):
            until = own[own["cycle"] <= cycle]
            sets = [set(until.loc[until["seed"] == seed, "perturbation"]) for seed in seeds]
            agreement = [len(one & other) / len(one | other) for one, other in combinations(sets, 2)]
            size = float(np.mean([len(one) for one in sets]))
            rows.append((*place, cycle, size, len(seeds), len(set().union(*sets)), float(np.mean(agreement))))
    return runs.in_order(pd.DataFrame(rows, columns=STABILITY))
