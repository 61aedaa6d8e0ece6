"""MaxSpec: time, evaluations and memory of the lazy greedy with bounds, against scipy's svds in a lazy greedy.

Both go from the graph to the picks, with the same tie rule, on the GO graph of a genome-wide library: direction in,
normalization "graph". Ours is counted after one warm-up call (numba's cache).
"""

import os

# Before numpy is imported. Two threads gain nothing on vectors this short, and on a busy machine they wait for each
# other: svds then takes several times longer, which would flatter us.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import json
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from coverage_cases import screen_candidates, screen_graph
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
from maxspec_growth import growth_rows, measure_growth, plot_growth
from maxspec_peer import peer
from maxspec_variants import Variant, batches_per_pick, device_iterations, naive_picks, search
from scipy.sparse import csr_array

import perturb_jax as pj
from perturb_jax.graph.operator import gcn_norm, message_passing
from perturb_jax.graph.reach import reach_sets
from perturb_jax.selection.maxspec import BATCH
from perturb_jax.selection.spectral import TIE

ABOUT = """Greedy minimisation of the spectral norm of the message-passing operator on what the picks reach: the
compiled lazy greedy with bounds on the host, against a lazy greedy over stale norms from `scipy.sparse.linalg.svds` on
sliced CSR matrices, both from graph to picks. "x" says how many times longer the row takes than ours."""
CHILD = Path(__file__).with_name("maxspec_child.py")
FASTER = 5.0
MEMORY_MB = 2 * 1024**3 / 1e6
VARIANTS = {
    "stale norms only, random starts": Variant(bounds=False, give_up=False, warm=False),
    "stale norms only": Variant(bounds=False, give_up=False, warm=True),
    "stale norms, giving up": Variant(bounds=False, give_up=True, warm=True),
    "fresh bounds, no giving up": Variant(bounds=True, give_up=False, warm=True),
    "fresh bounds, giving up (the library's)": Variant(bounds=True, give_up=True, warm=True),
}
NAIVE_PICKS = 20
NAIVE_CHECKS = (50, 100, 150, 199)
PEER_NOTE = """Tuned: the tolerance that ours has (residual 2e-6 of the squared norm), started from the selection's top
vector. As it comes: svds' default tolerance (to the last digit), seeded random start. Both use LAPACK up to 32 nodes,
where that is faster. All on one thread, BLAS included: with more, svds is slower on a busy machine. "Picks as ours"
compares pick by pick."""
VARIANTS_NOTE = """The first row has only what the peer has: stale norms as lower bounds, on the induced subgraph, from
a random start; but it is compiled and keeps the induced matrix instead of slicing it. The other rows add savings.
Lanczos steps (two products each) are those of evaluations; work is steps times entries of the induced matrix. All rows
make the same picks. Medians of rounds in which the rows take turns."""
NAIVE_NOTE = """`method="naive"` evaluates every candidate left at every pick. Rule of extrapolation: an evaluation
costs a + b x (entries of the induced matrix before the pick), a and b by least squares from the first {first} picks;
the entries before each later pick are known, because the lazy run makes the same picks; each later pick costs that
times the candidates left. Checked by evaluating all candidates left before single later picks."""
DEVICE_NOTE = """Counted, not timed: what `backend="jax"` does for {picks} picks. Batches of {batch} stale candidates
per pick follow from its rule, replayed with the host's norms; iterations (two products each) are those of the jitted
norm, for the {lanes} candidates of lowest bound at each state; all lanes of a batch go on until the last has converged.
Between the states iterations are interpolated. Per lane and iteration: 4 operations an edge (of all {edges:,}: masks,
not smaller matrices), 2 x (12 bytes an edge + 8 a node). Beyond 30 iterations Lanczos reorthogonalises, which adds 160
operations and 320 bytes a node. Estimated at 3 TB/s with every lane reading the edges for itself (a compiler that
shares them among lanes needs less) and ideal access (gathers and scatters do not reach it: expect several times
longer)."""
TERABYTES_PER_SECOND = 3.0


class Sizes(NamedTuple):
    """How much to do, in full or for a smoke run."""

    candidates: int
    picks: int
    many_picks: int
    peer_picks: int
    rounds: int
    lanes: int
    small: tuple[int, int, int]


