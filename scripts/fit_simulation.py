"""Fit the numbers of `perturb_jax.screen.simulation_model` to real cells; only the numbers go into the package.

::

    python scripts/fit_simulation.py --norman CELLS.h5ad --datlinger DIRECTORY     # or one; the other's numbers stay

``CELLS.h5ad`` holds Norman et al. 2019 as log1p of counts scaled to 10,000 (perturbench's development file, BSD-3),
``DIRECTORY`` counts of Datlinger et al. 2017 (scPerturb's test data, MIT): matrix.mtx.gz, metadata.csv.gz.

Per gene with at least 30 counts, n the counts of cells with library sizes L, conditions c, mu = L * rate_c:

- rate: counts of the gene / all counts;
- dispersion: sum((n - mu)^2 * k / (k - 1) - mu) / sum(mu^2) within conditions of k cells; a gene whose estimate is
  below twice its standard error gets the median of well-estimated genes, none less than `LEAST_DISPERSION`;
- response: sqrt(log(1 + CV^2)), CV^2 the variance of rates between perturbations relative to the squared mean rate,
  less sampling error; 0 where below twice what sampling alone spreads it by.

The other genes of Norman et al. are background. The numbers of their counts, 0 to 29, are taken as Poisson with gamma
rates: shape and scale by maximum likelihood, a gene's rate the posterior mean. Their dispersion is the median of
well-estimated genes, their response 0: neither shows in so few counts.

Then the share of null perturbations and the spread of log strengths: the pair on a grid whose simulated cells, of the
fitted genes, have numbers of DE genes (Welch's t, p < 0.01, against control) nearest to the real ones: least squares
between sorted square roots, averaged over 20 simulations. Deterministic: the same cells give the same file.
"""

import argparse
import gzip
import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.io
from scipy import optimize, stats

from perturb_jax.screen.kernels import negative_binomial
from perturb_jax.screen.simulation_model import FITTED, LARGEST_CHANGE, LEAST_DISPERSION, SCALE, draw_strengths

LEAST_COUNTS = 30
NULLS = np.arange(0, 0.65, 0.1)
SPREADS = np.arange(0.2, 1.7, 0.2)
REPEATS = 20
P_VALUE = 0.01

Cells = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Counts [cells, genes], library sizes [cells], conditions [cells], control called "control"."""


def read_norman(path: Path) -> Cells:
    """Counts from log1p of scaled ones: a cell's smallest value other than 0 belongs to a count of 1."""
    cells = anndata.read_h5ad(path)
    cells = cells[cells.obs["dataset"] == "norman19"]
    scaled = np.expm1(cells.X.toarray())
    unit = np.array([row[row > 0].min() for row in scaled])
    return np.round(scaled / unit[:, None]), SCALE / unit, cells.obs["condition"].astype(str).to_numpy()


def read_datlinger(directory: Path) -> Cells:
    """Stimulated cells alone: stimulation changes more than any perturbation."""
    about = pd.read_csv(directory / "metadata.csv.gz")
    with gzip.open(directory / "matrix.mtx.gz") as file:
        counts = scipy.io.mmread(file).tocsc()
    kept = (about["perturbation_2"] == "stimulated").to_numpy()
    counts = counts[:, kept].T.toarray().astype(float)
    return counts, about["ncounts"].to_numpy(float)[kept], about["perturbation"].to_numpy(str)[kept]


def fit_genes(cells: Cells) -> tuple[np.ndarray, dict[str, np.ndarray], float]:
    """The columns that can be fitted; their rate, dispersion and response; the median of well-estimated dispersions."""
    counts, library, condition = cells
    kept = np.flatnonzero(counts.sum(0) >= LEAST_COUNTS)
    counts = counts[:, kept]
    rate = counts.sum(0) / library.sum()
    excess, squares, noise = np.zeros((3, len(kept)))
    rates, errors = [], []
    for name in sorted(set(condition)):
        rows = condition == name
        size = rows.sum()
        own = counts[rows].sum(0) / library[rows].sum()
        mean = library[rows, None] * own
        excess += ((counts[rows] - mean) ** 2 * size / (size - 1) - mean).sum(0)
        squares += (mean**2).sum(0)
        noise += (2 * mean**2 + mean).sum(0)  # variance of the terms of `excess` for Poisson counts
        if name != "control":
            rates.append(own)
            errors.append((1 / library[rows].sum(), (library[rows] ** 2).sum() / library[rows].sum() ** 2))
    dispersion, error = excess / squares, np.sqrt(noise) / squares
    typical = np.median(dispersion[error < 0.2])
    dispersion = np.where(dispersion < 2 * error, typical, dispersion)
    dispersion = np.maximum(dispersion, LEAST_DISPERSION)
    poisson, extra = np.mean(errors, axis=0)
    sampling = poisson / rate + dispersion * extra
    variation = np.var(rates, axis=0, ddof=1) / rate**2 - sampling
    variation[variation < 2 * sampling * np.sqrt(2 / (len(rates) - 1))] = 0
    return kept, {"rate": rate, "dispersion": dispersion, "response": np.sqrt(np.log1p(variation))}, float(typical)


