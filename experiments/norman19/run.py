"""Predictors on the cells of Norman et al. 2019, at repeated splits: a row per split, predictor and perturbation.

    python experiments/norman19/run.py --cells CELLS.h5ad --out experiments/norman19/results

Each split and predictor is stored when it is done, so a run that was stopped continues. `metrics.csv` keeps the rows of
what was not run now: a split of a predictor is replaced by its new one, never mixed with it.
"""

import json
import re
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
from cells import TESTED, options_of, read_measured, split_of
from duplicate import DUPLICATE, duplicate_metrics

from perturb_jax.evaluation.trial import fit_and_measure
from perturb_jax.predictors.gears_flax.predictor import GearsFlax
from perturb_jax.predictors.gears_reference.predictor import GearsReference
from perturb_jax.predictors.predictor import Predictor
from perturb_jax.predictors.registry import PREDICTORS, make_predictor
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import checksums, versions

OWN_COEXPRESSION, FIRST_ROW = "gears-reference, own co-expression", "gears-flax, first row only"
LONGER = "gears-flax, 800 steps"
VARIANTS: dict[str, Predictor] = {
    OWN_COEXPRESSION: GearsReference(coexpression="training"),
    FIRST_ROW: GearsFlax(first_row_only=True),
    LONGER: GearsFlax(steps=800),
}
"""With cell-gears' own co-expression graph, of the training cells, and with its reach: what the deviations change; and
twice as many steps."""


def main() -> None:
    options = options_of(__doc__.splitlines()[0])
    options.add_argument("--predictors", nargs="*", default=[*PREDICTORS.built_in, DUPLICATE])
    given = options.parse_args()
    measured = read_measured(given.cells, given.where)
    screen, graph = measured.screen, measured.graph
    inputs = {name: {**entry, "path": Path(str(entry["path"])).name}
              for name, entry in checksums({"cells": given.cells}).items()}  # fmt: skip
    refuse_other_cells(given.out / "record.json", inputs["cells"]["sha256"], given.where)
    parts = given.out / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    for seed in given.seeds:
        split = split_of(measured, seed)
        for name in given.predictors:
            path = parts / f"{re.sub('[^a-z0-9]+', '-', name).strip('-')}-{seed}.csv"
            if path.exists():
                continue
            start = time.perf_counter()
            try:
                if name == DUPLICATE:
                    metrics = duplicate_metrics(given.cells, given.where, screen, split, seed)
                else:
                    metrics = fit_and_measure(screen, graph, _predictor(name), split, seed).metrics
            except InputError as error:
                print(f"{name}, split {seed}: {error}")
                continue
            metrics = metrics.reset_index()
            metrics.insert(0, "predictor", name)
            metrics.insert(1, "split", seed)
            metrics["seconds"] = time.perf_counter() - start
            metrics.to_csv(path.with_suffix(".part"), index=False)
            path.with_suffix(".part").rename(path)
            print(f"{name}, split {seed}: {metrics['seconds'].iloc[0]:.1f} s", flush=True)
    table = merged(given.out / "metrics.csv", sorted(parts.glob("*.csv")))
    table.to_csv(given.out / "metrics.csv", index=False)
    record = {
        "inputs": inputs, "where": given.where,
        "versions": versions() | _optional_versions(),
        "tested": TESTED, "seeds": sorted(table["split"].unique().tolist()),
        "perturbations": len(measured.usable), "left out": measured.unknown, "genes": len(screen.readouts),
        "cells": int(screen.cell_counts.sum()), "control cells": screen.control_count,
        "graph": {"nodes": graph.num_nodes, "edges": graph.num_edges},
    }  # fmt: skip
    (given.out / "record.json").write_text(json.dumps(record, indent=2) + "\n")


def merged(stored: Path, parts: list[Path]) -> pd.DataFrame:
    """The rows of the parts, and of the stored table those of other predictors and splits."""
    if not parts and not stored.exists():
        sys.exit("nothing was run, so there is nothing to store")
    tables = [pd.read_csv(path, float_precision="round_trip") for path in parts]
    if stored.exists():
        done = {pair for table in tables for pair in zip(table["predictor"], table["split"], strict=True)}
        before = pd.read_csv(stored, float_precision="round_trip")
        kept = [pair not in done for pair in zip(before["predictor"], before["split"], strict=True)]
        tables.append(before[kept])
    return pd.concat(tables, ignore_index=True).sort_values(["predictor", "split"], kind="stable", ignore_index=True)


def refuse_other_cells(record: Path, checksum: str | None, where: str) -> None:
    """Stop where results of other cells are stored: rows of both would stand in one table."""
    if record.exists():
        known = json.loads(record.read_text())
        if (known["inputs"]["cells"]["sha256"], known["where"]) != (checksum, where):
            sys.exit(f"{record.parent} holds results of other cells ({known['where']}); choose another --out")


def _predictor(name: str) -> Predictor:
    return VARIANTS[name] if name in VARIANTS else make_predictor(name)


def _optional_versions() -> dict[str, str]:
    """Versions of what the reference needs, where it is installed."""
    found = {}
    for name in ("cell-gears", "torch", "torch_geometric"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