FULL = Sizes(candidates=1087, picks=200, many_picks=500, peer_picks=100, rounds=3, lanes=BATCH, small=(300, 75, 10))
QUICK = Sizes(candidates=100, picks=30, many_picks=50, peer_picks=10, rounds=1, lanes=4, small=(60, 15, 3))


class Case(NamedTuple):
    """The problem, with what variants need besides the graph."""

    graph: pj.KnowledgeGraph
    candidates: tuple[str, ...]
    operator: csr_array
    sets: csr_array


def make_case(library: Path, essential: Path, sizes: Sizes) -> Case:
    """The graph of the library and the first of the essential genes in it."""
    graph = screen_graph(library)
    candidates = screen_candidates(graph, essential)[: sizes.candidates]
    sets = reach_sets(graph, graph.index(candidates)[:, None])
    return Case(graph, candidates, gcn_norm(message_passing(graph)), sets)


def select(case: Case, picks: int, hops: int = 1) -> Run:
    """Ours, from graph to selection."""
    return timed("select", lambda: pj.maxspec(case.graph, case.candidates, picks, hops))


def time_ours(case: Case, sizes: Sizes) -> dict[str, list[Run]]:
    """Ours at all sizes, taking turns, after a warm-up call."""
    pj.maxspec(case.graph, case.candidates, 2)
    contenders = {
        f"{sizes.picks} picks, 1 hop": partial(select, case, sizes.picks),
        f"{sizes.peer_picks} picks, 1 hop": partial(select, case, sizes.peer_picks),
        f"{sizes.many_picks} picks, 1 hop": partial(select, case, sizes.many_picks),
        f"{sizes.picks} picks, 2 hops": partial(select, case, sizes.picks, 2),
    }
    return interleave(contenders, sizes.rounds, warmups=0)


def compare_with_peer(case: Case, sizes: Sizes, report: Report) -> pj.Selection:
    """Time ours, then the peers with ours before and after each; returns our selection."""
    ours = time_ours(case, sizes)
    main, short, many, two_hops = ours
    peers: dict[str, Run] = {}
    for name, picks, tuned in (
        ("svds, tuned", sizes.picks, True),
        ("svds, as it comes", sizes.peer_picks, False),
    ):
        key = main if picks == sizes.picks else short
        ours[key].append(select(case, picks))
        peers[f"{name}, {picks} picks, 1 hop"] = timed(
            "select", partial(peer, case.graph, case.candidates, picks, tuned)
        )
        ours[key].append(select(case, picks))
    report.add_runs("ours", {f"perturb_jax, {name}": runs for name, runs in ours.items()})
    report.add_runs("peer", {name: [run] for name, run in peers.items()})
    selection: pj.Selection = ours[main][-1].result
    rows = [_our_row(name, runs, report) for name, runs in ours.items()]
    for name, run in peers.items():
        same = main if name.endswith(main) else short
        rows.append(_peer_row(case, name, run, ours[same], report))
    report.tables.append(Table("Ours and the peer", PEER_NOTE, rows))
    tuned = peers[f"svds, tuned, {main}"]
    ratio = seconds_of([tuned]) / seconds_of(ours[main])
    wanted = f"at least {FASTER:g}x faster than lazy greedy with svds (tuned)"
    report.target(main, wanted, f"{show_ratio(ratio)}", ratio >= FASTER)
    for name, limit in ((many, 180.0), (two_hops, 300.0)):
        seconds = seconds_of(ours[name])
        report.target(name, f"under {limit / 60:g} minutes", show_seconds(seconds), seconds < limit)
    theirs = tuned.result
    equal = np.abs(np.array(theirs.values) / selection.values - 1).max() <= TIE
    report.target(main, "the peer's picks, or values within the tie tolerance", "yes" if equal else "no", bool(equal))
    parts = f"{show_seconds(theirs.seconds_norms)} in norms, {show_seconds(theirs.seconds_slicing)} in slicing"
    report.notes.append(f"The tuned peer spends {parts}.")
    return selection