def fit_background(cells: Cells) -> np.ndarray:
    """Sorted rates of the genes with fewer than `LEAST_COUNTS` counts."""
    counts, library, _ = cells
    found = np.sort(counts.sum(0))
    found = found[found < LEAST_COUNTS]
    total = library.sum()

    def misfit(logs: np.ndarray) -> float:
        """Negative log likelihood of gamma rates, given that each gene has fewer counts."""
        shape, odds = np.exp(logs)  # odds: the gamma distribution's scale, times the total
        law = stats.nbinom(shape, 1 / (1 + odds))
        return float(-(law.logpmf(found) - law.logcdf(LEAST_COUNTS - 1)).sum())

    shape, odds = np.exp(optimize.minimize(misfit, np.zeros(2), method="Nelder-Mead").x)
    return (found + shape) / (1 + 1 / odds) / total


def count_de(expression: np.ndarray, condition: np.ndarray) -> np.ndarray:
    """Sorted numbers of DE genes of the perturbations."""
    control = expression[condition == "control"]
    numbers = []
    for name in sorted(set(condition) - {"control"}):
        with np.errstate(invalid="ignore", divide="ignore"):
            result = stats.ttest_ind(expression[condition == name], control, equal_var=False)
        numbers.append(np.sum(result.pvalue < P_VALUE))  # NaN, where neither varies, is not below
    return np.sort(numbers)


def simulate(genes: dict[str, np.ndarray], cells: Cells, null: float, spread: float, seed: int) -> np.ndarray:
    """Expression in simulated cells with the real library sizes and conditions."""
    _, library, condition = cells
    rng = np.random.default_rng(seed)
    expression = np.zeros((len(library), len(genes["rate"])), np.float32)
    for name in sorted(set(condition)):
        rows = np.flatnonzero(condition == name)
        strength = 0.0 if name == "control" else draw_strengths(1, null, spread, rng)[0]
        change = strength * genes["response"] * rng.standard_normal(len(genes["rate"]))
        rate = genes["rate"] * np.exp(np.clip(change, -LARGEST_CHANGE, LARGEST_CHANGE))
        own = rng.standard_normal((len(rows), len(rate)), np.float32)
        alone = np.zeros((len(rows), 1)), np.zeros(len(rate), np.int64), 0.0  # genes of a cell do not correlate
        data, columns, ends = negative_binomial(rate, 1 / genes["dispersion"], library[rows], *alone, own, SCALE)
        expression[np.repeat(rows, np.diff(ends)), columns] = data
    return expression


def fit(name: str, cells: Cells, background: bool) -> dict[str, object]:
    counts, library, condition = cells
    kept, genes, typical = fit_genes(cells)
    rare = {"background": _short(fit_background(cells)), "background_dispersion": round(typical, 4)}
    real = count_de(np.log1p(SCALE * counts[:, kept] / library[:, None]), condition)
    misfits = {}
    for null in NULLS:
        for spread in SPREADS:
            numbers = [count_de(simulate(genes, cells, null, spread, seed), condition) for seed in range(REPEATS)]
            misfits[null, spread] = np.mean((np.sqrt(numbers).mean(0) - np.sqrt(real)) ** 2)
    null, spread = min(misfits, key=misfits.__getitem__)
    print(f"{name}: {len(kept)} genes, {len(real)} perturbations, DE genes {real.tolist()}")
    print(f"  null {null:.1f}, spread {spread:.1f}, mean squared error of sqrt(DE genes) {misfits[null, spread]:.3f}")
    print(f"  worst on the grid {max(misfits.values()):.3f}, without null {min(misfits[0, s] for s in SPREADS):.3f}")
    return {
        **{part: _short(values) for part, values in genes.items()},
        **(rare if background else {}),
        "library_median": round(float(np.median(library))),
        "library_spread": round(float(np.log(library).std()), 3),
        "null": round(float(null), 2),
        "strength_spread": round(float(spread), 2),
        "cells": len(library),
        "perturbations": len(real),
        "de_genes": real.tolist(),
    }


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--norman", type=Path)
    parser.add_argument("--datlinger", type=Path)
    parser.add_argument("--out", type=Path, default=FITTED)
    args = parser.parse_args()
    record = json.loads(args.out.read_text()) if args.out.exists() else {}
    if args.norman is not None:
        source = "Norman et al. 2019; altoslabs/perturbench, BSD-3-Clause"
        record["norman19"] = {"source": source, **fit("norman19", read_norman(args.norman), background=True)}
    if args.datlinger is not None:
        source = "Datlinger et al. 2017; sanderlab/scPerturb, MIT"
        cells = read_datlinger(args.datlinger)
        record["datlinger17"] = {"source": source, **fit("datlinger17", cells, background=False)}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
