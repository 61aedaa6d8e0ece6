"""Reading a screen from cells, compared with scanpy reading the file and ranking genes.

Both in fresh processes, one after the other: seconds and peak memory of `perturb_jax.read_screen` (moments 1 to 4,
non-zero mask, DE genes, co-expression) and of `scanpy.read_h5ad` with `scanpy.tl.rank_genes_groups` (t-test, 20 genes).
The file is generated: 160,000 cells x 5,000 genes, a tenth of the values not zero, 1,091 perturbations and control.
"""

import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import anndata
import h5py
import numpy as np
import pandas as pd
from harness import Report, Table, arguments, child, missing_packages, show_ratio, show_seconds

ABOUT = """`read_screen(FILE)` against `scanpy.read_h5ad` and `scanpy.tl.rank_genes_groups` on the same generated
`.h5ad` (float32, CSR, not compressed, in the page cache). A fresh process each; a small file is read first, so that
imports and compiling do not count.
Ours includes co-expression and moments 3 and 4, which scanpy does not compute."""
GIBIBYTE = 2**30 / 1e6
LIMIT = 1.5 * GIBIBYTE
CHILD = Path(__file__).with_name("read_screen_child.py")


class Size(NamedTuple):
    """How many cells, genes, perturbations, and the share of control cells."""

    cells: int
    genes: int
    perturbations: int
    control: float = 0.06


FULL = Size(160_000, 5_000, 1_091)
SMALL = Size(2_000, 200, 10)


def generate(path: Path, size: Size, density: float = 0.1, seed: int = 0) -> Path:
    """Write log1p expression of cells piece by piece: each perturbation changes how often 5 % of the genes are seen."""
    rng = np.random.default_rng(seed)
    condition = rng.integers(1, size.perturbations + 1, size.cells) * (rng.random(size.cells) >= size.control)
    names = np.array(["ctrl", *(f"P{i}+ctrl" for i in range(size.perturbations))])
    often = rng.beta(0.4, 0.4 * (1 / density - 1), size.genes)
    changed = rng.choice(size.genes, (size.perturbations + 1, max(1, size.genes // 20)))
    table = anndata.AnnData(
        obs=pd.DataFrame({"condition": pd.Categorical(names[condition])}, index=pd.RangeIndex(size.cells).astype(str)),
        var=pd.DataFrame(index=[f"G{i}" for i in range(size.genes)]),
    )
    table.write_h5ad(path)
    indptr = np.zeros(size.cells + 1, np.int64)
    with h5py.File(path, "r+") as file:
        file.pop("X", None)
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": table.shape})
        options: dict[str, Any] = {"shape": (0,), "maxshape": (None,), "chunks": (1 << 18,)}
        data, indices = (
            group.create_dataset("data", dtype="f4", **options),
            group.create_dataset("indices", dtype="i4", **options),
        )
        for first in range(0, size.cells, 2000):
            rows = condition[first : first + 2000]
            share = np.repeat(often[None].astype(np.float32), len(rows), 0)
            place = (np.arange(len(rows))[:, None], changed[rows])
            share[place] = np.where(rows[:, None] > 0, np.minimum(1.5 * share[place] + 0.01, 1), share[place])
            row, column = np.nonzero(rng.random(share.shape, np.float32) < share)
            old, new = len(data), len(data) + len(row)
            data.resize((new,))
            indices.resize((new,))
            data[old:] = np.log1p(rng.gamma(2.0, 2.0, len(row))).astype(np.float32)
            indices[old:] = column
            indptr[first + 1 : first + 1 + len(rows)] = old + np.cumsum(np.bincount(row, minlength=len(rows)))
        group.create_dataset("indptr", data=indptr.astype(np.int32))  # as anndata writes it where it fits
    return path


def measure(report: Report, size: Size, repeats: int, directory: Path) -> None:
    """Time both on one file, in turns, and compare what they find."""
    path, small = generate(directory / "cells.h5ad", size), generate(directory / "small.h5ad", SMALL)
    case = f"{size.cells:,} x {size.genes:,}"
    peers = [] if missing_packages("scanpy") else ["scanpy"]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("ours", *peers)}
    for _ in range(repeats):
        for name, done in runs.items():
            done.append(child(CHILD, name, str(path), str(small)))
    rows = []
    for name, done in runs.items():
        for measure_name, unit in (("seconds", "s"), ("cpu", "s"), ("peak_mb", "MB"), ("first", "s")):
            report.add(case, name, measure_name, unit, *(run[measure_name] for run in done))
        seconds, cpu, peak = (median(run[key] for run in done) for key in ("seconds", "cpu", "peak_mb"))
        own_seconds, own_cpu = (median(run[key] for run in runs["ours"]) for key in ("seconds", "cpu"))
        times = {"time": show_seconds(seconds), "CPU": show_seconds(cpu), "peak": f"{peak / GIBIBYTE:.2f} GiB"}
        ratios = {"time / ours": show_ratio(seconds / own_seconds), "CPU / ours": show_ratio(cpu / own_cpu)}
        rows.append({"reader": name, **times, **ratios})
    report.tables.append(Table(f"{case}, {path.stat().st_size / 1e6:.0f} MB on disk", "", rows))
    peak = max(run["peak_mb"] for run in runs["ours"])
    report.target(case, "peak under 1.5 GiB", f"{peak / GIBIBYTE:.2f} GiB", peak < LIMIT)
    if peers:
        _compare(report, case, runs["ours"][0]["top"], runs["scanpy"][0]["top"])


def _compare(report: Report, case: str, found: dict[str, list[str]], expected: dict[str, list[str]]) -> None:
    groups = {name.removesuffix("+ctrl"): genes for name, genes in expected.items()}
    same = sum(set(found[name]) == set(groups[name]) for name in groups)
    report.target(case, "the top 20 genes are scanpy's", f"{same} of {len(groups)} sets", same == len(groups))


def main() -> None:
    """Measure and write the report."""
    options = arguments(__doc__).parse_args()
    size = Size(10_000, 500, 50) if options.quick else FULL
    report = Report("read_screen", ABOUT, {"quick": options.quick, **size._asdict(), "density": 0.1})
    with tempfile.TemporaryDirectory() as directory:
        measure(report, size, 1 if options.quick else 3, Path(directory))
    report.write(options.out)


if __name__ == "__main__":
    main()
