"""Whether the intervals of graph-gp cover what they say: a row per split, test perturbation, genes and interval."""

import numpy as np
import pandas as pd
from cells import Measured, options_of, read_measured, split_of
from jaxtyping import Float
from scipy.stats import norm

from perturb_jax.predictors.graph_gp import GraphGP
from perturb_jax.screen.split import Split

LEVELS = (50, 90, 95)
"""What the intervals say, in percent."""

OBSERVED, TRUE = "observed effect", "true effect"
"""Intervals of what is measured, and of what it measures, from which the measurement's own error is left out."""

DRAWN = "DE, drawn from the model"

_DRAWS = 200
_STREAM = 2  # its draws are not those of the splits, which have the same seeds


def main() -> None:
    options = options_of(__doc__.splitlines()[0])
    given = options.parse_args()
    measured = read_measured(given.cells, given.where)
    tables = [calibration_of(measured, split_of(measured, seed), seed) for seed in given.seeds]
    given.out.mkdir(parents=True, exist_ok=True)
    pd.concat(tables, ignore_index=True).to_csv(given.out / "calibration.csv", index=False)


def calibration_of(measured: Measured, split: Split, seed: int) -> pd.DataFrame:
    """Which share of a test perturbation's genes lies within their intervals, effect ± z_level * deviation.

    The variance is that of the true effect (`Fitted.uncertainties`), for the observed effect plus that of the mean of
    the test perturbation's cells, (variance among cells) / (cells - 1), gene by gene. The control mean's error is in
    neither: what is predicted and what is observed are both differences from the same control mean.

    Genes without an interval, whose effects are all equal in training, count nowhere; `unforeseen` is how many of them
    nevertheless differ from the prediction. `size` is the root of the mean squared observed effect, `farthest` the gene
    that is the most deviations away from its prediction, `away`.
    """
    screen, rows = measured.screen, measured.screen.index(split.test)
    fitted = GraphGP().fit(screen, measured.graph, split.train, split.validation, seed)
    effects = fitted.effects(split.test).astype(np.float64)
    true = fitted.uncertainties(split.test).astype(np.float64)
    error = screen.perturbed.variance[rows] / (screen.cell_counts[rows, None] - 1)
    observed = np.sqrt(true**2 + error)
    change = screen.effects[rows].astype(np.float64)
    control_error = screen.control.variance / (screen.control.cells - 1)
    de = np.zeros(change.shape, bool)
    np.put_along_axis(de, screen.de_genes[rows], True, axis=1)
    has, control = true > 0, np.broadcast_to(screen.control_mean > 0, true.shape)
    random = np.random.default_rng([_STREAM, seed])
    num_de = screen.de_genes.shape[1]
    drawn = drawn_coverage(effects, observed, np.sqrt(error + control_error[None, :]), num_de, random)
    table = []
    for number, name in enumerate(split.test):
        about = {
            "split": seed,
            "perturbation": name,
            "size": np.sqrt(np.mean(change[number] ** 2)),
            "unforeseen": int(np.sum(~has[number] & (change[number] != effects[number]))),
        }
        for genes, members in (("all", has), ("control", has & control), ("other", has & ~control), ("DE", has & de)):
            part = members[number]
            difference = (change - effects)[number, part]
            for interval, deviation in ((OBSERVED, observed), (TRUE, true)):
                away = np.abs(difference) / deviation[number, part]
                row = {**about, "genes": genes, "interval": interval, "count": len(away), **coverage(away)}
                if len(away):
                    row |= {"farthest": screen.readouts[np.flatnonzero(part)[away.argmax()]], "away": away.max()}
                table.append(row)
        shares = dict(zip(map(str, LEVELS), drawn[number].tolist(), strict=True))
        table.append({**about, "genes": DRAWN, "interval": OBSERVED, "count": num_de, **shares})
    return pd.DataFrame(table)


def coverage(away: Float[np.ndarray, " genes"]) -> dict[str, float]:
    """The share of genes within the interval of each level, `away` in deviations; NaN over no genes."""
    return {str(level): float(np.mean(away <= _quantile(level))) if len(away) else np.nan for level in LEVELS}


def drawn_coverage(
    effects: Float[np.ndarray, "perturbations genes"],
    deviations: Float[np.ndarray, "perturbations genes"],
    errors: Float[np.ndarray, "perturbations genes"],
    num_de: int,
    random: np.random.Generator,
) -> Float[np.ndarray, "perturbations levels"]:
    """What a model that is right would cover of DE genes, which are chosen for what was observed.

    Effects are drawn from the model, gene by gene, and the `num_de` with the largest |effect| / error are looked at:
    by `t`, as DE genes are. Genes without an error, which no test could choose, are not.
    """
    counts = np.zeros((len(effects), len(LEVELS)))
    tested = np.where(errors > 0, errors, np.inf)
    for _ in range(_DRAWS):
        noise = random.standard_normal(effects.shape)
        chosen = np.argsort(-np.abs(effects + deviations * noise) / tested, axis=1, kind="stable")[:, :num_de]
        size = np.abs(np.take_along_axis(noise, chosen, axis=1))
        counts += np.stack([(size <= _quantile(level)).mean(1) for level in LEVELS], axis=1)
    return counts / _DRAWS


def _quantile(level: int) -> float:
    return float(norm.ppf(0.5 + level / 200))


if __name__ == "__main__":
    main()
