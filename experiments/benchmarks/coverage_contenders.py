"""Greedy maximum coverage by us and by the peers, all from the same sparse reach sets.

Run as a script, this is the fresh child process in which one contender's peak memory is measured.
"""

import importlib
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from harness import Run, Stopwatch, peak_megabytes
from scipy.sparse import csr_array

OURS = "perturb_jax"
OURS_FIRST = "perturb_jax, ties='first'"
SUBMODLIB = "submodlib"
APRICOT_SPARSE = "apricot, sparse"
APRICOT_DENSE = "apricot, dense"
GRAPHREACH = "perturb_jax.graphreach, graph to Selection"
PACKAGE = {SUBMODLIB: "submodlib", APRICOT_SPARSE: "apricot"}


def ours(sets: csr_array, budget: int, certificate: bool = True, rare_first: bool = True) -> Run:
    """Stages "tie order" and "select": the compiled lazy greedy, which prefers the rarest among equal gains.

    Stage "certificate": the upper bound of any selection's value. With `rare_first` off, the earliest is preferred.
    """
    from perturb_jax.selection.coverage import cover_bounds, rarity
    from perturb_jax.selection.greedy import tie_order
    from perturb_jax.selection.host import coverage as coverage_host

    indptr, indices, num_nodes = sets.indptr, sets.indices, sets.shape[1]
    watch = Stopwatch()
    with watch.stage("tie order"):
        rarities = rarity(sets) if rare_first else None
        order = tie_order(len(indptr) - 1, rarities, None)
    with watch.stage("select"):
        counts = np.zeros(num_nodes, np.int32)
        picks, _, _, evaluations = coverage_host.lazy_greedy(indptr, indices, None, counts, order, budget)
    bound = None
    if certificate:
        with watch.stage("certificate"):
            bounds = cover_bounds(sets, np.zeros(num_nodes, np.int32), picks)
        bound = int(bounds[-1])
    return Run(watch.stages, {"picks": picks, "bound": bound, "evaluations": evaluations})


def list_of_sets(sets: csr_array) -> list[set[int]]:
    """What submodlib takes. Equal numbers share one Python object: the least memory that this input can have."""
    indptr, indices, num_nodes = sets.indptr, sets.indices, sets.shape[1]
    numbers = np.arange(num_nodes).astype(object)[indices].tolist()
    ends = indptr.tolist()
    return [set(numbers[start:stop]) for start, stop in pairwise(ends)]


def submodlib(cover_set: list[set[int]], num_nodes: int, budget: int, peaks: dict[str, float] | None = None) -> Run:
    """Stage "construct": `SetCoverFunction`. Stage "maximize": its lazy greedy. Its destruction is not timed.

    With `peaks`, the peak memory after the construction is noted there.
    """
    from submodlib import SetCoverFunction

    watch = Stopwatch()
    with watch.stage("construct"):
        function = SetCoverFunction(len(cover_set), cover_set=cover_set, num_concepts=num_nodes)
    if peaks is not None:
        peaks["constructed"] = peak_megabytes()
    with watch.stage("maximize"):
        chosen = function.maximize(
            budget=budget,
            optimizer="LazyGreedy",
            stopIfZeroGain=False,
            stopIfNegativeGain=False,
            verbose=False,
            show_progress=False,
        )
    return Run(watch.stages, {"picks": np.array([pick for pick, _ in chosen], np.int64)})


def apricot(sets: csr_array, budget: int, dense: bool = False) -> Run:
    """Stage "matrix": CSR or dense, float64. Stage "fit": its lazy greedy, which compiles itself in every fit."""
    from apricot import MaxCoverageSelection
    from scipy.sparse import csr_matrix

    indptr, indices, num_nodes = sets.indptr, sets.indices, sets.shape[1]
    watch = Stopwatch()
    with watch.stage("matrix"):
        shape = (len(indptr) - 1, num_nodes)
        matrix = csr_matrix((np.ones(len(indices)), indices, indptr.astype(np.int32)), shape=shape)
        if dense:
            matrix = matrix.toarray()
    with watch.stage("fit"):
        selection = MaxCoverageSelection(budget, optimizer="lazy").fit(matrix)
    return Run(watch.stages, {"picks": np.asarray(selection.ranking, np.int64)})


