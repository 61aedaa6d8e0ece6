"""Doing a unit of work in a worker: what comes of it travels through the directory."""

import io
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np

from perturb_jax.evaluation.trial import fit_and_measure
from perturb_jax.experiment.prepare import prepare, ready, with_cells
from perturb_jax.experiment.store import HISTORY, METRICS, PICKS, RUN, VIEW, Store
from perturb_jax.experiment.work import Choice, Preparation, Training, Work
from perturb_jax.genes.perturbations import nodes_of
from perturb_jax.predictors.predictor import Fitted, history_of
from perturb_jax.screen.split import remaining, split_selected
from perturb_jax.strategies.choose import choose
from perturb_jax.strategies.strategy import Ask
from perturb_jax.strategies.view import PARTS, View, view_of
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import versions

_REPEATED_BELOW = 1.0
"""Seconds; the first time holds imports and compilation, which would hide what so short a choice takes."""
_COMPILATION = "/jax/core/compile/"


def carry_out(work: Work, root: Path) -> None:
    """Do the work and store what comes of it; nothing where it is there already.

    Raises:
        InputError, FloatingPointError: what cannot be prepared, selected or learnt.
    """
    store = Store(root)
    if store.holds(work):
        return
    if isinstance(work, Preparation):
        prepare(work, store)
    elif isinstance(work, Choice):
        _choose(work, store)
    elif isinstance(work, Training):
        _train(work, store)


def _choose(work: Choice, store: Store) -> None:
    _, graph, names = ready(work.preparation, store)
    candidates = remaining(remaining(names, work.test), work.selected)
    view = None if work.run is None else read_view(store.place(work.run), work.parts)
    # labels are the screen's names, so picks are too
    pool, selected = (nodes_of(graph.names, names) for names in (candidates, work.selected))
    ask = Ask(graph, pool, selected, work.batch, work.seed, view)
    with _compilation() as compiling:
        begin = time.perf_counter()
        picks = choose(work.strategy, ask).genes
        first = time.perf_counter() - begin
    seconds = max(first - sum(compiling), 0.0)
    if first < _REPEATED_BELOW:
        begin = time.perf_counter()
        choose(work.strategy, ask)
        seconds = time.perf_counter() - begin
    record = {
        "work": work.identity(), "picks": list(picks), "seconds": seconds, "seconds_first": first, **_environment(),
    }  # fmt: skip
    with store.writing(work) as place:
        _write_json(place / PICKS, record)


@contextmanager
def _compilation() -> Iterator[list[float]]:
    """Seconds of JAX's compilations while the context is open."""
    seconds: list[float] = []
    _listening.append(seconds)
    if len(_listening) == 1 and not _registered:
        jax.monitoring.register_event_duration_secs_listener(_heard)
        _registered.append(True)
    try:
        yield seconds
    finally:
        _listening.remove(seconds)


_listening: list[list[float]] = []
_registered: list[bool] = []


def _heard(event: str, duration_secs: float, **_: str | int) -> None:
    if event.startswith(_COMPILATION):
        for seconds in _listening:
            seconds.append(duration_secs)


def _train(work: Training, store: Store) -> None:
    begin = time.perf_counter()
    screen, graph, names = ready(work.preparation, store)
    predictor: Any = work.predictor.predictor
    if getattr(predictor, "reads_cells", False):
        screen = with_cells(work.preparation, store, screen)
    split = split_selected(work.selected, work.test, work.split_seed, work.validation, names)
    seconds = {"loading": time.perf_counter() - begin}
    trial = fit_and_measure(screen, graph, predictor, split, work.training_seed, work.metrics or None)
    fitted, metrics = trial.fitted, trial.metrics
    seconds |= trial.seconds
    begin = time.perf_counter()
    parts = [part for part in PARTS if work.effect or part != "effect"]
    view = _view_of(fitted, remaining(names, work.test), parts)
    seconds["view"] = time.perf_counter() - begin
    begin = time.perf_counter()
    history, report = history_of(fitted)
    with store.writing(work) as place:
        metrics.reset_index().to_parquet(place / METRICS, index=False)
        if history is not None:
            history.to_parquet(place / HISTORY, index=False)
        _write_view(place / VIEW, view)
        record = {"work": work.identity(), "validation": list(split.validation), "report": report, **_environment()}
        seconds["storing"] = time.perf_counter() - begin
        _write_json(place / RUN, record | {"seconds": seconds})


def _view_of(fitted: Fitted, names: tuple[str, ...], parts: Sequence[str]) -> View:
    """The parts that the predictor has."""
    held: dict[str, Any] = {}
    for part in parts:
        with suppress(InputError):  # where it has none
            held[part] = getattr(view_of(fitted, names, (part,)), part)
    return View(names, **held)


def _write_view(path: Path, view: View) -> None:
    """As arrays without pickle; features that are the embedding are stored once."""
    arrays = {part: values for part in PARTS if (values := getattr(view, part)) is not None}
    if "features" in arrays and np.array_equal(arrays["features"], arrays.get("embedding", ())):
        arrays["features"] = np.zeros(0)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, perturbations=np.array(view.perturbations), **arrays)
    path.write_bytes(buffer.getvalue())


def read_view(run: Path, parts: Sequence[str]) -> View:
    """Some parts of the view of a finished run.

    Raises:
        InputError: a part that its predictor does not have.
    """
    with np.load(run / VIEW, allow_pickle=False) as file:
        absent = [part for part in parts if part not in file]
        if absent:
            about = json.loads((run / RUN).read_text(encoding="utf-8"))["work"]["predictor"]["name"]
            raise InputError(
                f"{', '.join(absent)}: {about} has none with these settings; name the predictors that the strategy "
                "is for: predictors = [...]"
            )
        held = {}
        for part in parts:
            values = file["embedding" if part == "features" and file[part].shape == (0,) else part]
            values.setflags(write=False)
            held[part] = values
        return View(tuple(file["perturbations"].tolist()), **held)


def _environment() -> dict[str, Any]:
    device = jax.devices()[0]
    machine = {
        "system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"), "device": f"{device.platform}: {device.device_kind}",
    }  # fmt: skip
    return {"versions": versions(), "machine": machine}


def _write_json(path: Path, record: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
