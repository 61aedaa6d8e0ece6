"""Doing a unit of work in a worker: screens and graphs, selections, runs; what comes of it is stored."""

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from perturb_jax.evaluation.trial import fit_and_measure, genes_of_screen, usable_perturbations
from perturb_jax.experiment.file import Simulation
from perturb_jax.experiment.planner import Choice, Preparation, Training, Work
from perturb_jax.experiment.store import HISTORY, METRICS, PICKS, RECORD, RUN, SCREEN, VIEW, Store, write_json
from perturb_jax.genes.lists import read_names
from perturb_jax.genes.perturbations import control_kind, nodes_of, parse_perturbations, perturbed_genes
from perturb_jax.graph.choice import GraphChoice
from perturb_jax.graph.knowledge_graph import KnowledgeGraph, graph_record
from perturb_jax.predictors.predictor import history_of
from perturb_jax.screen.reading import open_screen
from perturb_jax.screen.screen import Screen, one_of_each
from perturb_jax.screen.simulate import simulate_screen
from perturb_jax.screen.split import remaining, split_selected
from perturb_jax.screen.store import load_screen, save_screen
from perturb_jax.strategies.choose import choose
from perturb_jax.strategies.strategy import Ask
from perturb_jax.strategies.view import PARTS, View, view_of
from perturb_jax.support.devices import check_platform
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import versions

CELLS = "cells"
"""Directory of the simulated cells that the reference needs: they can be drawn again, and are only kept."""


def execute(work: Work, root: Path) -> None:
    """Do the work and store what comes of it; nothing where it is there already."""
    check_platform()
    store = Store(root)
    if store.holds(work):
        return
    do: dict[str, Callable[[Any, Store], None]] = {"data": prepare, "selections": _choose, "runs": _train}
    do[work.kind](work, store)


def prepare(work: Preparation, store: Store) -> None:
    """Make the screen and store it, with the perturbations that the graph knows."""
    if work.data.simulation is not None:
        screen, graph = _simulated(work, work.data.simulation, None)
    else:
        path = work.paths.get("data.screen") or work.paths["data.dataset"]
        screen = open_screen(path, work.data.reading, progress=False)
        graph = _graph(work, genes_of_screen(screen))
        screen = one_of_each(screen, graph.names)
    usable, missing = usable_perturbations(screen, graph, work.data.unknown)
    parse_perturbations(graph.names, usable)  # refuses two names of one perturbation
    record = {
        "work": work.identity(),
        "perturbations": list(usable),
        "dropped": missing,
        "screen": repr(screen),
        "caution": screen.caution,
        "simulated": bool(screen.settings.get("simulated")),
        "graph": graph_record(graph),
        "versions": versions(),
    }
    with store.writing(work) as directory:
        save_screen(screen, directory / SCREEN)
        write_json(directory / RECORD, record)


def with_cells(work: Preparation, store: Store, screen: Screen) -> Screen:
    """The screen with a file of its cells, for a predictor that learns from cells.

    Simulated cells are drawn again, the same, and kept.
    """
    simulation = work.data.simulation
    if simulation is None:
        return replace(screen, source=work.paths.get("data.screen") or work.paths.get("data.dataset", screen.source))
    if simulation.moments == "expected":
        raise InputError('expected moments have no cells to learn from; simulate with moments = "cells"')
    path = store.root / CELLS / f"{work.digest}.h5ad"
    if not path.exists():
        _simulated(work, simulation, path)
    return replace(screen, source=path)


@lru_cache(4)
def ready(work: Preparation, root: Path) -> tuple[Screen, KnowledgeGraph, tuple[str, ...]]:
    """The screen, its graph and its usable perturbations, as stored below `root`; the last few are kept in memory."""
    store = Store(root)
    screen = load_screen(store.directory(work) / SCREEN)
    return screen, _graph(work, genes_of_screen(screen)), tuple(store.record(work, RECORD)["perturbations"])


def _choice(work: Preparation) -> GraphChoice:
    """What the graph is made of: files where they are."""
    files: dict[str, Any] = {key: work.paths.get(f"graph.{key}") for key in ("file", "annotation", "universe")}
    return replace(work.graph, **files)


def _graph(work: Preparation, of_screen: Sequence[str] | None) -> KnowledgeGraph:
    """The graph of a universe; of all annotated genes where that is "screen" and the screen's are not given."""
    choice = _choice(work)
    if work.graph.universe == "screen" and of_screen is not None and choice.file is None:
        known = choice.known.names.resolve(of_screen, "drop", distinct=False).genes
        of_screen = tuple(dict.fromkeys(known))  # a screen may name a gene by its old symbol and by its new
    return choice.build(genes=of_screen if work.graph.universe == "screen" else None)


def _simulated(work: Preparation, simulation: Simulation, path: Path | None) -> tuple[Screen, KnowledgeGraph]:
    """A simulated screen and the graph that is read.

    Where the graph is the measured genes' and effects are smooth over it, its genes are drawn first: the perturbed ones
    of a list and others of the annotation, at random.
    """
    assert work.seed is not None
    files = {part: work.paths.get(f"data.simulation.{part}") for part in ("perturbations", "genes")}
    names, genes = (read_names(path) if path else getattr(simulation, part) for part, path in files.items())
    if simulation.over == "genome":
        over = replace(_choice(work), universe=None, file=None).build()
    elif work.graph.universe == "screen" and work.graph.file is None:
        over = _graph(work, _drawn(work, names, genes) if isinstance(genes, int) else genes)
        genes = list(over.genes)
    else:
        over = _graph(work, None)
    screen = simulate_screen(
        over, names, genes, simulation.cells, control_cells=simulation.control_cells,
        homophily=simulation.homophily, hops=simulation.hops, seed=work.seed, moments=simulation.moments,
        model=simulation.model, path=path, unknown=work.data.unknown,
    )  # fmt: skip
    return screen, over if simulation.over == "graph" else _graph(work, genes_of_screen(screen))


