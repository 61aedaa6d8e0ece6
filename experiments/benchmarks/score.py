"""Batch scoring: gains on many noisy graphs in one call, and greedy over a mesh of devices.

    python experiments/benchmarks/score.py            the full sizes
    python experiments/benchmarks/score.py --quick    a smoke run

The devices are virtual ones on the CPU's cores, so more of them cannot be faster here: what this shows is that picks
agree, what is sent, and what a device computes. `score_on_paper.py` says what those sizes imply for GPUs and TPUs.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import jax
import numpy as np
from harness import Report, Table, arguments, child, interleave, seconds_of, show_ratio, show_seconds, timed
from scipy import sparse
from score_cases import CASES, graph_case

import perturb_jax as pj

ABOUT = (
    """`pj.score` on noisy copies of the whole genome's graph, and `graphreach(..., mesh=...)` on virtual devices."""
)
CHILD = Path(__file__).with_name("score_child.py")
DEVICES = (1, 2, 4, 8)


def with_scipy(copies: pj.GraphBatch, hops: int, selections: Sequence[Sequence[str]]) -> np.ndarray:
    """Gains by sparse products: int32 [graphs, selections, candidates], all genes candidates."""
    gains = []
    for i in range(len(copies)):
        graph = copies.variant(i)
        edges = np.ones(graph.num_edges, np.int32), (np.asarray(graph.receivers), np.asarray(graph.senders))
        steps = sparse.csr_array(edges, shape=(graph.num_nodes, graph.num_nodes)) + sparse.eye_array(
            graph.num_nodes, dtype=np.int32, format="csr"
        )
        reach = steps
        for _ in range(hops - 1):
            reach = reach @ steps
            reach.data[:] = 1
        reach.data[:] = 1
        left = np.stack([reach[graph.index(picks)].sum(0) == 0 for picks in selections])
        gains.append((reach @ left.T.astype(np.int32)).T)
    return np.stack(gains)


def score_many(report: Report, quick: bool) -> None:
    """All candidates after several selections on noisy copies: one call against sparse products, graph by graph."""
    graph, hops, _ = graph_case(CASES[0], quick)
    copies = pj.edge_dropout(graph, 0.1, 2 if quick else 10, jax.random.key(0))
    picks = pj.graphreach(graph, None, 100, hops).genes
    selections = [picks[:size] for size in (1, 10, 100)]
    contenders = {
        "pj.score": lambda: timed("score", lambda: pj.score(copies, None, selections, hops).gains),
        "pj.score, bits (as on a device)": lambda: timed(
            "score", lambda: pj.score(copies, None, selections, hops, backend="jax").gains
        ),
        "SciPy, graph by graph": lambda: timed("score", lambda: with_scipy(copies, hops, selections)),
    }
    runs = interleave(contenders, 1 if quick else 5)
    report.add_runs("score", runs)
    ours, bits, theirs = (runs[name][-1].result for name in contenders)
    same = np.array_equal(ours, theirs) and np.array_equal(bits, theirs)
    peer = seconds_of(runs["SciPy, graph by graph"])
    rows = [
        {"what": name, "seconds": show_seconds(seconds_of(each)),
         "a million gains": show_seconds(1e6 * seconds_of(each) / ours.size),
         "SciPy = 1": show_ratio(seconds_of(each) / peer)}
        for name, each in runs.items()
    ]  # fmt: skip
    note = f"""{len(copies)} graphs x {len(selections)} selections x {graph.num_nodes:,} candidates, {hops} hops:
{ours.size:,} gains. Times include the graphs' steps and, for both, the way back to the host."""
    report.tables.append(Table("One call for many graphs and selections", note, rows))
    report.target("score", "SciPy's gains", "equal" if same else "different", same)


def mesh(report: Report, case: str, quick: bool) -> None:
    """Greedy on 1, 2, 4 and 8 virtual devices."""
    rows = []
    for devices in DEVICES:
        answer = child(CHILD, case, str(devices), "quick" if quick else "full")
        report.add(case, f"{devices} devices", "after compiling", "s", *answer["seconds"])
        report.add(case, f"{devices} devices", "host, lazy", "s", *answer["host"])
        report.add(case, f"{devices} devices", "communication per pick", "bytes", answer["bytes per pick"])
        ours, host = median(answer["seconds"]), median(answer["host"])
        same = "same" if answer["same picks"] else "different"
        report.target(f"{case}, {devices} devices", "the host's picks", same, answer["same picks"])
        rows.append(
            {
                "devices": devices, "picks": answer["picks"], "as the host's": same,
                "with compilation": show_seconds(answer["first"]), "without": show_seconds(ours),
                "a pick": show_seconds(ours / answer["picks"]),
                "host, lazy": show_seconds(host), "host = 1": show_ratio(ours / host),
                "bytes per pick": f"{answer['bytes per pick']:,}", "rows": "bits" if answer["bits"] else "node numbers",
            }
        )  # fmt: skip
    note = f"""{answer["nodes"]:,} nodes, all of them candidates. Virtual devices share the cores of one CPU:
their number cannot make this faster. Includes moving the rows.
Medians of {len(answer["seconds"])} runs, the host's in turn."""
    report.tables.append(Table(f"Greedy over a mesh: {case}", note, rows))


def main() -> None:
    """Measure and write the report."""
    options = arguments(__doc__).parse_args()
    report = Report("score", ABOUT, {"quick": options.quick})
    for case in CASES:
        mesh(report, case, options.quick)
        report.write(options.out)  # what a run that is stopped has measured
    score_many(report, options.quick)
    report.write(options.out)


if __name__ == "__main__":
    main()
