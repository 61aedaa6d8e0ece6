"""Compare simulated cells with real ones in a picture: mean and variance, DE genes, sizes and distances of effects.

::

    python experiments/simulation/compare.py --norman CELLS.h5ad --adamson DISTANCES.csv

``CELLS.h5ad`` as for `scripts/fit_simulation.py`; ``DISTANCES.csv`` holds E-distances between the guides of Adamson et
al. 2016 (scPerturb, MIT). Writes comparison.png and comparison.json beside this file.
"""

import argparse
import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

import perturb_jax as pj
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.simulate import simulate_screen

HERE = Path(__file__).parent
REAL, SIMULATED = "#000000", "#0072B2"
SEEDS = 10
SIZES = (500, 1_000, 5_000)  # measured genes of screens in which perturbed genes are measured
SIZED = 100  # perturbations of those screens
ADAMSON_SIZE = 81, 800  # perturbations, cells of each, about
ADAMSON_CONTROLS = ("63(mod)_pBA580", "Gal4-4(mod)_pBA582")


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
    variance = np.concatenate([screen.control.variance[None], screen.perturbed.variance])
    return mean, variance, np.array([screen.control.cells, *screen.cell_counts])


def squared_changes(screen: Screen) -> tuple[np.ndarray, np.ndarray]:
    """Mean squared change of every perturbation [perturbations]: over the top 20 DE genes, and over all genes."""
    squares = screen.effects**2
    return np.take_along_axis(squares, screen.de_genes, axis=1).mean(1), squares.mean(1)


def silent(screen: Screen) -> int:
    """Genes that no cell of the screen expresses."""
    return int(((screen.control_mean == 0) & ~screen.nonzero.any(0)).sum())


def sizes(screens: list[Screen]) -> dict[str, object]:
    """What a record says about the sizes of effects: means over perturbations, a number per screen."""
    top, every = (np.array([squared_changes(screen)[part].mean() for screen in screens]) for part in range(2))
    return {
        "top 20 DE genes": top.round(3).tolist(),
        "all genes": every.round(4).tolist(),
        "genes in no cell": [silent(screen) for screen in screens],
    }


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
    real = pj.read_screen(args.norman, {"dataset": "norman19"}, condition="condition", progress=False)
    names = [f"gene{i}" for i in range(len(real.readouts))]  # none is perturbed: of Norman's one is
    like_norman = [
        simulate_screen(graph, len(real), names, 100, control_cells=int(real.control.cells), seed=seed)
        for seed in range(SEEDS)
    ]
    real_de = de_numbers(*rows(real))
    simulated_de = np.stack([de_numbers(*rows(screen)) for screen in like_norman])
    table = pd.read_csv(args.adamson, index_col=0).drop(index=list(ADAMSON_CONTROLS), columns=list(ADAMSON_CONTROLS))
    adamson = table.to_numpy()[np.triu_indices(len(table), 1)]
    simulated = np.stack(
        [
            distances(
                simulate_screen(
                    graph, ADAMSON_SIZE[0], 2_000, ADAMSON_SIZE[1], control_cells=50, moments="expected", seed=seed
                ).mean
            )
            for seed in range(3)
        ]
    )
    draw(real, like_norman, real_de, simulated_de, adamson, simulated)
    shares = (5, 25, 50, 75, 95)
    record = {
        "DE genes, Norman": real_de.tolist(),
        "DE genes, simulated, mean of sorted": simulated_de.mean(0).round(1).tolist(),
        "squared change": {
            "Norman": sizes([real]),
            "simulated, per seed": sizes(like_norman),
            f"simulated, {SIZED} perturbed genes measured, per seed": {
                f"{number} genes": sizes([simulate_screen(graph, SIZED, number, seed=seed) for seed in range(3)])
                for number in SIZES
            },
        },
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
    real: Screen, simulated: list[Screen], real_de: np.ndarray, simulated_de: np.ndarray, adamson: np.ndarray,
    distance: np.ndarray,
) -> None:  # fmt: skip
    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left"})
    mpl.rcParams.update({"legend.frameon": False, "font.size": 10, "axes.titlesize": 10.5})
    figure = Figure((11, 8.6), layout="constrained")
    noise, number, size, apart = figure.subplots(2, 2).ravel()
    for screen, color, label, marker in (
        (simulated[0], SIMULATED, "simulated, one seed", "o"),
        (real, REAL, "real: Norman 2019", "x"),
    ):
        seen = screen.control_mean > 0
        label = f"{label}: {seen.sum()} genes"
        where = screen.control_mean[seen], screen.control.variance[seen]
        noise.scatter(*where, s=22, alpha=0.7, color=color, marker=marker, label=label)
    noise.set(xscale="log", yscale="log", xlabel="mean of log1p expression", ylabel="variance")
    noise.set_title(f"Genes in {int(real.control.cells)} control cells, of {len(real.readouts)} (fitted)")
    changes = np.stack([np.sort(squared_changes(screen)[0]) for screen in simulated])
    for axes, ours, theirs in ((number, simulated_de, real_de), (size, changes, np.sort(squared_changes(real)[0]))):
        ranks = np.arange(1, len(theirs) + 1)
        label = f"range of {SEEDS} seeds"
        axes.fill_between(ranks, ours.min(0), ours.max(0), color=SIMULATED, alpha=0.2, linewidth=0, label=label)
        axes.plot(ranks, ours.mean(0), color=SIMULATED, linewidth=2.2, label="simulated, mean")
        axes.plot(ranks, theirs, "x", color=REAL, label="real: Norman 2019")
        axes.set(xlabel="perturbations, weakest first")
    number.set(ylabel="genes with p < 0.01", ylim=(0, None))
    number.set_title("Differentially expressed genes (fitted)")
    size.set(yscale="log", ylabel="mean squared change")
    size.set_title("Change of the top 20 DE genes (not fitted)")
    share = np.linspace(0.5, 99.5, 200)
    for seed, part in enumerate(distance):
        label = "simulated, 3 seeds" if seed == 0 else None
        apart.plot(share, np.percentile(part, share), color=SIMULATED, linewidth=1.6, label=label)
    apart.plot(share, np.percentile(adamson, share), color=REAL, linestyle="--", label="real: Adamson 2016")
    apart.set(yscale="log", xlabel="percentile of pairs of perturbations", ylabel="E-distance")
    apart.set_title("Distances between perturbations (not fitted)")
    for axes in (noise, number, size, apart):
        axes.legend(fontsize=8.5)
    figure.savefig(HERE / "comparison.png", dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
