"""Every predictor on the cells of Norman et al. 2019, at repeated splits: a row per split, predictor and perturbation.

    python experiments/norman19/run.py --cells CELLS.h5ad --out experiments/norman19/results

Each split and predictor is stored when it is done, so a run that was stopped continues.
"""

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path

import pandas as pd

import perturb_jax as pj
from perturb_jax.errors import InputError
from perturb_jax.evaluation.provenance import checksums, versions
from perturb_jax.experiment.trial import run_trial
from perturb_jax.predictors.gears_reference import GearsReference
from perturb_jax.predictors.names import PREDICTOR_NAMES
from perturb_jax.predictors.predictor import Predictor, unknown_to
from perturb_jax.predictors.registry import predictor_of
from perturb_jax.screen.conditions import perturbed_genes
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.split import choose_test, remaining, split_selected

OWN_COEXPRESSION = "gears-reference, own co-expression"
"""The reference with cell-gears' own co-expression graph, of the training cells: what the deviation changes."""

TESTED = 6
"""Perturbations of the test set."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--cells", type=Path, required=True, help="the .h5ad file")
    options.add_argument("--where", default="dataset=norman19", help="COLUMN=VALUE of the cells to read")
    options.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4], help="of the splits and of training")
    options.add_argument("--predictors", nargs="*", default=list(PREDICTOR_NAMES))
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = options.parse_args()
    column, _, value = given.where.partition("=")
    screen = read_screen(given.cells, {column: value}, condition="condition", progress=False)
    genes = dict.fromkeys([*screen.genes, *(gene for name in screen.perturbations for gene in perturbed_genes(name))])
    graph = pj.load_go_graph(list(genes), unknown="drop")
    unknown = unknown_to(graph, screen.perturbations)
    usable = [name for name in screen.perturbations if name not in unknown]
    parts = given.out / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    for seed in given.seeds:
        test = choose_test(usable, TESTED, seed)
        split = split_selected(remaining(usable, test), test, seed, screen=usable)
        for name in given.predictors:
            path = parts / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}.csv"
            if path.exists():
                continue
            start = time.perf_counter()
            try:
                metrics = run_trial(screen, graph, _predictor(name), split, seed).metrics.reset_index()
            except InputError as error:
                print(f"{name}, split {seed}: {error}")
                continue
            metrics.insert(0, "predictor", name)
            metrics.insert(1, "split", seed)
            metrics["seconds"] = time.perf_counter() - start
            metrics.to_csv(path.with_suffix(".part"), index=False)
            path.with_suffix(".part").rename(path)
            print(f"{name}, split {seed}: {metrics['seconds'].iloc[0]:.1f} s", flush=True)
    table = pd.concat([pd.read_csv(path) for path in sorted(parts.glob("*.csv"))], ignore_index=True)
    table.to_csv(given.out / "metrics.csv", index=False)
    record = {
        "inputs": {name: {**entry, "path": Path(str(entry["path"])).name}
                   for name, entry in checksums({"cells": given.cells}).items()},
        "versions": versions() | {name: version(name) for name in ("cell-gears", "torch", "torch_geometric")},
        "tested": TESTED, "seeds": sorted(table["split"].unique().tolist()),
        "perturbations": len(usable), "left out": unknown, "genes": len(screen.genes),
        "cells": int(screen.cell_counts.sum()), "control cells": screen.control_count,
        "graph": {"nodes": graph.num_nodes, "edges": graph.num_edges},
    }  # fmt: skip
    (given.out / "record.json").write_text(json.dumps(record, indent=2) + "\n")


def _predictor(name: str) -> Predictor:
    return GearsReference(coexpression="training") if name == OWN_COEXPRESSION else predictor_of(name)


if __name__ == "__main__":
    main()
