"""Validation error against time on the Adamson-sized simulated screen, as ../benchmarks/gears_flax.py measured it.

python experiments/gears_flax/plot.py
"""

from pathlib import Path

import matplotlib
import pandas as pd

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
MEASURED = HERE.parent / "benchmarks" / "results" / "gears_flax.csv"
COLOURS = {"PyTorch": "#d1661f", "Flax": "#1f5a94"}


def main() -> None:
    table = pd.read_csv(MEASURED)
    table = table[table["case"].str.startswith("cells-800")]
    figure, panel = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
    for name, colour in COLOURS.items():
        of = table[table["contender"] == name].sort_values("repeat")
        errors = of.loc[of["measure"] == "validation MSE, top 20", "value"].to_numpy()
        seconds = of.loc[of["unit"] == "s", "value"].to_numpy()
        panel.plot(seconds, errors, "o-", color=colour, markersize=3 if name == "Flax" else 6)
        label = "cell-gears, an epoch a point" if name == "PyTorch" else "Flax, 20 steps a point, with compilation"
        panel.annotate(label, (seconds[-1], errors[-1]), xytext=(0, 12), textcoords="offset points",
                       color=colour, ha="right")  # fmt: skip
    case = table["case"].iloc[0].partition(": ")[2]
    panel.set(xscale="log", xlabel="seconds of training", ylabel="validation MSE, 20 most changed genes",
              title=f"Simulated: {case}")  # fmt: skip
    panel.grid(alpha=0.3)
    figure.savefig(HERE / "results" / "validation.png", dpi=130)


if __name__ == "__main__":
    main()
