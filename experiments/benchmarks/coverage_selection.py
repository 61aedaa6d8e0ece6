"""Greedy maximum coverage: time, coverage and memory, against submodlib and apricot.

Not named `coverage.py`: numba imports a module of that name when it finds one.

Every contender is given the same reach sets in CSR form. Counted for us: the order of ties and
`coverage_host.lazy_greedy`, after one warm-up. Counted for submodlib: construction and maximisation; not counted:
building its input, a list of sets. Counted for apricot: `fit`; not counted: making the matrix.
"""

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import coverage_contenders as contenders
import jax
import jax.numpy as jnp
import numpy as np
from coverage_cases import Case, all_genes, genome_cases, screen_cases, synthetic_cases
from coverage_contenders import APRICOT_DENSE, APRICOT_SPARSE, GRAPHREACH, OURS, OURS_FIRST, SUBMODLIB
from harness import (
    Report,
    Run,
    Table,
    arguments,
    child,
    digest,
    interleave,
    seconds_of,
    show_ratio,
    show_seconds,
    timed,
)
from scipy.sparse import csr_array

import perturb_jax as pj
from perturb_jax.graph.reach import reach_sets
from perturb_jax.selection.coverage import coverage
from perturb_jax.selection.greedy import greedy

ABOUT = """Greedy maximum coverage from the same sparse reach sets. Medians of rounds in which the contenders take turns
in one process; "x submodlib" and "x apricot" say how many times longer the peer takes than the contender of the row."""
FASTER = {"a": 5, "b": 10, "c": 10}
"""How many times faster than submodlib each case is wanted."""
MEMORY_SHARE = 0.25
JAX_NAIVE = "perturb_jax.graphreach(method='naive'), graph to Selection"
JAX_GREEDY = "perturb_jax JAX naive greedy alone, from the dense mask, earliest first"
COUNTED = {
    OURS: ("tie order", "select"),
    OURS_FIRST: ("tie order", "select"),
    SUBMODLIB: ("construct", "maximize"),
    APRICOT_SPARSE: ("fit",),
    APRICOT_DENSE: ("fit",),
}
ORDERS = 20
"""Seeded orders of the candidates, which say how much of a difference in coverage is the luck of ties."""

MEMORY_NOTE = """Peak resident memory, each contender in a fresh process that loads the same `.npy` files. "So far":
the peak when the contender's package was imported, when the files were loaded, when submodlib's list of sets was built
(equal numbers share one object), and when its function was constructed."""
TIES_NOTE = """Nodes covered when the same candidates come in other orders (seeded permutations, the same for both).
Many candidates gain equally much, and which of them is taken first changes the end. Ours takes the one whose nodes the
fewest other candidates reach, and only then the earliest, so the order given hardly matters."""

Contenders = dict[str, Callable[[], Run]]


def fast_contenders(case: Case, cover_set: list[set[int]]) -> Contenders:
    """The contenders that run in every round: ours, ours from graph to Selection, its reach sets alone, submodlib."""
    graph, sets = case.graph, case.sets
    members = all_genes(graph) if case.candidates is None else graph.index(case.candidates)[:, None]
    select = partial(pj.graphreach, graph, case.candidates, case.budget, case.hops, case.direction, method="host")
    return {
        OURS: partial(contenders.ours, sets, case.budget),
        SUBMODLIB: partial(contenders.submodlib, cover_set, sets.shape[1], case.budget),
        OURS_FIRST: partial(contenders.ours, sets, case.budget, rare_first=False),
        GRAPHREACH: lambda: timed("graphreach", lambda: {"picks": _positions(members, select().indices)}),
        "perturb_jax reach sets alone": lambda: timed(
            "reach", lambda: reach_sets(graph, members, case.hops, case.direction)
        ),
    }


def jax_contenders(case: Case) -> Contenders:
    """The JAX path of case (a): all gains of all candidates at every pick, over a dense mask."""
    graph = case.graph
    members = graph.index(case.candidates or ())[:, None]
    covers = jax.block_until_ready(pj.reach(graph, case.candidates, case.hops, case.direction))
    available = jnp.ones(len(covers), bool)
    select = partial(pj.graphreach, graph, case.candidates, case.budget, case.hops, case.direction, method="naive")
    return {
        JAX_NAIVE: lambda: timed("graphreach", lambda: {"picks": _positions(members, select().indices)}),
        JAX_GREEDY: lambda: timed(
            "select", lambda: {"picks": np.asarray(greedy(coverage(covers), case.budget, available).picks)}
        ),
    }


def apricot_contenders(case: Case) -> Contenders:
    """Apricot where it ends in reasonable time: (a), sparse and dense; (b) at k=1, sparse (dense would be 3.4 GB)."""
    if case.key == "b, k=1":
        return {APRICOT_SPARSE: partial(contenders.apricot, case.sets, case.budget)}
    if case.key.startswith("a"):
        return {
            APRICOT_SPARSE: partial(contenders.apricot, case.sets, case.budget),
            APRICOT_DENSE: partial(contenders.apricot, case.sets, case.budget, dense=True),
        }
    return {}


