"""Parts of the Flax GEARS' benchmark in fresh processes; prints JSON.

gears_flax_child.py step GENES CORES REPEATS     one step, ours and cell-gears', in turns
gears_flax_child.py replogle                     ours in full, at Replogle's size
gears_flax_child.py flax CASE DIRECTORY SEED     our training on a simulated case
gears_flax_child.py reference CASE DIRECTORY EPOCHS     the same of cell-gears
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from harness import interleave, peak_megabytes, timed

import perturb_jax as pj

REPLOGLE = 1_087, 5_000, 150
"""Perturbations, genes, cells of each."""
LONG = 800
"""Steps of a whole training at that size at most: twice as many as by default."""
STEPS = 10
"""Steps that one repeat takes."""


def step(genes: int, cores: int, repeats: int) -> dict[str, Any]:
    """Seconds of each repeat for one step, of both; and what bounds ours."""
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[-cores:]))
    from gears_flax_steps import BATCH, copying, flax_steps, products, screen_of, torch_steps, torch_threads

    screen, graph = screen_of(BATCH, genes)
    names = list(screen.perturbations)
    ours, program = flax_steps(screen, graph, names, STEPS)
    with torch_threads(cores):
        theirs = torch_steps(screen, graph, names, STEPS)
        contenders = {"Flax": lambda: timed("steps", ours), "PyTorch": lambda: timed("steps", theirs)}
        runs = interleave(contenders, repeats)
    parts = products(BATCH + 1, genes)
    copy, moved = copying()
    alone = {name: (lambda take=take: timed("once", take)) for name, (take, _) in parts.items()}
    bounds = interleave({**alone, "copy": lambda: timed("once", copy)}, repeats)
    memory = program.memory_analysis()
    return {
        "seconds": {name: [run.stages["steps"] / STEPS for run in done] for name, done in runs.items()},
        "products": {name: [run.stages["once"] for run in bounds[name]] for name in parts},
        "work": {name: work for name, (_, work) in parts.items()},
        "copy": [moved / run.stages["once"] for run in bounds["copy"]],
        "temporary_bytes": memory.temp_size_in_bytes if memory else None,
        "formula_bytes": 4 * (BATCH + 1) * genes * 14 * 64,
    }


def replogle() -> dict[str, Any]:
    """Ours in full: seconds of fitting, compilation included, and of its last stretches; peak memory."""
    from gears_flax_steps import screen_of

    from perturb_jax.screen.split import choose_test, remaining, split_selected

    perturbations, genes, cells = REPLOGLE
    screen, graph = screen_of(perturbations, genes, cells)
    test = choose_test(screen.perturbations, 0.1, 0)
    split = split_selected(remaining(screen.perturbations, test), test, 0, screen=screen.perturbations)
    before = peak_megabytes()
    start = time.perf_counter()
    fitted = pj.GearsFlax(steps=LONG).fit(screen, graph, split.train, split.validation, 0)
    seconds = time.perf_counter() - start
    history = fitted.history
    return {
        "seconds": seconds,
        "steps": int(history.step[-1]),
        "best_step": history.best_step,
        "first_seconds": float(history.seconds[0]),
        "train": len(split.train),
        "validation": len(split.validation),
        "peak_mb_before": before,
        "peak_mb": peak_megabytes(),
    }


def flax(case: str, directory: str, seed: str) -> dict[str, Any]:
    """Our training on a simulated case: validation errors, when, and peak memory."""
    screen, graph, split = _case(case, directory)
    history = pj.GearsFlax().fit(screen, graph, split.train, split.validation, int(seed)).history
    return {
        "errors": history.validation_mse_de.tolist(), "seconds": history.seconds.tolist(),
        "steps": history.step.tolist(), "best": history.best_step, "peak_mb": peak_megabytes(),
        "train": len(split.train), "validation": len(split.validation),
    }  # fmt: skip


def reference(case: str, directory: str, epochs: str) -> dict[str, Any]:
    """The same of cell-gears."""
    screen, graph, split = _case(case, directory)
    history = pj.GearsReference(epochs=int(epochs)).fit(screen, graph, split.train, split.validation, 0).history
    return {
        "errors": history.validation_mse_de.tolist(), "seconds": history.seconds.tolist(),
        "best": int(history.best_epoch), "peak_mb": peak_megabytes(),
    }  # fmt: skip


def _case(case: str, directory: str) -> tuple[Any, ...]:
    sys.path.append(str(Path(__file__).parents[1] / "gears_flax"))  # the simulated screens are that experiment's
    from cases import simulated_case

    return simulated_case(case, 0, Path(directory))


def main() -> None:
    """Run the part that is asked for."""
    what, *given = sys.argv[1:]
    whole = {"flax": flax, "reference": reference}
    found = whole[what](*given) if what in whole else {"step": step, "replogle": replogle}[what](*map(int, given))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
