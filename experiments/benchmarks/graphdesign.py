"""GraphDesign: time and memory of graph-based experimental design, against NumPy that holds dense covariances.

All go from the graph to the picks with the same tie rule, in float64, on the GO graph of a genome-wide library:
direction in, kernel of unit diagonal, noise 2. Ours is counted after a warm-up call, which compiles; that time is
shown apart.
"""

import os

# Before numpy is imported. On a busy machine two threads of OpenBLAS wait for each other on products as short as these:
# the peers then take several times longer, which would flatter us. XLA uses about one thread here, as CPU times show.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from coverage_cases import screen_candidates, screen_graph
from graphdesign_growth import NOTE as GROWTH_NOTE, growth_rows, measure_growth, plot_growth
from graphdesign_peer import NOISE, TIE, Problem, blas_update, dense, naive, recurrence, submodlib
from graphdesign_stages import MODULE, Outcome, count_compilations, select
from harness import (
    Report,
    Run,
    Table,
    arguments,
    child,
    digest,
    interleave,
    missing_packages,
    seconds_of,
    show_ratio,
    show_seconds,
)

import perturb_jax as pj

ABOUT = """Greedy experimental design by the kernel of the graph, criterion "variance" unless said otherwise: the
compiled greedy over low-rank updates, against dense posterior covariances in NumPy, all from graph to picks in float64.
"x" says how many times longer the row takes than ours."""
CHILD = Path(__file__).with_name("graphdesign_child.py")
SECONDS, FASTER, GENOME_SECONDS = 3.0, 20.0, 60.0
MEMORY_MB = 2 * 1024**3 / 1e6
OURS, DENSE, DGER = "perturb_jax", "NumPy, block [candidates, targets]", "the same, updated in place by BLAS (dger)"
RECURRENCE, NAIVE = "NumPy, our recurrence", "NumPy, n x n"
PEER_NOTE = """NumPy, block: holds the posterior covariance between candidates and targets; gains are sums of squares
(`einsum`), a pick subtracts an `np.outer`. n x n: the same among all nodes; {few} picks were measured, the whole is
**extrapolated** from the time of one (each costs the same). Our recurrence in NumPy: B0 by a dense product, then no
targets at all. "Blocks" is everything before the first pick but names. Medians of rounds in which the rows take turns;
processor time is that of the last round. "Picks as ours" compares pick by pick; ties go to the first candidate within
{tie:g} of the best gain everywhere."""
COMPILE_NOTE = """First call in this process, median of the later ones, and what XLA itself reported for compiling.
Programs depend on shapes only: a case whose shapes were seen before compiles nothing. In all timed rounds together XLA
compiled {count} times."""
CRITERIA_NOTE = """Targets: the whole graph ("information" and "soft" choose without them). "Picks" is the greedy,
"certificate" the upper bound of what any selection can reach, of which the guarantee is the share that is certain;
"variance" has none. A naive greedy evaluates every candidate left at every pick."""
FACILITY_NOTE = """Both end to end, kernel included; "construct" is `FacilityLocationFunction`, "picks" its `maximize`
with `LazyGreedy`. submodlib computes in float32, takes targets other than the candidates in dense mode only, and has no
certificate. Different picks are ties (equal values); values are those of the float64 kernel."""
GENOME_NOTE = """Every gene is candidate and target. Ours in a fresh process, second call. With as many targets as
candidates the peer's block is n x n: {few} picks were measured in a fresh process each, and the whole is
**extrapolated**: blocks + {picks:,} x the time of one of them."""
H100_NOTE = """**An estimate on paper, nothing was run.** Bytes of a pick in float32 = 3 passes over a factor, 3 x 4 x
capacity x candidates (L once for the column of K, L and N once each for that of B0; 2 passes where both products with L
are made at once), plus the columns: rows of the blocks, 2 x 4 x candidates, or 4 k passes over the edges of 12 bytes an
edge (two ends, a weight) and 8 a node (read, write).
Operations: 2 a number of those passes. Time = bytes / {bandwidth:g} TB/s (operations need less, at {teraflops:g}
Tflop/s) + {kernels} kernels x {launch:g} us to launch, **assumed**. Ideal access; gathers and scatters do not reach it.
The blocks before the first pick are made on the host by SciPy in any case and come on top."""
TERABYTES_PER_SECOND, TERAFLOPS, KERNELS, LAUNCH_US = 3.35, 67.0, 20, 5.0


