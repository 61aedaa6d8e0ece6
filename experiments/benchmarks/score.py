"""Batch scoring: gains on many noisy graphs in one call, and greedy over a mesh of devices.

    python experiments/benchmarks/score.py            the full sizes
    python experiments/benchmarks/score.py --quick    a smoke run

The devices are virtual ones on the CPU's cores, so more of them cannot be faster here: what this shows is that picks
agree, what is sent, and what a device computes. `score_on_paper.py` says what those sizes imply for GPUs and TPUs.
"""

from pathlib import Path

import jax
import numpy as np
from harness import Report, Table, arguments, child, interleave, seconds_of, show_ratio, show_seconds, timed
from score_cases import CASES, graph_case

import perturb_jax as pj

ABOUT = (
    """`pj.score` on noisy copies of the whole genome's graph, and `graphreach(..., mesh=...)` on virtual devices."""
)
CHILD = Path(__file__).with_name("score_child.py")
DEVICES = (1, 2, 4, 8)


def score_many(report: Report, quick: bool) -> None:
    """All candidates after several selections on noisy copies: one call against breadth-first search on the host."""
    graph, hops, _ = graph_case(CASES[0], quick)
    copies = pj.edge_dropout(graph, 0.1, 2 if quick else 10, jax.random.key(0))
    picks = pj.graphreach(graph, None, 100, hops).genes
    selections = [picks[:size] for size in (0, 10, 100)]

    def on_host() -> list[np.ndarray]:
        return [np.asarray(pj.reach(copies.variant(i), None, hops)).sum(1, dtype=np.int32) for i in range(len(copies))]

    contenders = {
        "pj.score": lambda: timed("score", lambda: pj.score(copies, None, selections, hops)),
        "pj.reach, graph by graph, empty selection only": lambda: timed("score", on_host),
    }
    runs = interleave(contenders, 1 if quick else 3)
    report.add_runs("score", runs)
    ours, masks = (runs[name][-1].result for name in contenders)
    same = all(np.array_equal(ours.gains[i, 0], mask) for i, mask in enumerate(masks))
    rows = [
        {"what": name, "scores": count, "seconds": show_seconds(seconds_of(each)),
         "a million scores": show_seconds(1e6 * seconds_of(each) / count)}
        for (name, each), count in zip(runs.items(), (ours.gains.size, sum(map(len, masks))), strict=True)
    ]  # fmt: skip
    note = f"""{len(copies)} graphs x {len(selections)} selections x {graph.num_nodes:,} candidates, {hops} hops;
equal where both have an answer: {"yes" if same else "NO"}."""
    report.tables.append(Table("One call for many graphs and selections", note, rows))
    report.target("score", "gains equal those of reach", "equal" if same else "different", same)


def mesh(report: Report, case: str, quick: bool) -> None:
    """Greedy on 1, 2, 4 and 8 virtual devices."""
    rows = []
    for devices in DEVICES:
        answer = child(CHILD, case, str(devices), "quick" if quick else "full")
        report.add(case, f"{devices} devices", "second run", "s", answer["second"])
        report.add(case, f"{devices} devices", "host, lazy", "s", answer["host"])
        report.add(case, f"{devices} devices", "communication per pick", "bytes", answer["bytes per pick"])
        same = "same" if answer["same picks"] else "different"
        report.target(f"{case}, {devices} devices", "the host's picks", same, answer["same picks"])
        rows.append(
            {
                "devices": devices, "picks": answer["picks"], "as the host's": same,
                "with compilation": show_seconds(answer["first"]), "without": show_seconds(answer["second"]),
                "a pick": show_seconds(answer["second"] / answer["picks"]),
                "host, lazy": show_seconds(answer["host"]), "host = 1": show_ratio(answer["second"] / answer["host"]),
                "bytes per pick": f"{answer['bytes per pick']:,}", "rows": "bits" if answer["bits"] else "node numbers",
            }
        )  # fmt: skip
    note = f"""{answer["nodes"]:,} nodes, all of them candidates. Virtual devices share the cores of one CPU:
their number cannot make this faster. Includes moving the rows."""
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
