"""Whole trainings of the Flax GEARS and of cell-gears on the same simulated cells: time to the same validation error.

    python experiments/benchmarks/gears_flax_training.py --cells DIRECTORY

keeps the simulated cells of an Adamson-sized screen (100 MB) in DIRECTORY. Takes half an hour to an hour, most of it
cell-gears'.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from harness import Report, Table, arguments, child, missing_packages, one_core, show_ratio, show_seconds

sys.path.append(str(Path(__file__).parents[1] / "gears_flax"))  # the simulated screens are that experiment's
from cases import SIZES, simulated_case

ABOUT = """Whole trainings of GEARS on the same **simulated** cells, split and graphs: `pj.GearsFlax` on moments
against cell-gears 0.1.2 on cells, each on one core. `adamson` has Adamson's 81 targets and as many cells; its effects
follow the graph (homophily 0.8; experiments/simulated_adamson.toml)."""
CHILD = Path(__file__).with_name("gears_flax_child.py")
SEEDS = 5
"""Of our weights and batches; of cell-gears, one training."""
EPOCHS = 20
"""Of cell-gears, by default."""
GIBIBYTE = 2**30 / 1e6


def trainings(report: Report, case: str, directory: Path, epochs: int, seeds: int) -> None:
    """Train both; how long each takes to cell-gears' best validation error."""
    simulated_case(case, 0, directory)  # so that neither has to draw the cells
    with one_core():
        peer = child(CHILD, "reference", case, str(directory), str(epochs))
        ours = [child(CHILD, "flax", case, str(directory), str(seed)) for seed in range(seeds)]
    best, theirs = peer["errors"][peer["best"]], peer["seconds"][peer["best"]]
    size = SIZES[case]
    label = f"{case}: {size.perturbations} perturbations x {size.cells} cells x {size.genes:,} genes"
    rows = [{"training": "cell-gears", "least validation MSE": f"{best:.3f}", "after": show_seconds(theirs),
             "that error or less after": f"{show_seconds(theirs)}, epoch {peer['best'] + 1} of {epochs}",
             "times faster": "", "peak memory": _memory(peer)}]  # fmt: skip
    _keep(report, label, "cell-gears", peer)
    ratios = []
    for seed, found in enumerate(ours):
        _keep(report, label, f"Flax, seed {seed}", found)
        reached = [number for number, error in enumerate(found["errors"]) if error <= best]
        ratios.append(theirs / found["seconds"][reached[0]] if reached else 0.0)
        least = min(range(len(found["errors"])), key=found["errors"].__getitem__)
        when = "never"
        if reached:
            when = f"{show_seconds(found['seconds'][reached[0]])}, step {found['steps'][reached[0]]}"
        rows.append({"training": f"Flax, seed {seed}", "least validation MSE": f"{found['errors'][least]:.3f}",
                     "after": show_seconds(found["seconds"][least]), "that error or less after": when,
                     "times faster": show_ratio(ratios[-1]) if reached else "",
                     "peak memory": _memory(found)})  # fmt: skip
    whole = median(found["seconds"][-1] for found in ours)
    note = (
        f"{label}; {ours[0]['train']} train, {ours[0]['validation']} validate. cell-gears made {epochs} of its "
        f"{EPOCHS} epochs, in {show_seconds(peer['seconds'][-1])}; its rate halves with every one. A whole training "
        f"of ours takes {show_seconds(whole)} (median), compilation included as everywhere here."
    )
    report.tables.append(Table(f"To cell-gears' best validation error: {case}", note, rows))
    middle = median(ratios)
    measured = f"{show_ratio(middle)}, median of {seeds} seeds" if middle else "not reached by most seeds"
    report.target(label, "50 times faster to the reference's best validation error", measured, middle >= 50)


def _keep(report: Report, label: str, name: str, found: dict[str, Any]) -> None:
    report.add(label, name, "validation MSE, top 20", "", *found["errors"])
    report.add(label, name, "since the start", "s", *found["seconds"])
    report.add(label, name, "peak memory", "MB", found["peak_mb"])


def _memory(found: dict[str, Any]) -> str:
    return f"{found['peak_mb'] / GIBIBYTE:.1f} GiB"


def main() -> None:
    """Measure and write the report."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--cells", type=Path, help="where simulated cells are kept; a temporary directory unless told")
    parser.add_argument("--epochs", type=int, default=4, help="of cell-gears")
    parser.add_argument("--cases", nargs="+", choices=SIZES, default=["adamson"])
    options = parser.parse_args()
    missing = missing_packages("gears", "torch_geometric")
    if missing:
        sys.exit(f"{', '.join(missing)} not installed; pip install -e '.[bench,gears]'")
    settings = {"quick": options.quick, "epochs": options.epochs}
    report = Report("gears_flax_training", ABOUT, settings)
    with tempfile.TemporaryDirectory() as scratch:
        for case in ["cells-100"] if options.quick else options.cases:
            epochs, seeds = (1, 2) if options.quick else (options.epochs, SEEDS)
            trainings(report, case, options.cells or Path(scratch), epochs, seeds)
    report.write(options.out)


if __name__ == "__main__":
    main()