class Sizes(NamedTuple):
    """How much to do, in full or for a smoke run."""

    candidates: int
    picks: int
    rounds: int
    naive_picks: int
    genome: int | None
    genome_picks: int
    genome_peer_picks: int


FULL = Sizes(candidates=1087, picks=500, rounds=3, naive_picks=10, genome=None, genome_picks=1000, genome_peer_picks=4)
QUICK = Sizes(candidates=100, picks=30, rounds=1, naive_picks=2, genome=300, genome_picks=20, genome_peer_picks=2)


class Bench(NamedTuple):
    """The problem, how much of it, and where results and compilation times go."""

    graph: pj.KnowledgeGraph
    candidates: tuple[str, ...]
    sizes: Sizes
    report: Report
    compiling: list[dict[str, str]]
    recompiled: list[float]

    def problem(self, everything: bool, hops: int = 1) -> Problem:
        """Targets: the whole graph, or the candidates."""
        targets = self.graph.genes if everything else self.candidates
        return Problem(self.graph, self.candidates, targets, self.sizes.picks, hops)

    def ours(self, problem: Problem, criterion: str = "variance") -> Run:
        """Ours on a problem."""
        options = {"criterion": criterion, "targets": problem.targets, "hops": problem.hops, "noise": NOISE}
        return select(problem.graph, problem.candidates, problem.budget, **options)

    def take_turns(
        self,
        case: str,
        problem: Problem,
        criterion: str,
        peers: Mapping[str, Callable[[], Run]],
        rounds: int,
    ) -> dict[str, list[Run]]:
        """Ours after a warm-up call, and peers, in turns."""
        with count_compilations() as compilations:
            first = self.ours(problem, criterion)
        ours = partial(self.ours, problem, criterion)
        with count_compilations() as again:
            runs = interleave({OURS: ours, **peers}, rounds, warmups=0)
        self.recompiled.extend(again)
        row = {"case": case, "first call": show_seconds(seconds_of([first]))}
        row |= {
            "later calls": show_seconds(seconds_of(runs[OURS])),
            "XLA compiling": show_seconds(sum(compilations)) if compilations else "nothing",
        }
        self.compiling.append(row)
        self.report.add(case, OURS, "first call", "s", seconds_of([first]))
        self.report.add(case, OURS, "XLA compiling", "s", sum(compilations))
        self.report.add_runs(case, runs)
        return runs


def compare_with_peers(bench: Bench, case: str, problem: Problem, rounds: int, with_naive: bool) -> dict[str, Run]:
    """One case of the variance criterion: a table, and whether the picks agree; returns the median time of each."""
    peers = {
        DENSE: partial(dense, problem),
        DGER: partial(dense, problem, blas_update),
        RECURRENCE: partial(recurrence, problem),
    }
    runs = bench.take_turns(case, problem, "variance", peers, rounds)
    ours = runs[OURS][-1].result
    rows = [_row(name, repeats, runs[OURS], ours) for name, repeats in runs.items()]
    if with_naive:
        few = naive(problem._replace(budget=bench.sizes.naive_picks))
        each = few.stages["picks"] / bench.sizes.naive_picks
        whole = Run({"blocks": few.stages["blocks"], "picks": each * problem.budget}, few.result)
        bench.report.add(case, NAIVE, f"first {bench.sizes.naive_picks} picks", "s", few.stages["picks"])
        bench.report.add(case, NAIVE, "blocks", "s", few.stages["blocks"])
        row = _row(f"{NAIVE}, **extrapolated**", [whole], runs[OURS], ours)
        rows.append(row | {"CPU s": "", "x of CPU": "", "last value": "", "runs": f"{bench.sizes.naive_picks} picks"})
        runs[NAIVE] = [whole]
    note = PEER_NOTE.format(few=bench.sizes.naive_picks, tie=TIE)
    bench.report.tables.append(Table(case, note if with_naive else "As above.", rows))
    for name, repeats in runs.items():
        theirs = repeats[-1].result
        bench.report.add(case, name, "picks as ours", "count", _equal(theirs, ours))
        bench.report.add(case, name, "largest relative difference of values", "share", _difference(theirs, ours))
    theirs = runs[DENSE][-1].result
    same = f"{_equal(theirs, ours)} of {len(theirs.genes)}"
    agree = theirs.genes == ours.genes or _difference(theirs, ours) <= TIE
    bench.report.target(case, "the dense peer's picks, or values within the tie tolerance", same, agree)
    return {name: Run({"all": seconds_of(repeats)}, repeats[-1].result) for name, repeats in runs.items()}


