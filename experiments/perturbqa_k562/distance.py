"""How far each test perturbation is from the picks, beside how much its prediction gained over the base rates."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from data import Outcomes, Split
from predictors import base_rates

ARMS = ("random", "graphreach in k=1", "design variance", "design facility")
AT = (100, 400)
KERNEL = "smooth go k=1"  # the normalised kernel of one hop
PREDICTORS = {"ridge go k=1": "go", "ridge other": "other"}
NOISE = 2.0


def remaining_variance(kernel: np.ndarray, train: np.ndarray, test: np.ndarray, noise: float = NOISE) -> np.ndarray:
    """Posterior variance K_tt - K_tS (K_SS + noise I)^-1 K_St of each test perturbation."""
    across = kernel[np.ix_(train, test)]
    inner = kernel[np.ix_(train, train)] + noise * np.eye(len(train))
    return kernel.diagonal()[test] - np.einsum("st,st->t", across, np.linalg.solve(inner, across))


def distances(
    outcomes: Outcomes,
    predictors: Mapping[str, Any],
    chosen: Mapping[str, np.ndarray],
    split: Split,
    budgets: tuple[int, ...],
) -> pd.DataFrame:
    """A row per arm, budget and test perturbation.

    nearest: kernel similarity of the nearest pick. variance: what remains of the prior variance of 1. sum_base, sum_go,
    sum_other: squared errors summed over its labelled pairs, of base rates and of two predictors; pairs: how many.
    """
    kernel = predictors[KERNEL].kernel
    rows = outcomes.rows
    mask = np.isin(rows, split.test)
    of_test, columns, labels = np.searchsorted(split.test, rows[mask]), outcomes.columns[mask], outcomes.labels[mask]
    size = len(split.test)
    at = [budget for budget in AT if budget in budgets] or [min(budgets)]
    tables = []
    for arm in (name for name in ARMS if name in chosen):
        for budget in (budget for budget in at if budget <= len(chosen[arm])):
            train = chosen[arm][:budget]
            base = base_rates(outcomes, train)
            table = {
                "seed": split.seed,
                "arm": arm,
                "budget": budget,
                "perturbation": [outcomes.perturbations[i] for i in split.test],
                "pairs": np.bincount(of_test, minlength=size),
                "nearest": kernel[np.ix_(split.test, train)].max(1).round(5),
                "variance": remaining_variance(kernel, train, split.test).round(5),
                "sum_base": np.bincount(of_test, (base[columns] - labels) ** 2, size).round(5),
            }
            for name in (name for name in PREDICTORS if name in predictors):
                method, inner = predictors[name]
                excess = method(inner, outcomes, train, split.test, base)[of_test, columns]
                error = (base[columns] + excess - labels) ** 2
                table[f"sum_{PREDICTORS[name]}"] = np.bincount(of_test, error, size).round(5)
            tables.append(pd.DataFrame(table))
    return pd.concat(tables) if tables else pd.DataFrame()
