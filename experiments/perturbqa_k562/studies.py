"""What is computed for one seed: three studies, each a list of rows, none of them averaged."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from arms import (
    BUDGETS,
    DRAWS,
    MAXSPEC_LIMIT,
    RANDOM_BUDGETS,
    Arm,
    confirmation_arms,
    main_arms,
    random_arm,
    sensitivity_arms as sensitivity_variants,
)
from data import Outcomes, Split
from distance import distances
from features import LITERATURE, PATHWAYS, cosine, graph_features, jaccard, linear, listed_features, term_features
from predictors import base_rates, ridge, smoothing
from skill import TestPairs, skills

import perturb_jax as pj

SENSITIVITY_PREDICTORS = ("ridge go k=1", "ridge go k=2", "smooth go jaccard", "ridge other")
SENSITIVITY_LIMIT = 400
SHRINKAGE = (0.25, 4.0)
SHRINKAGE_ARMS = ("design variance", "design facility")

Rows = list[dict[str, Any]]


class Fit(NamedTuple):
    """A predictor and the kernel it works with."""

    method: Callable[..., np.ndarray]
    kernel: np.ndarray


class Problem(NamedTuple):
    """Everything that all seeds share."""

    graph: pj.KnowledgeGraph
    outcomes: Outcomes
    predictors: dict[str, Fit]
    budgets: tuple[int, ...] = BUDGETS

    @property
    def random_budgets(self) -> tuple[int, ...]:
        """Random is also drawn in between, so that its curve can be read off."""
        between = (budget for budget in RANDOM_BUDGETS if min(self.budgets) < budget < max(self.budgets))
        return tuple(sorted({*self.budgets, *between}))

    @property
    def limited(self) -> tuple[int, ...]:
        """The budgets of the studies of options."""
        return tuple(budget for budget in self.budgets if budget <= SENSITIVITY_LIMIT)


def predictors(graph: pj.KnowledgeGraph, outcomes: Outcomes, listed: Path | None) -> dict[str, Fit]:
    """The predictors by name; those whose features are not from GO only where a table of features is given."""
    names = outcomes.perturbations
    one, two = (graph_features(graph, names, hops) for hops in (1, 2))
    fits = {
        "smooth go k=1": Fit(smoothing, cosine(one)),
        "smooth go k=2": Fit(smoothing, cosine(two)),
        "smooth go jaccard": Fit(smoothing, jaccard(term_features(names))),
        "ridge go k=1": Fit(ridge, linear(one)),
        "ridge go k=2": Fit(ridge, linear(two)),
    }
    if listed is not None:
        pathways, papers = (cosine(listed_features(listed, names, sources)) for sources in (PATHWAYS, LITERATURE))
        fits |= {
            "smooth pathways": Fit(smoothing, pathways),
            "smooth literature": Fit(smoothing, papers),
            "ridge other": Fit(ridge, (pathways + papers) / 2),
        }
    return fits


class Seed:
    """One split, ready to choose and to score."""

    def __init__(self, problem: Problem, split: Split) -> None:
        self.problem, self.split = problem, split
        names = problem.outcomes.perturbations
        self.number = {name: i for i, name in enumerate(names)}
        self.candidates = [names[i] for i in split.candidates]
        self.pairs = TestPairs(problem.outcomes, split.test)

    def choose(self, arm: Arm, budget: int) -> np.ndarray:
        """An arm's picks in order, as numbers of perturbations."""
        names = arm(self.problem.graph, self.candidates, self.problem.outcomes.perturbations, budget)
        return np.array([self.number[name] for name in names])

    def rows(
        self, study: str, arm: str, picks: np.ndarray, budgets: tuple[int, ...], wanted: tuple[str, ...] = (),
        shrinkage: float = 1.0, **more: Any,
    ) -> Iterator[dict[str, Any]]:  # fmt: skip
        """A row per budget and predictor; all predictors where none is named."""
        outcomes = self.problem.outcomes
        for budget in (budget for budget in budgets if budget <= len(picks)):
            train = picks[:budget]
            base = base_rates(outcomes, train)
            for name, (method, kernel) in self.problem.predictors.items():
                if wanted and name not in wanted:
                    continue
                found = skills(self.pairs, method(kernel, outcomes, train, self.split.test, base, shrinkage), base)
                yield {
                    "study": study, "seed": self.split.seed, "arm": arm, "draw": 0, "budget": budget,
                    "predictor": name, "genes_averaged": len(self.pairs.genes),
                    **{measure: float(f"{value:.6g}") for measure, value in found.items()}, **more,
                }  # fmt: skip


def main_study(problem: Problem, split: Split) -> tuple[Rows, pd.DataFrame]:
    """Every arm and Random's draws, with every predictor; and how far the test perturbations are from the picks."""
    seed, largest = Seed(problem, split), max(problem.budgets)
    rows: Rows = []
    chosen: dict[str, np.ndarray] = {}
    for draw in range(DRAWS):
        picks = seed.choose(random_arm(split.seed, draw), largest)
        rows += seed.rows("main", "random", picks, problem.random_budgets, draw=draw)
        chosen.setdefault("random", picks)
    for name, arm in main_arms().items():
        start = time.perf_counter()
        chosen[name] = seed.choose(arm, min(largest, MAXSPEC_LIMIT) if name.startswith("maxspec") else largest)
        seconds = round(time.perf_counter() - start, 3)
        rows += seed.rows("main", name, chosen[name], problem.budgets, seconds=seconds)
    return rows, distances(problem.outcomes, problem.predictors, chosen, split, problem.budgets)


def sensitivity_study(problem: Problem, split: Split) -> Rows:
    """Options of the design, and shrinkage of the predictors."""
    seed, rows = Seed(problem, split), _variants(problem, split, "sensitivity", sensitivity_variants())
    draws = {("random", draw): random_arm(split.seed, draw) for draw in range(DRAWS)}
    arms = draws | {(name, 0): main_arms()[name] for name in SHRINKAGE_ARMS}
    for (name, draw), arm in arms.items():
        picks = seed.choose(arm, max(problem.limited))
        for shrinkage in SHRINKAGE:
            study = f"shrinkage {shrinkage:g}"
            rows += seed.rows(study, name, picks, problem.limited, SENSITIVITY_PREDICTORS, shrinkage, draw=draw)
    return rows


def confirmation_study(problem: Problem, split: Split) -> Rows:
    """The options again, on seeds that had no part in saying which look best."""
    return _variants(problem, split, "confirmation", confirmation_arms())


def _variants(problem: Problem, split: Split, study: str, arms: dict[str, Arm]) -> Rows:
    seed = Seed(problem, split)
    rows: Rows = []
    for name, arm in arms.items():
        picks = seed.choose(arm, max(problem.limited))
        rows += seed.rows(study, name, picks, problem.limited, SENSITIVITY_PREDICTORS)
    return rows