def _row(name: str, runs: list[Run], ours: list[Run], picked: Outcome) -> dict[str, str]:
    theirs = runs[-1].result
    is_ours = runs is ours
    before = [stage for stage in ("kernel", "blocks") if stage in runs[0].stages]
    return {
        "contender": name,
        "seconds": f"{seconds_of(runs):.3g}",
        "runs": str(len(runs)),
        "x": "" if is_ours else show_ratio(seconds_of(runs) / seconds_of(ours)),
        "blocks": show_seconds(seconds_of(runs, *before)),
        "picks": show_seconds(seconds_of(runs, "picks")),
        "CPU s": f"{theirs.cpu_seconds:.3g}",
        "x of CPU": "" if is_ours else show_ratio(theirs.cpu_seconds / picked.cpu_seconds),
        "last value": f"{theirs.values[-1]:.6f}",
        "picks as ours": "" if is_ours else f"{_equal(theirs, picked)} of {len(theirs.genes)}",
        "values differ at most": "" if is_ours else f"{_difference(theirs, picked):.1e}",
    }


def _equal(theirs: Outcome, ours: Outcome) -> int:
    """Picks that agree, place by place; theirs may be fewer."""
    return sum(mine == yours for mine, yours in zip(ours.genes, theirs.genes, strict=False))


def _difference(theirs: Outcome, ours: Outcome) -> float:
    return float(np.abs(theirs.values / ours.values[: len(theirs.values)] - 1).max())


def variance_cases(bench: Bench) -> None:
    """(1) The screen: targets the whole graph (a), the candidates (b), and (a) with two hops."""
    sizes, report = bench.sizes, bench.report
    head = f"{len(bench.candidates):,} candidates, {sizes.picks} picks"
    case = f"(a) {head}, targets the whole graph"
    runs = compare_with_peers(bench, case, bench.problem(True), sizes.rounds, with_naive=True)
    seconds, ratio = seconds_of([runs[OURS]]), seconds_of([runs[DENSE]]) / seconds_of([runs[OURS]])
    report.target("(a)", f"at most {SECONDS:g} s after compilation", show_seconds(seconds), seconds <= SECONDS)
    report.target("(a)", f"at least {FASTER:g}x faster than {DENSE}", show_ratio(ratio), ratio >= FASTER)
    for name in (DGER, NAIVE):
        ratio = seconds_of([runs[name]]) / seconds_of([runs[OURS]])
        report.notes.append(f"(a): {name} takes {show_ratio(ratio)} as long as ours.")
    ratio = seconds_of([runs[RECURRENCE]]) / seconds_of([runs[OURS]])
    report.notes.append(f"(a): {RECURRENCE}, takes {show_ratio(ratio)} as long as ours.")
    case = f"(b) {head}, targets the candidates"
    runs = compare_with_peers(bench, case, bench.problem(False), sizes.rounds, with_naive=False)
    fastest = min((name for name in runs if name in (DENSE, DGER)), key=lambda name: seconds_of([runs[name]]))
    ratio = seconds_of([runs[fastest]]) / seconds_of([runs[OURS]])
    report.target("(b)", f"not slower than the faster dense peer ({fastest})", show_ratio(ratio), ratio >= 1)
    case = f"(a) with 2 hops: {head}, targets the whole graph"
    compare_with_peers(bench, case, bench.problem(True, hops=2), 1, with_naive=False)


