"""Does asking the model cycle by cycle beat asking the graph once, on the outcomes of a real screen?

    python experiments/perturbqa_k562/rounds.py --outcomes DE.csv.gz --library LIBRARY.txt --features features.tsv.gz

Every strategy is asked through the product's contract (`perturb_jax.strategies`). Writes a file per seed below
--out/seeds, so that a run that was stopped continues, then joins them: rounds.csv.gz (a row per seed, arm, draw, budget
and predictor) and rounds.json. Nothing is averaged here; see rounds_tables.py.
"""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from data import Split, read_graph, read_outcomes, splits
from run import RESULTS, join, provenance, study_parser, write
from studies import Problem, Rows, Seed, predictors
from summary import GO, OTHER, TERMS
from views import Seen, Unsure, factor

import perturb_jax as pj
from perturb_jax.strategies.choose import choose
from perturb_jax.strategies.registry import strategy_of
from perturb_jax.strategies.strategy import parts_of
from perturb_jax.strategies.view import View

CYCLES, BATCH, SEEDS, DRAWS = 5, 100, 10, 1


class Arm(NamedTuple):
    """A strategy, and what its view of the predictor calls unsure."""

    strategy: pj.Strategy
    unsure: Unsure = "variance"


def one_shot_arms(perturbations: tuple[str, ...]) -> dict[str, Arm]:
    """Orders that are chosen at once; `graphdesign` is told by name what is to be predicted."""
    return {
        "graphreach": Arm(strategy_of("graphreach")),
        "maxspec": Arm(strategy_of("maxspec")),
        "graphdesign": Arm(strategy_of("graphdesign", {"targets": perturbations})),
    }


def asking_arms(perturbations: tuple[str, ...]) -> dict[str, Arm]:
    """Strategies that ask the model after the first cycle, Random's, or after two that a graph strategy chose."""
    told = {"targets": perturbations}
    return {
        "uncertainty, variance": Arm(strategy_of("uncertainty"), "variance"),
        "uncertainty, entropy": Arm(strategy_of("uncertainty"), "entropy"),
        "typiclust, embedding": Arm(strategy_of("typiclust")),
        "typiclust, effect": Arm(strategy_of("typiclust", {"representation": "effect"})),
        "acs-fw, features": Arm(strategy_of("acs-fw")),
        "acs-fw, effect": Arm(strategy_of("acs-fw", {"representation": "effect"})),
        "graphreach, then typiclust": Arm(
            strategy_of("hybrid", {"first": "graphreach", "cycles": 2, "then": "typiclust"})
        ),
        "graphdesign, then uncertainty": Arm(
            strategy_of("hybrid", {"first": "graphdesign", "cycles": 2, "then": "uncertainty", "first_options": told}),
            "entropy",
        ),
    }


def begins_at_random(arm: Arm) -> bool:
    """Whether the first cycle is Random's: then every draw of Random gives another order."""
    first = arm.strategy
    while hasattr(first, "first"):
        first = first.first
    return isinstance(first, pj.Random)


def play(
    strategy: pj.Strategy, seed: Seed, view: Callable[[np.ndarray, tuple[str, ...]], View] | None, draw: int,
    cycles: int, batch: int,
) -> np.ndarray:  # fmt: skip
    """The picks of all cycles in order, as numbers; cycles in a row that read no view are asked for together.

    Args:
        strategy: what is asked.
        seed: the split.
        view: (selected, parts) -> view of the predictor fitted to them; None for a strategy that reads none.
        draw: of the seeds of selection; the first cycle's is the one that `arms.random_arm` has.
        cycles: how many.
        batch: picks of each.
    """
    selected: tuple[str, ...] = ()
    numbers = np.zeros(0, int)
    for cycle, together in _asked(strategy, cycles):
        parts = parts_of(strategy, cycle)
        left = tuple(name for name in seed.candidates if name not in set(selected))
        seen = view(numbers, parts) if view and parts else None
        random = 1_000_000 * cycle + 1000 * seed.split.seed + draw
        ask = pj.Ask.of(seed.problem.graph, left, together * batch, selected, random, seen)
        selected += choose(strategy, ask).genes
        numbers = np.array([seed.number[name] for name in selected])
    return numbers


def _asked(strategy: pj.Strategy, cycles: int) -> Iterator[tuple[int, int]]:
    """Each time of asking: the first cycle asked for, and how many."""
    first = 0
    while first < cycles:
        count = 1
        while not parts_of(strategy, first) and first + count < cycles and not parts_of(strategy, first + count):
            count += 1
        yield first, count
        first += count


def rounds_study(
    problem: Problem, factors: dict[str, np.ndarray], split: Split, cycles: int, batch: int, draws: int
) -> Rows:
    """Every arm at every cycle; those that ask the model with each predictor apart, as each is asked itself."""
    seed, rows = Seed(problem, split), []
    budgets = tuple(batch * (cycle + 1) for cycle in range(cycles))
    names = problem.outcomes.perturbations
    once = {("random", draw): Arm(strategy_of("random")) for draw in range(draws)}
    once |= {(name, 0): arm for name, arm in one_shot_arms(names).items()}
    for (name, draw), arm in once.items():
        picks = play(arm.strategy, seed, None, draw, cycles, batch)
        rows += seed.rows("rounds", name, picks, budgets, draw=draw)
    for predictor, (method, kernel) in problem.predictors.items():
        seen = Seen(method, kernel, factors[predictor], problem.outcomes, split.candidates)
        for name, arm in asking_arms(names).items():
            for draw in range(draws if begins_at_random(arm) else 1):
                start = time.perf_counter()
                view = partial(seen.view, unsure=arm.unsure)
                picks = play(arm.strategy, seed, view, draw, cycles, batch)
                seconds = round(time.perf_counter() - start, 3)
                rows += seed.rows("rounds", name, picks, budgets, (predictor,), draw=draw, seconds=seconds)
    return rows


def main() -> None:
    parser = study_parser(__doc__, RESULTS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--cycles", type=int, default=CYCLES)
    parser.add_argument("--batch", type=int, default=BATCH, help="perturbations per cycle")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of Random, and of what begins with it")
    options = parser.parse_args()
    start = time.perf_counter()
    graph = read_graph(options.library)
    outcomes = read_outcomes(options.outcomes, graph)
    fits = predictors(graph, outcomes, options.features)
    problem = Problem(graph, outcomes, {name: fits[name] for name in (GO, TERMS, OTHER) if name in fits})
    factors = {name: factor(fit.kernel) for name, fit in problem.predictors.items()}
    parts = options.out / "seeds"
    parts.mkdir(parents=True, exist_ok=True)
    for split in splits(outcomes, options.seeds):
        path = parts / f"rounds-{split.seed:02d}.csv.gz"
        if not path.exists():
            write(
                pd.DataFrame(rounds_study(problem, factors, split, options.cycles, options.batch, options.draws)),
                path,
            )
        print(f"seed {split.seed}: {time.perf_counter() - start:.0f} s so far", flush=True)
    write(join(parts, options.seeds, "rounds"), options.out / "rounds.csv.gz")
    settings = {name: getattr(options, name) for name in ("seeds", "cycles", "batch", "draws")}
    text = json.dumps(provenance(options, problem, time.perf_counter() - start) | settings, indent=2)
    (options.out / "rounds.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
