"""Hop depth and direction on the outcomes of a real screen: which unseen perturbations are predicted how well?

    python experiments/hop_depth/outcomes.py --outcomes DE.csv.gz --library LIBRARY.txt --features features.tsv.gz

Data, splits, predictors and measures are those of ../perturbqa_k562. Writes a file per seed below --out/seeds, so that
a run that was stopped continues, and then joins them: skill.csv.gz (a row per seed, arm, draw, budget and predictor)
and record.json. Nothing is averaged here; see findings.py.
"""

import json
import sys
import time
from pathlib import Path

import pandas as pd

sys.path.append(str(Path(__file__).parents[1] / "perturbqa_k562"))

from arms import DRAWS, random_arm
from data import Split, read_graph, read_outcomes, splits
from grid import SETTINGS, Setting
from run import join, provenance, study_parser, write
from studies import SENSITIVITY_PREDICTORS, Problem, Seed, predictors

RESULTS = Path(__file__).parent / "results"
BUDGETS = (50, 100)
LEFT_OUT = (Setting("maxspec", "both", 4),)
"""A pick reaches most of the graph, and every norm is about the whole graph's: a minute for 50 picks, one after the
other."""


def one_seed(problem: Problem, split: Split, settings: tuple[Setting, ...] = SETTINGS) -> pd.DataFrame:
    """Random's draws and every setting, with every predictor."""
    seed, largest, rows = Seed(problem, split), max(problem.budgets), []
    for draw in range(DRAWS):
        picks = seed.choose(random_arm(split.seed, draw), largest)
        rows += seed.rows("hop depth", "random", picks, problem.budgets, draw=draw)
    for setting in (one for one in settings if one not in LEFT_OUT):
        start = time.perf_counter()
        picks = seed.choose(lambda *given, of=setting: of.pick(*given).genes, largest)
        seconds = round(time.perf_counter() - start, 3)
        rows += seed.rows("hop depth", str(setting), picks, problem.budgets, seconds=seconds)
    return pd.DataFrame(rows)


def main() -> None:
    parser = study_parser(__doc__, RESULTS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS)
    options = parser.parse_args()
    start = time.perf_counter()
    graph = read_graph(options.library)
    outcomes = read_outcomes(options.outcomes, graph)
    fits = predictors(graph, outcomes, options.features)
    fits = {name: fit for name, fit in fits.items() if name in SENSITIVITY_PREDICTORS}
    problem = Problem(graph, outcomes, fits, tuple(options.budgets))
    parts = options.out / "seeds"
    parts.mkdir(parents=True, exist_ok=True)
    for split in splits(outcomes, options.seeds):
        part = parts / f"outcomes-{split.seed:02d}.csv.gz"
        if not part.exists():
            write(one_seed(problem, split), part)
        print(f"seed {split.seed}: {time.perf_counter() - start:.0f} s so far", flush=True)
    write(join(parts, options.seeds, "outcomes"), options.out / "skill.csv.gz")
    about = {"seeds": options.seeds, "random_draws": DRAWS, "budgets": list(problem.budgets)}
    about |= {"settings": [str(setting) for setting in SETTINGS if setting not in LEFT_OUT], "predictors": list(fits)}
    text = json.dumps(provenance(options, problem, time.perf_counter() - start) | about, indent=2)
    (options.out / "record.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