def other_criteria(bench: Bench) -> None:
    """(3) The other criteria on (a), and facility location against submodlib."""
    rows = []
    problem = bench.problem(True)
    for criterion in MODULE.CRITERIA:
        runs = bench.take_turns(criterion, problem, criterion, {}, bench.sizes.rounds)[OURS]
        found = runs[-1].result
        bench.report.add(criterion, OURS, "evaluations", "count", found.info.evaluations)
        certificate = seconds_of(runs, "certificate") if "certificate" in runs[0].stages else 0
        rows.append(
            {
                "criterion": criterion,
                "seconds": f"{seconds_of(runs):.3g}",
                "blocks": show_seconds(seconds_of(runs, "kernel", "blocks")),
                "picks": show_seconds(seconds_of(runs, "picks")),
                "certificate": show_seconds(certificate) if certificate else "none",
                "evaluations": f"{found.info.evaluations:,}",
                "of a naive greedy": f"{found.info.evaluations / found.info.naive_evaluations:.1%}",
                "last value": f"{found.values[-1]:.6g}",
                "guarantee": "none" if np.isnan(found.guarantee) else f"{found.guarantee:.1%}",
            }
        )
    bench.report.tables.append(Table(f"Criteria, {bench.sizes.picks} picks, case (a)", CRITERIA_NOTE, rows))
    if missing_packages("submodlib"):
        bench.report.notes.append("Facility location was not compared: submodlib is not installed.")
        return
    rows = []
    for everything, key in ((True, "a"), (False, "b")):
        problem = bench.problem(everything)
        peers = {"submodlib, dense": partial(submodlib, problem)}
        if not everything:
            peers["submodlib, sparse"] = partial(submodlib, problem, sparse=True)
        case = f"facility ({key})"
        runs = bench.take_turns(case, problem, "facility", peers, bench.sizes.rounds)
        rows += [_facility_row(key, name, repeats, runs[OURS]) for name, repeats in runs.items()]
    bench.report.tables.append(Table(f"Facility location, {bench.sizes.picks} picks", FACILITY_NOTE, rows))


def _facility_row(key: str, name: str, runs: list[Run], ours: list[Run]) -> dict[str, str]:
    stages, theirs, picked = runs[0].stages, runs[-1].result, ours[-1].result
    lasting = {stage: seconds_of(runs, stage) for stage in ("kernel", "blocks", "construct", "picks", "certificate")
               if stage in stages}  # fmt: skip
    without = seconds_of(runs) - lasting.get("certificate", 0)
    bare = seconds_of(ours) - seconds_of(ours, "certificate")
    return {
        "case": key,
        "contender": name,
        "seconds": f"{seconds_of(runs):.3g}",
        "x": "" if runs is ours else show_ratio(seconds_of(runs) / seconds_of(ours)),
        "x without our certificate": "" if runs is ours else show_ratio(without / bare),
        "blocks": show_seconds(lasting.get("kernel", 0) + lasting["blocks"]),
        "construct": show_seconds(lasting["construct"]) if "construct" in lasting else "",
        "picks": show_seconds(lasting["picks"]),
        "certificate": show_seconds(lasting["certificate"]) if "certificate" in lasting else "",
        "evaluations": f"{theirs.info.evaluations:,}" if runs is ours else "",
        "last value": f"{theirs.values[-1]:.6f}",
        "picks as ours": "" if runs is ours else f"{_equal(theirs, picked)} of {len(theirs.genes)}",
        "values differ at most": "" if runs is ours else f"{_difference(theirs, picked):.1e}",
    }


