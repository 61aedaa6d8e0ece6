"""Compare simulated cells with real ones in a picture: mean and variance, DE genes, distances of perturbations.

::

    python experiments/simulation/compare.py --norman CELLS.h5ad --adamson DISTANCES.csv

``CELLS.h5ad`` as for `scripts/fit_simulation.py`; ``DISTANCES.csv`` holds E-distances between the guides of Adamson et
al. 2016 (scPerturb, MIT). Writes comparison.png and comparison.json beside this file.
"""

import argparse
import json
from pathlib import Path

import anndata
import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

import perturb_jax as pj
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.simulate import simulate_screen
from perturb_jax.screen.simulation_model import ADAMSON

HERE = Path(__file__).parent
REAL, SIMULATED = "#000000", "#0072B2"
SEEDS = 10
GENES = 95  # of Norman's 500 that were fitted: 30 counts or more
ADAMSON_CONTROLS = ("63(mod)_pBA580", "Gal4-4(mod)_pBA582")


def norman(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and number of cells per condition, control first, of genes with 30 counts or more."""
    cells = anndata.read_h5ad(path)
    cells = cells[cells.obs["dataset"] == "norman19"]
    values, condition = cells.X.toarray(), cells.obs["condition"].astype(str).to_numpy()
    scaled = np.expm1(values)
    unit = np.array([row[row > 0].min() for row in scaled])
    values = values[:, np.round(scaled / unit[:, None]).sum(0) >= 30]
    names = ["control", *sorted(set(condition) - {"control"})]
    groups = [values[condition == name] for name in names]
    mean, variance = (np.stack([getattr(group, part)(axis=0) for group in groups]) for part in ("mean", "var"))
    return mean, variance, np.array([len(group) for group in groups]), np.sort(values.mean(0))


def de_numbers(mean: np.ndarray, variance: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Sorted numbers of genes with p < 0.01 in Welch's test against control, the first row."""
    error = variance / (count[:, None] - 1)
    both = error[1:] + error[0]
    freedom = both**2 / (error[1:] ** 2 / (count[1:, None] - 1) + error[0] ** 2 / (count[0] - 1) + 1e-300)
    t = np.abs(mean[1:] - mean[0]) / np.sqrt(np.maximum(both, 1e-300))
    return np.sort((2 * stats.t.sf(t, np.maximum(freedom, 1)) < 0.01).sum(1))


def rows(screen: Screen) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and cells of a screen, control first."""
    mean = np.concatenate([screen.control_mean[None], screen.mean])
    variance = np.concatenate([screen.control_variance[None], screen.variance])
    return mean, variance, np.array([screen.control_count, *screen.cell_counts])


def distances(mean: np.ndarray) -> np.ndarray:
    """Squared-Euclidean E-distances 2 |m_i - m_j|^2 of expected means, of all pairs."""
    squares = (mean**2).sum(1)
    every = 2 * (squares[:, None] + squares - 2 * mean @ mean.T)
    return every[np.triu_indices(len(mean), 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--norman", type=Path, required=True)
    parser.add_argument("--adamson", type=Path, required=True)
    args = parser.parse_args()
    graph = pj.load_go_graph()
    real_mean, real_variance, real_count, _ = norman(args.norman)
    real_de = de_numbers(real_mean, real_variance, real_count)
    names = [f"gene{i}" for i in range(GENES)]
    like_norman = [
        rows(simulate_screen(graph, len(real_de), names, 100, control_cells=100, seed=seed)) for seed in range(SEEDS)
    ]
    simulated_de = np.stack([de_numbers(*part) for part in like_norman])
    table = pd.read_csv(args.adamson, index_col=0).drop(index=list(ADAMSON_CONTROLS), columns=list(ADAMSON_CONTROLS))
    adamson = table.to_numpy()[np.triu_indices(len(table), 1)]
    simulated = np.stack(
        [
            distances(
                simulate_screen(
                    graph, ADAMSON.perturbations, 2_000, ADAMSON.cells, control_cells=50, moments="expected", seed=seed
                ).mean
            )
            for seed in range(3)
        ]
    )
    draw(real_mean[0], real_variance[0], like_norman[0], real_de, simulated_de, adamson, simulated)
    shares = (5, 25, 50, 75, 95)
    record = {
        "DE genes, Norman": real_de.tolist(),
        "DE genes, simulated, mean of sorted": simulated_de.mean(0).round(1).tolist(),
        "E-distance percentiles": shares,
        "Adamson": np.percentile(adamson, shares).round(1).tolist(),
        "simulated, per seed": [np.percentile(part, shares).round(1).tolist() for part in simulated],
        "spread of log E-distance": {
            "Adamson": round(float(np.log(adamson).std()), 2),
            "simulated, per seed": [round(float(np.log(part).std()), 2) for part in simulated],
        },
    }
    (HERE / "comparison.json").write_text(json.dumps(record, indent=1) + "\n")


def draw(
    real_mean: np.ndarray, real_variance: np.ndarray, simulated: tuple[np.ndarray, ...], real_de: np.ndarray,
    simulated_de: np.ndarray, adamson: np.ndarray, distance: np.ndarray,
) -> None:  # fmt: skip
    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left"})
    mpl.rcParams.update({"legend.frameon": False, "font.size": 10, "axes.titlesize": 10.5})
    figure = Figure((13, 4.3), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for mean, variance, color, label, marker in (
        (simulated[0][0], simulated[1][0], SIMULATED, "simulated, one seed", "o"),
        (real_mean, real_variance, REAL, "real: Norman 2019", "x"),
    ):
        left.scatter(mean[mean > 0], variance[mean > 0], s=22, alpha=0.7, color=color, marker=marker, label=label)
    left.set(xscale="log", yscale="log", xlabel="mean of log1p expression", ylabel="variance")
    left.set_title(f"{GENES} genes in 100 control cells")
    ranks = np.arange(1, len(real_de) + 1)
    low, high = simulated_de.min(0), simulated_de.max(0)
    middle.fill_between(ranks, low, high, color=SIMULATED, alpha=0.2, linewidth=0, label=f"range of {SEEDS} seeds")
    middle.plot(ranks, simulated_de.mean(0), color=SIMULATED, linewidth=2.2, label="simulated, mean")
    middle.plot(ranks, real_de, "x", color=REAL, label="real: Norman 2019")
    middle.set(xlabel="perturbations, weakest first", ylabel="genes with p < 0.01", ylim=(0, None))
    middle.set_title("Differentially expressed genes (fitted)")
    share = np.linspace(0.5, 99.5, 200)
    for number, part in enumerate(distance):
        label = "simulated, 3 seeds" if number == 0 else None
        right.plot(share, np.percentile(part, share), color=SIMULATED, linewidth=1.6, label=label)
        scaled = part * np.median(adamson) / np.median(part)
        label = "simulated, scaled to Adamson's median" if number == 0 else None
        right.plot(share, np.percentile(scaled, share), color=SIMULATED, linewidth=1, linestyle=":", label=label)
    right.plot(share, np.percentile(adamson, share), color=REAL, linestyle="--", label="real: Adamson 2016")
    right.set(yscale="log", xlabel="percentile of pairs of perturbations", ylabel="E-distance")
    right.set_title("Distances between perturbations (not fitted)")
    for axes in (left, middle, right):
        axes.legend(fontsize=8.5)
    figure.savefig(HERE / "comparison.png", dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