def _drawn(work: Preparation, names: int | list[str], count: int) -> list[str]:
    """Genes of a simulated screen: the perturbed ones, and others of the annotation."""
    annotation = _choice(work).known
    given: list[str] = []
    if not isinstance(names, int):
        targets = dict.fromkeys(gene for name in names for gene in perturbed_genes(name))
        given = list(annotation.names.resolve(targets, work.data.unknown).genes)
    if not len(given) <= count <= len(annotation.genes):
        raise InputError(f"genes: expected {len(given)}, the perturbed ones, to {len(annotation.genes)}, got {count}")
    order = np.random.default_rng([_GENES_OF_GRAPH, work.seed or 0]).permutation(len(annotation.genes))
    taken = set(given)
    drawn = (annotation.genes[index] for index in order.tolist())
    others = [gene for gene in drawn if gene not in taken and not control_kind(gene.lower())]  # one gene is called CTRL
    return [*given, *others[: count - len(given)]]


_GENES_OF_GRAPH = 3
"""The stream of random numbers for these; a simulation uses those before it."""


_REPEATED_BELOW = 1.0
"""Seconds; the first time holds imports and compilation, which would hide what so short a choice takes."""


def _choose(work: Choice, store: Store) -> None:
    _, graph, names = ready(work.preparation, store.root)
    candidates = remaining(remaining(names, work.test), work.selected)
    view = None if work.run is None else read_view(store.directory(work.run), work.parts)
    # labels are the screen's names, so picks are too
    pool, selected = (nodes_of(graph.names, names) for names in (candidates, work.selected))
    ask = Ask(graph, pool, selected, work.batch, work.seed, view)
    compiled = _compilations()
    before, begin = len(compiled), time.perf_counter()
    picks = choose(work.strategy, ask).genes
    first = time.perf_counter() - begin
    seconds = max(first - sum(compiled[before:]), 0.0)
    if first < _REPEATED_BELOW:
        begin = time.perf_counter()
        choose(work.strategy, ask)
        seconds = time.perf_counter() - begin
    record = {
        "work": work.identity(), "picks": list(picks), "seconds": seconds, "seconds_first": first, **_environment(),
    }  # fmt: skip
    with store.writing(work) as directory:
        write_json(directory / PICKS, record)


@cache
def _compilations() -> list[float]:
    """Seconds of JAX's compilations since the first call, one after the other."""
    heard: list[float] = []

    def hear(event: str, duration_secs: float, **_: str | int) -> None:
        if event.startswith("/jax/core/compile/"):
            heard.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(hear)
    return heard


def _train(work: Training, store: Store) -> None:
    begin = time.perf_counter()
    screen, graph, names = ready(work.preparation, store.root)
    predictor: Any = work.predictor.predictor
    if getattr(predictor, "reads_cells", False):
        screen = with_cells(work.preparation, store, screen)
    split = split_selected(work.selected, work.test, work.split_seed, work.validation, names)
    seconds = {"loading": time.perf_counter() - begin}
    trial = fit_and_measure(screen, graph, predictor, split, work.training_seed, work.metrics or None)
    seconds |= trial.seconds
    begin = time.perf_counter()
    seen = remaining(names, work.test)
    view: dict[str, Any] = {}
    for part in [part for part in PARTS if work.effect or part != "effect"]:
        with suppress(InputError):  # where the predictor has none
            view[part] = getattr(view_of(trial.fitted, seen, (part,)), part)
    seconds["view"] = time.perf_counter() - begin
    begin = time.perf_counter()
    history, report = history_of(trial.fitted)
    with store.writing(work) as directory:
        trial.metrics.reset_index().to_parquet(directory / METRICS, index=False)
        if history is not None:
            history.to_parquet(directory / HISTORY, index=False)
        _write_view(directory / VIEW, seen, view)
        record = {"work": work.identity(), "validation": list(split.validation), "report": report, **_environment()}
        seconds["storing"] = time.perf_counter() - begin
        write_json(directory / RUN, record | {"seconds": seconds})


def _write_view(path: Path, names: tuple[str, ...], parts: dict[str, Any]) -> None:
    """As arrays without pickle; features that are the embedding are stored once."""
    if "features" in parts and np.array_equal(parts["features"], parts.get("embedding", ())):
        parts = parts | {"features": np.zeros(0)}
    np.savez_compressed(path, perturbations=np.array(names), **parts)


def read_view(run: Path, parts: Sequence[str]) -> View:
    """Some parts of the view of a finished run."""
    with np.load(run / VIEW, allow_pickle=False) as file:
        absent = [part for part in parts if part not in file]
        if absent:
            about = json.loads((run / RUN).read_text(encoding="utf-8"))["work"]["predictor"]["name"]
            raise InputError(
                f"{', '.join(absent)}: {about} has none with these settings; name the predictors that the strategy "
                "is for: predictors = [...]"
            )
        held = {part: file["embedding" if part == "features" and file[part].shape == (0,) else part] for part in parts}
        for values in held.values():
            values.setflags(write=False)
        return View(tuple(file["perturbations"].tolist()), **held)


def _environment() -> dict[str, Any]:
    device = jax.devices()[0]
    machine = {
        "system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"), "device": f"{device.platform}: {device.device_kind}",
    }  # fmt: skip
    return {"versions": versions(), "machine": machine}