def whole_genome(bench: Bench) -> dict[str, Any]:
    """(2) Every gene is candidate and target: time and peak memory in fresh processes; returns the sizes."""
    sizes, report = bench.sizes, bench.report
    task = {"library": None, "candidates": sizes.genome, "budget": sizes.genome_picks, "calls": 2}
    ours = child(CHILD, json.dumps(task))
    case = f"whole genome, {ours['candidates']:,} candidates, {sizes.genome_picks:,} picks"
    rows = [
        {
            "contender": OURS,
            "seconds": f"{ours['second']:.3g}",
            "x": "",
            "blocks": show_seconds(ours["stages"]["kernel"] + ours["stages"]["blocks"]),
            "a pick": show_seconds(ours["stages"]["picks"] / sizes.genome_picks),
            "CPU s": f"{ours['cpu']:.3g}",
            "peak memory, MB": f"{ours['end']:,.0f}",
            "last value": f"{ours['value']:.6f}",
            "picks as ours": "",
        }
    ]
    row = {"case": case, "first call": show_seconds(ours["first"]), "later calls": show_seconds(ours["second"])}
    bench.compiling.append(row | {"XLA compiling": show_seconds(ours["compiling, first"])})
    for measure in ("first", "second", "compiling, first"):
        report.add(case, OURS, measure, "s", ours[measure])
    for stage, seconds in ours["stages"].items():
        report.add(case, OURS, stage, "s", seconds)
    for stage in ("imports", "graph", "end"):
        report.add(case, OURS, f"peak memory, {stage}", "MB", ours[stage])
    for name, update in ((DENSE, "outer"), (DGER, "dger")):
        peer = child(CHILD, json.dumps(task | {"update": update, "budget": sizes.genome_peer_picks}))
        each = peer["stages"]["picks"] / sizes.genome_peer_picks
        whole = peer["stages"]["blocks"] + each * sizes.genome_picks
        report.add(case, name, f"{sizes.genome_peer_picks} picks", "s", peer["stages"]["picks"])
        report.add(case, name, "blocks", "s", peer["stages"]["blocks"])
        report.add(case, name, "peak memory, end", "MB", peer["end"])
        equal = sum(mine == yours for mine, yours in zip(ours["genes"], peer["genes"], strict=False))
        rows.append(
            {
                "contender": f"{name}, **extrapolated**",
                "seconds": f"{whole:.3g}",
                "x": show_ratio(whole / ours["second"]),
                "blocks": show_seconds(peer["stages"]["blocks"]),
                "a pick": show_seconds(each),
                "CPU s": "",
                "peak memory, MB": f"{peer['end']:,.0f}",
                "last value": "",
                "picks as ours": f"{equal} of {sizes.genome_peer_picks}",
            }
        )
    note = GENOME_NOTE.format(few=sizes.genome_peer_picks, picks=sizes.genome_picks)
    report.tables.append(Table(case.capitalize(), note, rows))
    seconds = ours["second"]
    wanted = f"under {GENOME_SECONDS:g} s after compilation"
    measured = f"{show_seconds(seconds)} ({show_seconds(ours['cpu'])} of processor time)"
    report.target("whole genome", wanted, measured, seconds < GENOME_SECONDS)
    report.target(
        "whole genome", "peak memory under 2 GiB (2,147 MB)", f"{ours['end']:,.0f} MB", ours["end"] < MEMORY_MB
    )
    return ours


def measure_memory(bench: Bench, library: Path, essential: Path) -> None:
    """Peak memory of ours on case (a), a fresh process."""
    task = {"library": str(library), "essential": str(essential), "candidates": bench.sizes.candidates}
    peaks = child(CHILD, json.dumps(task | {"budget": bench.sizes.picks, "calls": 1}))
    stages = {stage: peaks[stage] for stage in ("imports", "graph", "end")}
    for stage, megabytes in stages.items():
        bench.report.add("(a)", OURS, f"peak memory, {stage}", "MB", megabytes)
    row = {"case": "(a)", **{f"{stage}, MB": f"{value:,.0f}" for stage, value in stages.items()}}
    note = "Peak resident memory of a fresh process, after the imports, after the graph was made, and at the end."
    bench.report.tables.append(Table("Memory", note, [row]))


