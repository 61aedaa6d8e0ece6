"""Train the reference or the Flax GEARS on a simulated screen; store errors per test perturbation and while training.

    python experiments/gears_flax/run.py --predictor gears-flax --case cells-100 --seeds 0 1 2 3 4 --cells DIRECTORY

What is stored already is not repeated.
"""

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from cases import SIZES, simulated_case

from perturb_jax.evaluation.metrics import evaluate
from perturb_jax.predictors.registry import predictor_class
from perturb_jax.support.files import versions
from perturb_jax.support.options import read_texts

PACKAGES = ("flax", "optax", "torch", "cell-gears")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--predictor", choices=("gears-reference", "gears-flax", "graph-gp", "training-mean"),
                         required=True)  # fmt: skip
    options.add_argument("--case", choices=SIZES, required=True)
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--set", nargs="*", default=[], help="NAME=VALUE, settings of the predictor")
    options.add_argument("--label", help="what the results are called; the predictor's name unless told")
    options.add_argument("--cells", type=Path, required=True, help="where the simulated cells are kept")
    options.add_argument("--out", type=Path, default=RESULTS)
    given = options.parse_args()
    settings = dict(pair.split("=", 1) for pair in given.set)
    predictor_type = predictor_class(given.predictor)
    predictor = predictor_type(**read_texts(predictor_type, settings))
    directory = given.out / (given.label or given.predictor)
    directory.mkdir(parents=True, exist_ok=True)
    for seed in given.seeds:
        stem = directory / f"{given.case}-{seed}"
        if stem.with_suffix(".json").exists():
            continue
        screen, graph, split = simulated_case(given.case, seed, given.cells)
        start = time.perf_counter()
        fitted = predictor.fit(screen, graph, split.train, split.validation, seed)
        seconds = time.perf_counter() - start
        evaluate(screen, split.test, fitted.effects(split.test), split.train).to_csv(stem.with_suffix(".csv"))
        packages = versions() | {name: version(name) for name in PACKAGES}
        record = {"simulated": True, "case": given.case, "seed": seed, "settings": settings, "seconds": seconds,
                  "screen": screen.settings, "versions": packages}  # fmt: skip
        history = getattr(fitted, "history", None)
        if history is not None:
            measured = {name: values for name, values in history._asdict().items() if not name.startswith("best")}
            pd.DataFrame(measured).to_csv(stem.with_name(stem.name + "-history.csv"), index_label="evaluation")
        stem.with_suffix(".json").write_text(json.dumps(record, indent=1, default=str) + "\n")
        print(f"{given.predictor}, {given.case}, seed {seed}: {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
