"""The table of the README from the stored metrics: mean over splits, and standard deviation among them."""

from pathlib import Path

import pandas as pd
from run import OWN_COEXPRESSION

from perturb_jax.evaluation.metrics import METRICS
from perturb_jax.predictors.names import PREDICTOR_NAMES

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    table = pd.read_csv(RESULTS / "metrics.csv")
    per_split = table.groupby(["predictor", "split"])[[*METRICS, "seconds"]].mean()
    mean, deviation = (per_split.groupby("predictor").agg(part) for part in ("mean", "std"))
    lines = ["| predictor | " + " | ".join(METRICS) + " | seconds |", "|---" * (len(METRICS) + 2) + "|"]
    for name in [name for name in PREDICTOR_NAMES if name in mean.index]:
        cells = [f"{mean.loc[name, key]:.3f} ± {deviation.loc[name, key]:.3f}" for key in METRICS]
        cells = ["undefined" if "nan" in cell else cell for cell in cells]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {mean.loc[name, 'seconds']:.1f} |")
    own = per_split.xs(OWN_COEXPRESSION) - per_split.xs("gears-reference")
    cells = [f"{own[key].mean():+.3f} ± {own[key].std():.3f}" for key in METRICS]
    difference = ["| splits | " + " | ".join(METRICS) + " |", "|---" * (len(METRICS) + 1) + "|"]
    difference.append(f"| {own['mse'].notna().sum()} | " + " | ".join(cells) + " |")
    for name, table_lines in (("table.md", lines), ("coexpression.md", difference)):
        (RESULTS / name).write_text("\n".join(table_lines) + "\n")
        print("\n".join(table_lines))


if __name__ == "__main__":
    main()
