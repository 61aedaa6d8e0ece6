"""GraphDesign with clocks: where the time of `perturb_jax.graphdesign` goes, without a second copy of its steps."""

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import jax
import numpy as np
from harness import Run

import perturb_jax as pj

MODULE = importlib.import_module("perturb_jax.selection.graphdesign")
STEPS = {
    "state_problem": "kernel",
    "_objective": "blocks",
    "greedy": "picks",
    "upper_bounds": "certificate",
}
"""Functions that `graphdesign` calls, one after the other, and the stages that their seconds are counted to."""
NAMES = "names and the rest"
COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


class Outcome(NamedTuple):
    """What a contender picked.

    Attributes:
        genes: the picks.
        values: the objective after each.
        evaluations: gains computed.
        naive_evaluations: gains that a naive greedy computes.
        guarantee: share of the best possible value that is certain; NaN where none is known.
        cpu_seconds: processor time of the whole run.
        cpu_picks: processor time of the stage "picks".
    """

    genes: tuple[str, ...]
    values: np.ndarray
    evaluations: int
    naive_evaluations: int
    guarantee: float
    cpu_seconds: float
    cpu_picks: float


def select(graph: pj.KnowledgeGraph, candidates: tuple[str, ...] | None, budget: int, **options: Any) -> Run:
    """One `graphdesign`, from graph to selection, with the seconds of its stages. They sum to the whole."""
    stages: dict[str, float] = {}
    cpu_stages: dict[str, float] = {}
    with ExitStack() as clocks:
        for function, stage in STEPS.items():
            clocked = _clocked(getattr(MODULE, function), stage, stages, cpu_stages)
            clocks.enter_context(patch.object(MODULE, function, clocked))
        cpu, start = time.process_time(), time.perf_counter()
        selection = pj.graphdesign(graph, candidates, budget, **options)
        seconds = time.perf_counter() - start
    used = time.process_time() - cpu
    stages[NAMES] = seconds - sum(stages.values())
    count = len(candidates or graph.genes)
    evaluations = sum(count - made for made in range(budget))
    found = (selection.genes, selection.values, selection.info.evaluations, evaluations, selection.guarantee, used)
    return Run(stages, Outcome(*found, cpu_stages["picks"]))


def _clocked(
    function: Callable[..., Any], stage: str, stages: dict[str, float], cpu_stages: dict[str, float]
) -> Callable[..., Any]:
    def run(*arguments: Any, **options: Any) -> Any:
        cpu, start = time.process_time(), time.perf_counter()
        result = function(*arguments, **options)
        if stage in ("picks", "certificate"):  # JAX returns before it has computed
            result = jax.block_until_ready(result)
        stages[stage] = stages.get(stage, 0.0) + time.perf_counter() - start
        cpu_stages[stage] = cpu_stages.get(stage, 0.0) + time.process_time() - cpu
        return result

    return run


@contextmanager
def count_compilations() -> Iterator[list[float]]:
    """The seconds of every compilation by XLA in the block."""
    compilations: list[float] = []

    def listen(event: str, seconds: float, **_: Any) -> None:
        if event == COMPILE_EVENT:
            compilations.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield compilations
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
