"""Steps of the Flax GEARS against steps of cell-gears, on this machine's CPU; Replogle's size in full; growth.

    python experiments/benchmarks/gears_flax.py

Whole trainings of both are compared by gears_flax_training.py.
"""

import sys
from pathlib import Path
from statistics import median
from typing import Any

from gears_flax_child import REPLOGLE
from gears_flax_growth import SIZES, draw, measure_growth, slope
from harness import Report, Table, arguments, child, missing_packages, show_ratio, show_seconds

ABOUT = """GEARS' training step: `pj.GearsFlax` against cell-gears 0.1.2 in PyTorch. All screens
are **simulated** (time does not depend on what is in them). Both sides have the same machine, model, width and batch of
32; ours has a row for control besides. PyTorch's batch is there already: loading is not counted in single steps."""
CHILD = Path(__file__).with_name("gears_flax_child.py")
EPOCHS = 20
"""Of cell-gears, by default."""
GIBIBYTE = 2**30 / 1e6


def single_steps(report: Report, quick: bool) -> dict[int, float]:
    """Time steps at two widths of the screen, on one core and on two; PyTorch's seconds by genes, on all cores."""
    rows, bounds, theirs = [], [], {}
    for genes in (200,) if quick else (1_000, 5_000):
        for cores in (1, 2):
            found = child(CHILD, "step", str(genes), str(cores), str(2 if quick else 9))
            case = f"{genes:,} genes, {cores} core{'s' if cores > 1 else ''}"
            for name, seconds in found["seconds"].items():
                report.add(case, name, "step", "s", *seconds)
            ours, peer = (median(found["seconds"][name]) for name in ("Flax", "PyTorch"))
            theirs[genes] = peer
            rows.append({"case": case, "Flax": show_seconds(ours), "PyTorch": show_seconds(peer),
                         "PyTorch / Flax": show_ratio(peer / ours)})  # fmt: skip
            bounds.append(_bound(report, case, ours, found))
            report.target(case, "a step at least as fast as PyTorch's", show_ratio(peer / ours), peer >= ours)
    note = "A batch of 32 distinct perturbations: forward, loss, backward, clipping, Adam. Medians, in turns."
    report.tables += [Table("One step", note, rows), Table("What bounds a step", BOUND, bounds)]
    return theirs


BOUND = """The six matrix products of the MLP over all rows and genes, each measured alone at the same sizes, are what
no other order of the work avoids ("arithmetic"). The rest is passes over arrays [rows x genes, 64 or 128]; how many
reads and writes of the widest one fit into it, at the measured rate of an array larger than the caches, is in the last
column but one. A step is as many times as long as its arithmetic as the last column says."""


def _bound(report: Report, case: str, step: float, found: dict[str, Any]) -> dict[str, str]:
    arithmetic = sum(median(seconds) for seconds in found["products"].values())
    rate = sum(found["work"].values()) / arithmetic
    copy = median(found["copy"])
    report.add(case, "Flax", "matrix products", "s", arithmetic)
    report.add(case, "machine", "copy", "byte/s", *found["copy"])
    widest = found["formula_bytes"] / 14 * 2
    temporary = found["temporary_bytes"]
    if temporary is not None:
        report.add(case, "Flax", "temporary memory", "byte", temporary)
        formula = found["formula_bytes"]
        sizes = f"{temporary / 1e6:.0f} of {formula / 1e6:.0f} MB"
        report.target(case, "memory of a step within its formula", sizes, temporary <= formula)
    return {
        "case": case, "step": show_seconds(step), "arithmetic": show_seconds(arithmetic),
        "at": f"{rate / 1e9:.0f} GFLOP/s", "the rest": show_seconds(step - arithmetic),
        "memory moves": f"{copy / 1e9:.1f} GB/s", "the rest in passes": f"{(step - arithmetic) * copy / widest:.0f}",
        "step / arithmetic": show_ratio(step / arithmetic),
    }  # fmt: skip


def replogle(report: Report, per_step: float) -> None:
    """Ours in full; the reference's steps extrapolated to its epochs."""
    perturbations, genes, cells = REPLOGLE
    found = child(CHILD, "replogle")
    case = f"{perturbations:,} perturbations x {cells} cells x {genes:,} genes"
    report.add(case, "Flax", "whole training", "s", found["seconds"])
    report.add(case, "Flax", "peak memory", "MB", found["peak_mb"])
    steps = (found["train"] + 10) * cells // 32 * EPOCHS  # control has ten times the cells of a perturbation
    theirs = steps * per_step
    peak = f"{found['peak_mb'] / GIBIBYTE:.1f} GiB"
    rows = [
        {"training": "Flax, in full", "time": show_seconds(found["seconds"]), "peak memory": peak,
         "what": f"{found['steps']} steps, compilation included; the best after {found['best_step']}"},
        {"training": "PyTorch, extrapolated", "time": f"{theirs / 3600:.1f} h", "peak memory": "",
         "what": f"{steps:,} steps in {EPOCHS} epochs at {show_seconds(per_step)}; loading and evaluating not counted"},
    ]  # fmt: skip
    report.tables.append(Table("At the size of Replogle's screen", f"{case}; {found['train']} train.", rows))
    ratio = theirs / found["seconds"]
    report.target(case, "100 times faster than the reference", show_ratio(ratio), ratio >= 100)
    report.target(case, "under 15 minutes", show_seconds(found["seconds"]), found["seconds"] < 900)
    report.target(case, "peak under 8 GiB", peak, found["peak_mb"] < 8 * GIBIBYTE)


def growth(report: Report, quick: bool, out: Path) -> None:
    """The figure, and slopes."""
    points = measure_growth(quick, out / "gears_flax_growth.csv")
    draw(points, out / "gears_flax_growth.png")
    rows = [{"with": axis, "from, to": f"{SIZES[axis][0]:,}, {max(p.size for p in points if p.axis == axis):,}",
             "slope of log time": f"{slope(points, axis):+.2f}"} for axis in SIZES]  # fmt: skip
    report.tables.append(
        Table("Growth", "![growth](gears_flax_growth.png)\n\nSeconds of a step, validation included.", rows)
    )


def main() -> None:
    """Measure and write the report."""
    parser = arguments(__doc__.splitlines()[0])
    options = parser.parse_args()
    missing = missing_packages("gears", "torch_geometric")
    if missing:
        sys.exit(f"{', '.join(missing)} not installed; pip install -e '.[bench,gears]'")
    report = Report("gears_flax", ABOUT, {"quick": options.quick})
    theirs = single_steps(report, options.quick)
    if not options.quick:
        replogle(report, theirs[REPLOGLE[1]])
    options.out.mkdir(parents=True, exist_ok=True)
    growth(report, options.quick, options.out)
    report.write(options.out)


if __name__ == "__main__":
    main()
