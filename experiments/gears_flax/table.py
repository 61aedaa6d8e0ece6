"""The tables of the README from the stored errors: means over seeds, and differences paired by seed.

    python experiments/gears_flax/table.py

Reads the simulated cases here, and the real cells of ../norman19.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

HERE = Path(__file__).parent
RESULTS = HERE / "results"
NORMAN = HERE.parent / "norman19" / "results" / "metrics.csv"
REFERENCE, OURS, FIRST_ROW = "gears-reference", "gears-flax", "gears-flax, first row only"
SHOWN = REFERENCE, OURS, FIRST_ROW, "graph-gp", "training-mean"
PAIRS = ((OURS, REFERENCE), (FIRST_ROW, OURS))
METRICS = ("mse_de", "pearson_de")


def main() -> None:
    simulated = [_errors(path) for path in sorted(RESULTS.glob("*/*.json"))]
    errors = pd.concat([*simulated, _norman()], ignore_index=True)
    errors.to_csv(RESULTS / "errors.csv", index=False)
    text = "\n".join(_means(errors)) + "\n\n" + "\n".join(_differences(errors)) + "\n"
    (RESULTS / "table.md").write_text(text)
    print(text, end="")


def _errors(path: Path) -> pd.DataFrame:
    """One row: what a predictor's mean errors on a screen's test perturbations are."""
    case, _, seed = path.stem.rpartition("-")
    errors = pd.read_csv(path.with_suffix(".csv"))[list(METRICS)].mean()
    return pd.DataFrame([{"predictor": path.parent.name, "case": case, "seed": int(seed), **errors}])


def _norman() -> pd.DataFrame:
    """The same of every split of the real cells."""
    metrics = pd.read_csv(NORMAN)
    means = metrics.groupby(["predictor", "split"], as_index=False)[list(METRICS)].mean()
    means = means[means["predictor"].isin(SHOWN)].rename(columns={"split": "seed"})
    means.insert(1, "case", "norman19")
    return means


def _means(errors: pd.DataFrame) -> list[str]:
    """Over the seeds that the reference and the Flax GEARS have; empty where a predictor lacks one of them."""
    lines = [f"| case | seeds | metric | {' | '.join(SHOWN)} |", "|---" * (3 + len(SHOWN)) + "|"]
    for case, wide in _by_case(errors):
        both = wide["mse_de"][[REFERENCE, OURS]].dropna().index
        for metric in METRICS:
            table = wide[metric].reindex(columns=list(SHOWN)).loc[both]
            cells = [f"{table[name].mean():.3f}" if table[name].notna().all() else "" for name in SHOWN]
            lines.append(f"| {case} | {len(both)} | {metric} | {' | '.join(cells)} |")
    return lines


def _differences(errors: pd.DataFrame) -> list[str]:
    pairs = " | ".join(f"{one} less {other}" for one, other in PAIRS)
    lines = [f"| case | metric | {pairs} |", "|---" * (2 + len(PAIRS)) + "|"]
    for case, wide in _by_case(errors):
        for metric in METRICS:
            table = wide[metric].reindex(columns=list(SHOWN))
            cells = [_interval((table[one] - table[other]).dropna()) for one, other in PAIRS]
            lines.append(f"| {case} | {metric} | {' | '.join(cells)} |")
    return lines


def _by_case(errors: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """A table for each case: seeds x (metric, predictor)."""
    return [
        (str(case), part.pivot_table(index="seed", columns="predictor", values=list(METRICS)))
        for case, part in errors.groupby("case")
    ]


def _interval(difference: pd.Series) -> str:
    """Mean and half a 95 % t interval over seeds, none for one seed; and how many seeds."""
    if difference.empty:
        return ""
    text = f"{difference.mean():+.3f}"
    if len(difference) > 1:
        text += f" ± {t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / np.sqrt(len(difference)):.3f}"
    return f"{text} ({len(difference)})"


if __name__ == "__main__":
    main()