def _our_row(name: str, runs: list[Run], report: Report) -> dict[str, str]:
    selection = runs[-1].result
    report.add("ours", f"perturb_jax, {name}", "evaluations", "count", selection.info.evaluations)
    return {
        "contender": f"perturb_jax, {name}",
        "seconds": f"{seconds_of(runs):.3g}",
        "runs": str(len(runs)),
        "x": "",
        "evaluations": f"{selection.info.evaluations:,}",
        "of a naive greedy": f"{selection.info.evaluations / selection.info.naive_evaluations:.1%}",
        "last norm": f"{selection.values[-1]:.6f}",
        "picks as ours": "",
        "values differ at most": "",
    }


def _peer_row(case: Case, name: str, run: Run, ours: list[Run], report: Report) -> dict[str, str]:
    theirs, selection = run.result, ours[-1].result
    equal = sum(case.candidates[v] == gene for v, gene in zip(theirs.picks, selection.genes, strict=True))
    difference = np.abs(np.array(theirs.values) / selection.values - 1).max()
    report.add("peer", name, "evaluations", "count", theirs.evaluations)
    report.add("peer", name, "picks as ours", "count", equal)
    report.add("peer", name, "largest relative difference of values", "share", difference)
    return {
        "contender": name,
        "seconds": f"{seconds_of([run]):.3g}",
        "runs": "1",
        "x": show_ratio(seconds_of([run]) / seconds_of(ours)),
        "evaluations": f"{theirs.evaluations:,}",
        "of a naive greedy": f"{theirs.evaluations / selection.info.naive_evaluations:.1%}",
        "last norm": f"{theirs.values[-1]:.6f}",
        "picks as ours": f"{equal} of {len(theirs.picks)}",
        "values differ at most": f"{difference:.1e}",
    }


def compare_variants(case: Case, sizes: Sizes, selection: pj.Selection, report: Report) -> list[int]:
    """What each saving gives; returns the picks as candidate numbers."""
    contenders = {
        name: lambda variant=variant: timed("search", lambda: search(case.operator, case.sets, sizes.picks, variant))
        for name, variant in VARIANTS.items()
    }
    runs = interleave(contenders, sizes.rounds, warmups=0)
    report.add_runs("what gave what", runs)
    full = seconds_of(runs[list(VARIANTS)[-1]])
    rows = []
    for name, repeats in runs.items():
        run = repeats[-1].result
        for what in ("evaluations", "bounds", "steps", "work"):
            report.add("what gave what", name, what, "count", getattr(run, what))
        equal = sum(case.candidates[v] == gene for v, gene in zip(run.picks, selection.genes, strict=True))
        rows.append(
            {
                "savings": name,
                "seconds": f"{seconds_of(repeats):.3g}",
                "x": show_ratio(seconds_of(repeats) / full),
                "evaluations": f"{run.evaluations:,}",
                "cheap bounds": f"{run.bounds:,}",
                "Lanczos steps": f"{run.steps:,}",
                "steps each": f"{run.steps / run.evaluations:.1f}",
                "work": f"{run.work:.2e}",
                "picks as ours": f"{equal} of {len(run.picks)}",
            }
        )
    report.tables.append(Table(f"What gave what, {sizes.picks} picks, 1 hop", VARIANTS_NOTE, rows))
    return run.picks


