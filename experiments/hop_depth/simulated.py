"""What `perturb-jax run` found of the two TOML files, as a number per run: the mean over the test perturbations.

    python experiments/hop_depth/simulated.py

Reads ../results/hop-depth and ../results/hop-depth-gears as far as they are done; writes simulated.csv.gz (a row per
data set, predictor, strategy, seed, budget and metric) and simulated.json (the files' contents, versions, how much is
there).
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from perturb_jax.analysis.results import complete_runs, read_results

HERE = Path(__file__).parent
NAMES = ("hop-depth", "hop-depth-gears")
METRICS = ("mse_de", "pearson_de")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=Path, default=HERE.parent / "results", help="where the results lie")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    tables, record = [], {}
    for name in NAMES:
        if not (options.experiments / name).is_dir():
            continue
        results = read_results(options.experiments / name)
        means = complete_runs(results).means
        tables.append(means[means["metric"].isin(METRICS)].drop(columns=["cycle", "undefined"]))
        record[name] = results.record
    table = pd.concat(tables)
    table["value"] = table["value"].map("{:.6g}".format)
    table.to_csv(options.out / "simulated.csv.gz", index=False, compression={"method": "gzip", "mtime": 0})
    (options.out / "simulated.json").write_text(json.dumps(record, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
