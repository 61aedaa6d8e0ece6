"""The table of the README from the stored errors: the Flax GEARS less the reference, paired by seed."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

RESULTS = Path(__file__).parent / "results"
REFERENCE, OURS = "gears-reference", "gears-flax"
OTHERS = "graph-gp", "training-mean"
METRICS = ("mse_de", "pearson_de")


def main() -> None:
    table = pd.concat([_errors(path) for path in sorted(RESULTS.glob("*/*.json"))], ignore_index=True)
    table.to_csv(RESULTS / "errors.csv", index=False)
    names = REFERENCE, OURS, *OTHERS
    lines = [f"| case | seeds | metric | {' | '.join(names)} | Flax less reference |", "|---" * (4 + len(names)) + "|"]
    for case, of_case in table.groupby("case"):
        wide = of_case.pivot_table(index="seed", columns="predictor", values=list(METRICS))
        for metric in METRICS:
            both = wide[metric][list(names)].dropna()
            difference = both[OURS] - both[REFERENCE]
            interval = f"{difference.mean():+.3f}" + _half_width(difference)
            means = " | ".join(f"{both[name].mean():.3f}" for name in names)
            lines.append(f"| {case} | {len(both)} | {metric} | {means} | {interval} |")
    (RESULTS / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _errors(path: Path) -> pd.DataFrame:
    """One row: what a predictor's mean errors on a screen's test perturbations are."""
    case, _, seed = path.stem.rpartition("-")
    errors = pd.read_csv(path.with_suffix(".csv"))[list(METRICS)].mean()
    return pd.DataFrame([{"predictor": path.parent.name, "case": case, "seed": int(seed), **errors}])


def _half_width(difference: pd.Series) -> str:
    """Of the t interval over seeds; none for one seed."""
    if len(difference) < 2:
        return ""
    return f" ± {t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / np.sqrt(len(difference)):.3f}"


if __name__ == "__main__":
    main()
