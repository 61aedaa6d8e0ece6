"""Tables of what the design's options and the predictors' shrinkage do."""

import pandas as pd
from layout import AT, MEASURE, cell, markdown, present
from summary import GO, GO_TWO, OTHER, TERMS, arms_of, budgets_of, difference, level, per_seed, predictors_of


def sensitivity_table(table: pd.DataFrame) -> str:
    """Every variant of the design: difference to Random, and to the default of its criterion."""
    return _variants_table(table, "sensitivity")


def confirmation_table(table: pd.DataFrame) -> str:
    """The same on the seeds that had no part in it."""
    return _variants_table(table, "confirmation")


def _variants_table(table: pd.DataFrame, study: str) -> str:
    values, reference = per_seed(table, study, MEASURE), per_seed(table, "main", MEASURE)
    budgets, parts = budgets_of(table, study), []
    for name in predictors_of(table, (GO, GO_TWO, TERMS, OTHER)):
        rows = []
        for arm in arms_of(table, study):
            default = arm.split()[0]
            to_random = [cell(difference(values, name, arm, budget, "random", reference)) for budget in budgets]
            to_default = [cell(difference(values, name, arm, budget, default)) for budget in budgets]
            rows.append([arm, *to_random, *([""] * len(budgets) if arm == default else to_default)])
        header = ["variant", *(f"{b}, to random" for b in budgets), *(f"{b}, to default" for b in budgets)]
        parts.append(f"**{name}**\n\n" + markdown(header, rows))
    return "\n\n".join(parts)


def options_table(table: pd.DataFrame) -> str:
    """Options of the variance design less its default: seeds that suggest, and others that confirm."""
    studies = {study: per_seed(table, study, MEASURE) for study in ("sensitivity", "confirmation")}
    seeds = {study: table.loc[table["study"] == study, "seed"] for study in studies}
    places = [
        (name, budget, study)
        for name in predictors_of(table, (GO, OTHER))
        for budget in present(table, AT)
        for study in studies
    ]
    rows = [
        [arm.removeprefix("variance "), *(cell(difference(studies[s], n, arm, b, "variance")) for n, b, s in places)]
        for arm in arms_of(table, "sensitivity")
        if arm.startswith("variance ")
    ]
    header = [f"{name}, {budget} picks, seeds {seeds[s].min()} to {seeds[s].max()}" for name, budget, s in places]
    return markdown(["option", *header], rows)


def shrinkage_table(table: pd.DataFrame) -> str:
    """Whether the fixed shrinkage of the predictors matters."""
    rows = []
    for name in predictors_of(table, (GO, GO_TWO, TERMS, OTHER)):
        for study, shrinkage in (("shrinkage 0.25", 0.25), ("main", 1), ("shrinkage 4", 4)):
            values = per_seed(table, study, MEASURE)
            for budget in present(table, AT):
                own = (cell(difference(values, name, arm, budget)) for arm in ("design variance", "design facility"))
                rows.append([name, shrinkage, budget, f"{level(values, name, 'random', budget).mean:.3f}", *own])
    return markdown(["predictor", "shrinkage", "picks", "random", "design variance", "design facility"], rows)