def extrapolate_naive(case: Case, picks: list[int], report: Report) -> None:
    """The naive greedy's first picks, its cost by size, and what that makes of all picks."""
    checks = {number for number in NAIVE_CHECKS if number < len(picks)}
    whole = timed("select", lambda: pj.maxspec(case.graph, case.candidates, NAIVE_PICKS, method="naive"))
    measured, entries = naive_picks(case.operator, case.sets, picks, set(range(NAIVE_PICKS)) | checks)
    first = [pick for pick in measured if pick.picks_before < NAIVE_PICKS]
    slope, constant = np.polyfit([p.entries for p in first], [p.seconds / p.evaluations for p in first], 1)
    left = len(case.candidates) - np.arange(len(picks))
    costs = left * (constant + slope * np.array(entries))
    for pick in measured:
        report.add("naive", "perturb_jax naive", f"before pick {pick.picks_before + 1}", "s", pick.seconds)
    report.add("naive", "perturb_jax naive", f"first {NAIVE_PICKS} picks", "s", seconds_of([whole]))
    total = seconds_of([whole]) + costs[NAIVE_PICKS:].sum()
    rows = [
        _naive_row(f"first {NAIVE_PICKS} picks, measured", left[:NAIVE_PICKS].sum(), seconds_of([whole])),
        _naive_row(f"all {len(picks)} picks, **extrapolated**", left.sum(), total),
    ]
    for pick in measured:
        if pick.picks_before in checks:
            predicted = f"measured; the rule says {show_seconds(costs[pick.picks_before])}"
            rows.append(_naive_row(f"pick {pick.picks_before + 1} alone, {predicted}", pick.evaluations, pick.seconds))
    note = NAIVE_NOTE.format(first=NAIVE_PICKS)
    note += f"\nHere a = {show_seconds(constant)}, b = {show_seconds(slope)}."
    report.tables.append(Table("Naive greedy", note, rows))


def _naive_row(what: str, evaluations: int, seconds: float) -> dict[str, str]:
    return {"what": what, "evaluations": f"{evaluations:,}", "time": show_seconds(seconds)}


def measure_memory(library: Path, essential: Path, sizes: Sizes, report: Report) -> None:
    """Peak memory of whole processes."""
    rows = []
    for picks, hops in ((sizes.picks, 1), (sizes.many_picks, 1), (sizes.picks, 2)):
        task = {"library": str(library), "essential": str(essential), "candidates": sizes.candidates}
        peaks = child(CHILD, json.dumps(task | {"budget": picks, "hops": hops}))
        name = f"{picks} picks, {hops} hop{'s' if hops > 1 else ''}"
        for stage, megabytes in peaks.items():
            report.add(name, "perturb_jax", f"peak memory, {stage}", "MB", megabytes)
        row = {"case": name, **{f"{stage}, MB": f"{value:,.0f}" for stage, value in peaks.items()}}
        rows.append(row)
        report.target(name, "peak memory under 2 GiB (2,147 MB)", f"{peaks['end']:,.0f} MB", peaks["end"] < MEMORY_MB)
    note = "Peak resident memory of a fresh process, after the imports, after the graph was made, and at the end."
    report.tables.append(Table("Memory", note, rows))


