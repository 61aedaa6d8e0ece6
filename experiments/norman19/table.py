"""The tables of the README, from what is stored: mean over splits, and standard deviation among them."""

import argparse
from pathlib import Path

import pandas as pd
from calibration import DRAWN, LEVELS, OBSERVED, TRUE
from duplicate import DUPLICATE
from run import OWN_COEXPRESSION

from perturb_jax.evaluation.metrics import BUILT_IN as METRICS
from perturb_jax.predictors.registry import PREDICTORS

REFERENCE = "gears-reference"

CALIBRATION = {
    "all that have an interval": ("all", OBSERVED),
    "of these, expressed in control cells": ("control", OBSERVED),
    "... the 3 perturbations with the smallest effects": ("control, small", OBSERVED),
    "... the 3 with the largest": ("control, large", OBSERVED),
    "of these, not in control cells": ("other", OBSERVED),
    "DE": ("DE", OBSERVED),
    "DE, if the model were right": (DRAWN, OBSERVED),
    "all that have an interval, true effect only": ("all", TRUE),
    "DE, true effect only": ("DE", TRUE),
}
"""Lines of the table, and what of `calibration.csv` they are."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    results = options.parse_args().results
    metrics = pd.read_csv(results / "metrics.csv")
    per_split = metrics.groupby(["predictor", "split"])[[*METRICS, "seconds"]].mean()
    tables = {"table.md": metrics_table(per_split)}
    if {OWN_COEXPRESSION, REFERENCE} <= set(metrics["predictor"]):
        tables["coexpression.md"] = difference_table(per_split)
    if (results / "calibration.csv").exists():
        tables["calibration.md"] = calibration_table(pd.read_csv(results / "calibration.csv"))
    for name, lines in tables.items():
        (results / name).write_text("\n".join(lines) + "\n")
        print("\n".join(lines))


def metrics_table(per_split: pd.DataFrame) -> list[str]:
    mean, deviation = (per_split.groupby("predictor").agg(part) for part in ("mean", "std"))
    lines = ["| predictor | " + " | ".join(METRICS) + " | seconds |", "|---" * (len(METRICS) + 2) + "|"]
    for name in [name for name in (*PREDICTORS.built_in, DUPLICATE) if name in mean.index]:
        cells = [f"{mean.loc[name, key]:.3f} ± {deviation.loc[name, key]:.3f}" for key in METRICS]
        cells = ["undefined" if "nan" in cell else cell for cell in cells]
        seconds = "" if name == DUPLICATE else f"{mean.loc[name, 'seconds']:.1f}"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {seconds} |")
    return lines


def difference_table(per_split: pd.DataFrame) -> list[str]:
    own = per_split.xs(OWN_COEXPRESSION) - per_split.xs(REFERENCE)
    cells = [f"{own[key].mean():+.3f} ± {own[key].std():.3f}" for key in METRICS]
    lines = ["| splits | " + " | ".join(METRICS) + " |", "|---" * (len(METRICS) + 1) + "|"]
    return [*lines, f"| {own['mse'].notna().sum()} | " + " | ".join(cells) + " |"]


def calibration_table(table: pd.DataFrame) -> list[str]:
    large = table.groupby(["split", "genes", "interval"])["size"].rank(pct=True) > 0.5
    sized = table[table["genes"] == "control"].copy()
    sized["genes"] = large[sized.index].map({True: "control, large", False: "control, small"})
    levels = list(map(str, LEVELS))
    per_split = pd.concat([table, sized]).groupby(["genes", "interval", "split"])[["count", *levels]].mean()
    mean, deviation = (per_split.groupby(["genes", "interval"]).agg(part) for part in ("mean", "std"))
    lines = ["| genes | genes per perturbation | " + " | ".join(f"{level} %" for level in levels) + " |"]
    lines.append("|---" * (len(levels) + 2) + "|")
    for title, key in CALIBRATION.items():
        cells = [f"{100 * mean.loc[key, level]:.1f} ± {100 * deviation.loc[key, level]:.1f}" for level in levels]
        lines.append(f"| {title} | {mean.loc[key, 'count']:.0f} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
