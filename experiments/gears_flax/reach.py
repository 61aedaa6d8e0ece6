"""Whether, and when, the Flax GEARS reaches the reference's best validation error on the Adamson-sized simulated screen.

    python experiments/gears_flax/reach.py --cells DIRECTORY --seeds 0 1 2 3 4 5 6

One screen and split, other seeds of the training; a row for each in results/reach.csv.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from cases import simulated_case

import perturb_jax as pj

CASE = "cells-800"
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--cells", type=Path, required=True, help="where the simulated cells are kept")
    options.add_argument("--seeds", type=int, nargs="+", required=True)
    given = options.parse_args()
    screen, graph, split = simulated_case(CASE, 0, given.cells)
    best = pd.read_csv(RESULTS / "gears-reference" / f"{CASE}-0-history.csv")["validation_mse_de"].min()
    rows = []
    for seed in given.seeds:
        history = pj.gears_flax().fit(screen, graph, split.train, split.validation, seed).history
        reached = np.flatnonzero(history.validation_mse_de <= best)
        first = reached[0] if len(reached) else None
        rows.append(
            {
                "seed": seed,
                "reference": best,
                "least": history.validation_mse_de.min(),
                "step": None if first is None else int(history.step[first]),
                "seconds": None if first is None else float(history.seconds[first]),
                "whole": float(history.seconds[-1]),
            }
        )
        print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(RESULTS / "reach.csv", index=False)


if __name__ == "__main__":
    main()
