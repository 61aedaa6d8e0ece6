"""Validation error against time on the screen of Adamson's size, as ../benchmarks/gears_flax_training.py measured it.

python experiments/gears_flax/plot.py
"""

from pathlib import Path

import matplotlib
import pandas as pd

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
MEASURED = HERE.parent / "benchmarks" / "results" / "gears_flax_training.csv"
REFERENCE, OURS = "#d1661f", "#1f5a94"


def main() -> None:
    table = pd.read_csv(MEASURED)
    figure, panel = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
    for name, own in table.groupby("contender"):
        of = own.sort_values("repeat")
        errors = of.loc[of["measure"] == "validation MSE, top 20", "value"].to_numpy()
        seconds = of.loc[of["unit"] == "s", "value"].to_numpy()
        if name == "cell-gears":
            panel.plot(seconds, errors, "o-", color=REFERENCE, markersize=6, label="cell-gears, an epoch a point")
            panel.axhline(errors.min(), color=REFERENCE, linewidth=0.8, linestyle="--")
        else:
            label = "Flax, five seeds, 20 steps a point" if str(name).endswith("0") else None
            panel.plot(seconds, errors, ".-", color=OURS, markersize=3, linewidth=0.9, label=label)
    case = table["case"].iloc[0].partition(": ")[2]
    panel.set(xscale="log", xlabel="seconds of training, compilation included",
              ylabel="validation MSE, 20 most changed genes", title=f"Simulated: {case}")  # fmt: skip
    panel.grid(alpha=0.3)
    panel.legend()
    figure.savefig(HERE / "results" / "validation.png", dpi=130)


if __name__ == "__main__":
    main()