def on_paper(bench: Bench, genome: dict[str, Any]) -> None:
    """(5) Bytes and operations of the picks, and what they make of an H100."""
    sizes = bench.sizes
    screen = (len(bench.candidates), bench.graph.num_edges, bench.graph.num_nodes, sizes.picks)
    everyone = (genome["candidates"], genome["edges"], genome["nodes"], sizes.genome_picks)
    rows = []
    for name, (candidates, edges, nodes, picks) in (("(a)", screen), ("whole genome", everyone)):
        passes, hops = 3 * 4 * picks * candidates, 1
        blocks = candidates <= MODULE._LARGEST_BLOCK
        columns = 2 * 4 * candidates if blocks else 4 * hops * (12 * edges + 8 * nodes)
        operations = 2 * 3 * picks * candidates + (0 if blocks else 4 * hops * 2 * edges)
        moving = (passes + columns) / (TERABYTES_PER_SECOND * 1e12)
        computing, launching = operations / (TERAFLOPS * 1e12), KERNELS * LAUNCH_US * 1e-6
        total = picks * (max(moving, computing) + launching)
        bench.report.add(name, "H100 on paper", "bytes of a pick", "bytes", passes + columns)
        bench.report.add(name, "H100 on paper", "all picks", "s", total)
        rows.append(
            {
                "case": f"{name}: {candidates:,} candidates, {edges:,} edges, {picks:,} picks",
                "columns from": "blocks" if blocks else "message passing",
                "bytes of a pick": f"{passes + columns:.3g}",
                "operations": f"{operations:.3g}",
                "bytes take": show_seconds(moving),
                "operations take": show_seconds(computing),
                "launches take": show_seconds(launching),
                "all picks": show_seconds(total),
            }
        )
    note = H100_NOTE.format(bandwidth=TERABYTES_PER_SECOND, teraflops=TERAFLOPS, kernels=KERNELS, launch=LAUNCH_US)
    bench.report.tables.append(Table("One H100, on paper", note, rows))


def main() -> None:
    """Measure everything, write the report and draw the figure."""
    options = arguments(__doc__).parse_args()
    if not (options.library and options.essential):
        sys.exit("graphdesign.py: needs --library and --essential")
    sizes = QUICK if options.quick else FULL
    inputs = {"library": digest(options.library), "essential": digest(options.essential)}
    report = Report("graphdesign", ABOUT, {"quick": options.quick, "tie": TIE, "noise": NOISE, **inputs})
    graph = screen_graph(options.library)
    candidates = screen_candidates(graph, options.essential)
    bench = Bench(graph, candidates[: sizes.candidates], sizes, report, [], [])
    size = {
        "nodes": f"{graph.num_nodes:,}",
        "edges": f"{graph.num_edges:,}",
        "candidates": f"{len(bench.candidates):,}",
        "picks": f"{sizes.picks:,}",
        "criterion": "variance",
        "hops": "1",
        "noise": f"{NOISE:g}",
        "direction": "in",
        "kernel": "unit diagonal",
    }
    report.tables.append(Table("Sizes", "", [size]))
    variance_cases(bench)
    other_criteria(bench)
    genome = whole_genome(bench)
    measure_memory(bench, options.library, options.essential)
    note = COMPILE_NOTE.format(count=len(bench.recompiled))
    report.tables.append(Table("Compilation", note, bench.compiling))
    on_paper(bench, genome)
    options.out.mkdir(parents=True, exist_ok=True)
    points = measure_growth(options.library, graph, candidates, options.quick, options.out / "graphdesign_growth.csv")
    plot_growth(options.out / "graphdesign_growth.csv", options.out / "graphdesign_growth.png")
    note = GROWTH_NOTE.format(largest=MODULE._LARGEST_BLOCK)
    report.tables.append(Table("Growth", note, growth_rows(points)))
    report.write(options.out)


if __name__ == "__main__":
    main()