def _positions(members: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Candidate numbers of the picked nodes."""
    position = np.full(members.max() + 1, -1)
    position[members[:, 0]] = np.arange(len(members))
    return position[nodes]


def measure(case: Case, report: Report, quick: bool) -> None:
    """Time one case, check what each contender picked, and add its table and targets."""
    building = timed("list of sets", lambda: contenders.list_of_sets(case.sets))
    cover_set = building.result
    runs = interleave(fast_contenders(case, cover_set), case.repeats)
    slow = apricot_contenders(case) | (jax_contenders(case) if case.key.startswith("a") else {})
    runs |= interleave(slow, 1 if quick else 3)
    report.add_runs(case.key, {**runs, "submodlib's input": [Run(building.stages, None)]})
    rows = [_row(case, name, runs, report) for name in runs if "picks" in _picked(runs[name])]
    note = (
        f"Not counted: building submodlib's list of sets, {show_seconds(building.stages['list of sets'])}. "
        f"Reach sets alone: {show_seconds(seconds_of(runs['perturb_jax reach sets alone']))}. "
        f"Our bound says that no selection of {case.budget:,} covers more than {runs[OURS][-1].result['bound']:,} "
        f"nodes. Gain evaluations: {runs[OURS][-1].result['evaluations']:,} of "
        f"{_naive_evaluations(case):,} that a naive greedy makes."
    )
    report.tables.append(Table(f"Case {case.key}", note, rows))
    _speed_target(case, runs, report)


def _picked(runs: list[Run]) -> dict[str, Any]:
    return runs[-1].result if isinstance(runs[-1].result, dict) else {}


def _naive_evaluations(case: Case) -> int:
    return sum(case.sets.shape[0] - step for step in range(case.budget))


def _row(case: Case, name: str, runs: dict[str, list[Run]], report: Report) -> dict[str, str]:
    picks = _picked(runs[name])["picks"]
    counted = seconds_of(runs[name], *COUNTED.get(name, ()))
    stages = {stage: show_seconds(seconds_of(runs[name], stage)) for stage in runs[name][0].stages}
    facts = {
        "nodes covered": contenders.covered(case.sets, picks),
        "duplicates": len(picks) - len(np.unique(picks)),
    }
    if not case.key.startswith("c"):
        facts["not the largest gain"] = contenders.not_the_largest(case.sets, picks)
    for what, value in facts.items():
        report.add(case.key, name, what, "count", value)
    peers = [SUBMODLIB, *(peer for peer in (APRICOT_SPARSE, APRICOT_DENSE) if peer in runs)]
    fastest = min(peers[1:], key=lambda peer: seconds_of(runs[peer], "fit"), default=None)
    row = {
        "contender": name,
        "counted": show_seconds(counted),
        "stages": ", ".join(f"{stage} {time}" for stage, time in stages.items()),
        "x submodlib": show_ratio(seconds_of(runs[SUBMODLIB], *COUNTED[SUBMODLIB]) / counted),
    }
    if fastest:
        row["x apricot"] = show_ratio(seconds_of(runs[fastest], "fit") / counted)
    return row | {what: f"{value:,}" for what, value in facts.items()}


def _speed_target(case: Case, runs: dict[str, list[Run]], report: Report) -> None:
    wanted = FASTER[case.key[0]]
    ratio = seconds_of(runs[SUBMODLIB], *COUNTED[SUBMODLIB]) / seconds_of(runs[OURS], *COUNTED[OURS])
    report.target(case.key, f"time: at least {wanted}x faster than submodlib", show_ratio(ratio), ratio >= wanted)
    nodes = {name: contenders.covered(case.sets, _picked(runs[name])["picks"]) for name in (OURS, SUBMODLIB)}
    measured = f"{nodes[OURS]:,} against {nodes[SUBMODLIB]:,}"
    report.target(case.key, "nodes covered: equal or more", measured, nodes[OURS] >= nodes[SUBMODLIB])


def measure_orders(case: Case, report: Report, orders: int) -> dict[str, str]:
    """The coverage of both from the same candidates in other orders: only ties can then differ."""
    ranges: dict[str, list[int]] = {OURS: [], SUBMODLIB: []}
    for seed in range(orders):
        sets = case.sets[np.random.default_rng(seed).permutation(case.sets.shape[0])]
        ranges[OURS].append(contenders.covered(sets, contenders.ours(sets, case.budget, False).result["picks"]))
        peer = contenders.submodlib(contenders.list_of_sets(sets), sets.shape[1], case.budget)
        ranges[SUBMODLIB].append(contenders.covered(sets, peer.result["picks"]))
    for name, values in ranges.items():
        report.add(case.key, name, "nodes covered, candidates permuted", "count", *values)
    no_less = sum(mine >= theirs for mine, theirs in zip(ranges[OURS], ranges[SUBMODLIB], strict=True))
    return {
        "case": case.key,
        "orders": str(orders),
        f"{OURS}: equal or more": str(no_less),
        **{f"{name}: mean": f"{mean(values):,.1f}" for name, values in ranges.items()},
        **{f"{name}: range": f"{min(values):,} to {max(values):,}" for name, values in ranges.items()},
    }


def measure_memory(case: Case, report: Report) -> list[dict[str, str]]:
    """The peak memory of each contender, each in a fresh process that loads the same files and does nothing else."""
    names = [OURS, f"{OURS} and certificate", GRAPHREACH, SUBMODLIB]
    if case.key == "b, k=1":
        names.append(APRICOT_SPARSE)
    with tempfile.TemporaryDirectory() as directory:
        _save(case, Path(directory))
        answers = {name: _memory_of(case, name, directory) for name in names}
    peer = answers[SUBMODLIB]["end"]
    rows = []
    for name, peaks in answers.items():
        for stage, megabytes in peaks.items():
            report.add(case.key, name, f"peak memory, {stage}", "MB", megabytes)
        stages = ", ".join(f"{stage} {megabytes:,.0f}" for stage, megabytes in peaks.items() if stage != "end")
        share = f"{peaks['end'] / peer:.3f}"
        rows.append(
            {
                "case": case.key,
                "contender": name,
                "peak MB": f"{peaks['end']:,.0f}",
                "of submodlib": share,
                "so far": stages,
            }
        )
    if case.key.startswith("c"):
        share = answers[OURS]["end"] / peer
        wanted = f"memory: at most {MEMORY_SHARE} of submodlib's"
        report.target(case.key, wanted, f"{share:.3f}", share <= MEMORY_SHARE)
    return rows


def _save(case: Case, directory: Path) -> None:
    np.save(directory / "indptr.npy", case.sets.indptr)
    np.save(directory / "indices.npy", case.sets.indices)
    for part in ("senders", "receivers", "weights"):
        np.save(directory / f"{part}.npy", getattr(case.graph, part))
    (directory / "names.json").write_text(json.dumps(case.graph.genes))
    (directory / "candidates.json").write_text(json.dumps(case.candidates))


def _memory_of(case: Case, contender: str, directory: str) -> dict[str, float]:
    task = {
        "directory": directory,
        "contender": contender,
        "budget": case.budget,
        "num_nodes": case.sets.shape[1],
        "hops": case.hops,
        "direction": case.direction,
    }
    return child(Path(contenders.__file__), json.dumps(task))["peaks"]


def apricot_compilation(report: Report) -> None:
    """What each fit of apricot spends on compiling itself: a fit that has next to nothing to select from."""
    tiny = csr_array(np.eye(3, dtype=bool))
    runs = interleave({APRICOT_SPARSE: partial(contenders.apricot, tiny, 2)}, 3)
    report.add_runs("3 candidates", runs)
    report.notes.append(
        "Each `fit` of apricot compiles its own loops, which is counted, because every call pays it: "
        f"{show_seconds(seconds_of(runs[APRICOT_SPARSE], 'fit'))} for 2 of 3 candidates."
    )


def main() -> None:
    """Run the cases for which the inputs are there and write the report."""
    options = arguments(__doc__).parse_args()
    report = Report("coverage_selection", ABOUT, {"quick": options.quick, "synthetic seed": 0})
    cases: list[Callable[[], Any]] = []
    if options.library and options.essential:
        report.settings |= {"library": digest(options.library), "essential": digest(options.essential)}
        cases.append(lambda: screen_cases(options.library, options.essential, options.quick))
    else:
        report.notes.append("Case (a) was skipped: it needs --library and --essential.")
    cases += [lambda: genome_cases(options.quick), lambda: synthetic_cases(options.quick)]
    sizes: list[dict[str, str]] = []
    memory: list[dict[str, str]] = []
    ties: list[dict[str, str]] = []
    for make in cases:
        for case in make():
            print(f"case {case.key} ...", flush=True)
            sizes.append(case.describe())
            measure(case, report, options.quick)
            if not case.key.startswith("c"):
                ties.append(measure_orders(case, report, 2 if options.quick else ORDERS))
            if not case.key.startswith("a"):
                memory += measure_memory(case, report)
    apricot_compilation(report)
    report.tables.insert(0, Table("Sizes", "", sizes))
    report.tables.append(Table("Memory", MEMORY_NOTE, memory))
    report.tables.append(Table("Ties", TIES_NOTE, ties))
    report.write(options.out)


if __name__ == "__main__":
    main()