def covered(sets: csr_array, picks: np.ndarray) -> int:
    """How many nodes the picks cover, computed again by NumPy alone."""
    indptr, indices, num_nodes = sets.indptr, sets.indices, sets.shape[1]
    reached = np.zeros(num_nodes, bool)
    for pick in picks:
        reached[indices[indptr[pick] : indptr[pick + 1]]] = True
    return int(reached.sum())


def not_the_largest(sets: csr_array, picks: np.ndarray) -> int:
    """How many picks gained less than the best candidate would have, by the definition of greedy."""
    indptr, indices, num_nodes = sets.indptr, sets.indices, sets.shape[1]
    gains = np.diff(indptr).copy()
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    order = np.argsort(indices, kind="stable")
    node_indptr = np.concatenate([[0], np.cumsum(np.bincount(indices, minlength=num_nodes))])
    by_node = rows[order]
    reached = np.zeros(num_nodes, bool)
    worse = 0
    for pick in picks:
        worse += gains[pick] < gains.max()
        nodes = indices[indptr[pick] : indptr[pick + 1]]
        new = nodes[~reached[nodes]]
        reached[new] = True
        for node in new:
            np.subtract.at(gains, by_node[node_indptr[node] : node_indptr[node + 1]], 1)
    return worse


def _child_sets(directory: Path, contender: str, budget: int, num_nodes: int, peaks: dict[str, float]) -> Run:
    indptr, indices = (np.load(directory / f"{part}.npy") for part in ("indptr", "indices"))
    sets = csr_array((np.ones(len(indices), bool), indices, indptr), (len(indptr) - 1, num_nodes))
    del indptr, indices
    peaks["loaded"] = peak_megabytes()
    if contender == SUBMODLIB:
        cover_set = list_of_sets(sets)
        del sets
        peaks["list of sets"] = peak_megabytes()
        return submodlib(cover_set, num_nodes, budget, peaks)
    if contender == OURS:
        return ours(sets, budget, certificate=False)
    if contender == f"{OURS} and certificate":
        return ours(sets, budget)
    if contender == APRICOT_SPARSE:
        return apricot(sets, budget)
    raise ValueError(f"unknown contender {contender!r}")


def _child_graph(directory: Path, budget: int, hops: int, direction: Any, peaks: dict[str, float]) -> Run:
    from harness import timed

    import perturb_jax as pj
    from perturb_jax.graph.knowledge_graph import make_graph

    edges = [np.load(directory / f"{part}.npy") for part in ("senders", "receivers", "weights")]
    names = json.loads((directory / "names.json").read_text())
    graph = make_graph(*edges, names)
    peaks["loaded"] = peak_megabytes()
    candidates = json.loads((directory / "candidates.json").read_text())
    return timed("graphreach", lambda: pj.graphreach(graph, candidates, budget, hops=hops, direction=direction))


def main() -> None:
    """Load the inputs, run one contender once, print the peaks of this process as JSON."""
    task = json.loads(sys.argv[1])
    directory = Path(task["directory"])
    importlib.import_module(PACKAGE.get(task["contender"], "perturb_jax"))
    peaks = {"imported": peak_megabytes()}
    if task["contender"] == GRAPHREACH:
        run = _child_graph(directory, task["budget"], task["hops"], task["direction"], peaks)
    else:
        run = _child_sets(directory, task["contender"], task["budget"], task["num_nodes"], peaks)
    peaks["end"] = peak_megabytes()
    print(json.dumps({"peaks": peaks, "stages": run.stages}))


if __name__ == "__main__":
    main()
