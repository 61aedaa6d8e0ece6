"""Does choosing the training perturbations beat random choice, on the outcomes of a real screen?

    python experiments/perturbqa_k562/run.py --outcomes DE.csv.gz --library LIBRARY.txt --features features.tsv.gz

Writes a file per study and seed below --out/seeds, so that a run that was stopped continues, and then joins them:
skill.csv.gz (a row per study, seed, arm, draw, budget and predictor), distance.csv.gz (a row per seed, arm, budget and
test perturbation) and record.json. Nothing is averaged here; see tables.py and plots.py.
"""

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from arms import BUDGETS, DRAWS
from data import Split, digest, read_graph, read_outcomes, splits
from studies import Problem, confirmation_study, main_study, predictors, sensitivity_study

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("perturb-jax", "numpy", "scipy", "numba", "pandas", "jax", "matplotlib")


def compute(problem: Problem, split: Split, confirm: bool, parts: Path) -> None:
    """Write the files of one seed that are not there yet."""
    if not (parts / f"main-{split.seed:02d}.csv.gz").exists():
        rows, far = main_study(problem, split)
        write(far, parts / f"distance-{split.seed:02d}.csv.gz")
        write(pd.DataFrame(rows), parts / f"main-{split.seed:02d}.csv.gz")
    name, study = ("confirmation", confirmation_study) if confirm else ("sensitivity", sensitivity_study)
    if not (parts / f"{name}-{split.seed:02d}.csv.gz").exists():
        write(pd.DataFrame(study(problem, split)), parts / f"{name}-{split.seed:02d}.csv.gz")


def join(parts: Path, seeds: int, *names: str) -> pd.DataFrame:
    """The files of some studies below each other, seed by seed."""
    paths = (parts / f"{name}-{seed:02d}.csv.gz" for name in names for seed in range(seeds))
    return pd.concat([pd.read_csv(path) for path in paths if path.exists()])


def provenance(options: argparse.Namespace, problem: Problem, seconds: float) -> dict[str, Any]:
    """What makes the numbers traceable; no paths and no host name."""
    outcomes = problem.outcomes
    inputs = {name: getattr(options, name) for name in ("outcomes", "library", "features")}
    return {
        "inputs": {name: digest(path) for name, path in inputs.items() if path},
        "perturbations": len(outcomes.perturbations),
        "genes": len(outcomes.genes),
        "labelled_pairs": len(outcomes.labels),
        "positive_share": round(float(outcomes.labels.mean()), 5),
        "dropped_perturbations": outcomes.dropped,
        "graph": {"nodes": problem.graph.num_nodes, "edges": problem.graph.num_edges},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in PACKAGES},
        "seconds_of_the_last_run": round(seconds),
    }


def main() -> None:
    parser = study_parser(__doc__, RESULTS)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--sensitivity-seeds", type=int, default=10, help="the other seeds confirm")
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS)
    options = parser.parse_args()
    start = time.perf_counter()
    graph = read_graph(options.library)
    outcomes = read_outcomes(options.outcomes, graph)
    fits = predictors(graph, outcomes, options.features)
    problem = Problem(graph, outcomes, fits, tuple(options.budgets))
    parts = options.out / "seeds"
    parts.mkdir(parents=True, exist_ok=True)
    for split in splits(outcomes, options.seeds):
        compute(problem, split, split.seed >= options.sensitivity_seeds, parts)
        print(f"seed {split.seed}: {time.perf_counter() - start:.0f} s so far", flush=True)
    write(join(parts, options.seeds, "main", "sensitivity", "confirmation"), options.out / "skill.csv.gz")
    write(join(parts, options.seeds, "distance"), options.out / "distance.csv.gz")
    settings = {
        "seeds": options.seeds, "sensitivity_seeds": options.sensitivity_seeds, "random_draws": DRAWS,
        "budgets": list(problem.budgets),
    }  # fmt: skip
    text = json.dumps(provenance(options, problem, time.perf_counter() - start) | settings, indent=2)
    (options.out / "record.json").write_text(text + "\n")


def write(table: pd.DataFrame, path: Path) -> None:
    """A table as CSV, whole or not at all, the same bytes for the same rows."""
    partial = path.with_name(f"partial-{path.name}")
    table.to_csv(partial, index=False, compression={"method": "gzip", "mtime": 0})
    partial.replace(path)


def study_parser(about: str | None, results: Path) -> argparse.ArgumentParser:
    """The arguments of every study of these outcomes: what it reads, and where its results go."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outcomes", type=existing_file, required=True, help="CSV with pert, gene, label")
    parser.add_argument("--library", type=existing_file, required=True, help="genes of the graph, one a line")
    parser.add_argument("--features", type=existing_file, help="what fetch_features.py wrote; else GO predictors alone")
    parser.add_argument("--out", type=Path, default=results)
    return parser


def existing_file(name: str) -> Path:
    """An argument that has to be the name of a file."""
    if not Path(name).is_file():
        raise argparse.ArgumentTypeError(f"found no file {name!r}")
    return Path(name)


if __name__ == "__main__":
    main()