def count_device_work(case: Case, sizes: Sizes, picks: list[int], report: Report) -> None:
    """Operations and bytes of the jitted path on the full case."""
    batches = batches_per_pick(case.operator, case.sets, sizes.picks)
    states = [round(share * (sizes.picks - 1)) for share in (0, 0.1, 0.25, 0.5, 0.75, 1)]
    edges, nodes = case.operator.nnz, case.operator.shape[0]
    rows, iterations = [], []
    for made in states:
        counted = device_iterations(case.operator, case.sets, picks[:made], sizes.lanes)
        iterations.append(int(counted.max()))
        report.add("jitted path", "backend='jax'", f"iterations of a batch after {made} picks", "count", *counted)
        operations, size = _work(iterations[-1], edges, nodes)
        rows.append(
            {
                "what": f"a batch of {BATCH} after {made} picks",
                "batches": "1",
                "iterations": f"{iterations[-1]} (median lane {np.median(counted):g})",
                "operations": f"{operations * BATCH:.2e}",
                "bytes": f"{size * BATCH:.2e}",
                "at 3 TB/s": show_seconds(size * BATCH / TERABYTES_PER_SECOND / 1e12),
            }
        )
    each = np.interp(np.arange(sizes.picks), states, iterations)
    lanes = np.array(batches) * BATCH + 1  # one more norm when the pick is accepted
    begin = _work(iterations[0], edges, nodes)
    parts = np.array([_work(count, edges, nodes) for count in each]) * lanes[:, None]
    for what, amount, number in (
        (
            "all candidates once, at the start",
            np.array(begin) * len(case.candidates),
            -(-len(case.candidates) // BATCH),
        ),
        ("a pick, mean (batches and accepting it)", parts.mean(0), np.mean(batches)),
        (f"all {sizes.picks} picks", parts.sum(0) + np.array(begin) * len(case.candidates), sum(batches)),
    ):
        rows.append(
            {
                "what": what,
                "batches": f"{number:.3g}",
                "iterations": "between the states above" if "pick" in what else str(iterations[0]),
                "operations": f"{amount[0]:.2e}",
                "bytes": f"{amount[1]:.2e}",
                "at 3 TB/s": show_seconds(amount[1] / TERABYTES_PER_SECOND / 1e12),
            }
        )
    report.add("jitted path", "backend='jax'", "batches for each pick", "count", *batches)
    note = DEVICE_NOTE.format(picks=sizes.picks, batch=BATCH, lanes=sizes.lanes, edges=edges)
    report.tables.append(Table("Work of the jitted path", note, rows))


def _work(iterations: float, edges: int, nodes: int) -> tuple[float, float]:
    """Operations and bytes of one norm."""
    lanczos = max(0.0, iterations - 30)
    operations = iterations * 4 * edges + lanczos * 160 * nodes
    return operations, iterations * 2 * (12 * edges + 8 * nodes) + lanczos * 320 * nodes


def compare_backends(case: Case, sizes: Sizes, report: Report) -> None:
    """The jitted path's picks on a small real graph, against the host's."""
    nodes, count, picks = sizes.small
    some = set(case.candidates[:count])
    others = [gene for gene in np.random.default_rng(0).permutation(case.graph.genes) if gene not in some]
    graph = pj.load_go_graph([*some, *map(str, others[: nodes - count])])
    runs = {
        backend: timed("select", partial(pj.maxspec, graph, sorted(some), picks, backend=backend))
        for backend in ("host", "jax")
    }
    host, device = (run.result for run in runs.values())
    equal = sum(mine == theirs for mine, theirs in zip(host.genes, device.genes, strict=True))
    difference = np.abs(device.values / host.values - 1).max()
    case_name = f"{graph.num_nodes} nodes, {graph.num_edges:,} edges, {count} candidates, {picks} picks"
    report.add("jitted path", "backend='jax'", "picks as on the host", "count", equal)
    report.target("jitted path", "the host's picks", f"{equal} of {picks}", equal == picks)
    row = {
        "case": case_name,
        "picks as on the host": f"{equal} of {picks}",
        "values differ at most": f"{difference:.1e}",
        "evaluations, host": str(host.info.evaluations),
        "evaluations, jax": str(device.info.evaluations),
    }
    report.tables.append(Table("Picks of the jitted path", "On the CPU, in float32.", [row]))


def main() -> None:
    """Measure everything, write the report and draw the figure."""
    options = arguments(__doc__).parse_args()
    if not (options.library and options.essential):
        sys.exit("maxspec.py: needs --library and --essential")
    sizes = QUICK if options.quick else FULL
    inputs = {"library": digest(options.library), "essential": digest(options.essential)}
    report = Report("maxspec", ABOUT, {"quick": options.quick, "tie": TIE, **inputs})
    case = make_case(options.library, options.essential, sizes)
    size = {
        "nodes": f"{case.graph.num_nodes:,}",
        "edges": f"{case.graph.num_edges:,}",
        "entries of the operator": f"{case.operator.nnz:,}",
        "candidates": f"{len(case.candidates):,}",
        "direction": "in",
        "normalization": "graph",
    }
    report.tables.append(Table("Sizes", "", [size]))
    selection = compare_with_peer(case, sizes, report)
    picks = compare_variants(case, sizes, selection, report)
    extrapolate_naive(case, picks, report)
    measure_memory(options.library, options.essential, sizes, report)
    compare_backends(case, sizes, report)
    count_device_work(case, sizes, picks, report)
    options.out.mkdir(parents=True, exist_ok=True)
    points = measure_growth(
        options.library, case.graph, case.candidates, options.quick, options.out / "maxspec_growth.csv"
    )
    plot_growth(options.out / "maxspec_growth.csv", options.out / "maxspec_growth.png")
    note = "![growth](maxspec_growth.png)\n\nEnds of the lines of the figure and slopes of log time on log size."
    report.tables.append(Table("Growth", note, growth_rows(points)))
    report.write(options.out)


if __name__ == "__main__":
    main()
