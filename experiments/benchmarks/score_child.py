"""Greedy on a mesh of virtual CPU devices, for `score.py`: a fresh process for each number of devices.

python score_child.py CASE DEVICES QUICK
"""

import json
import sys
import time

import jax
import numpy as np
from score_cases import graph_case

from perturb_jax.graph.reach import reach_sets
from perturb_jax.selection.device.sharded import layout_of, sharded_cover
from perturb_jax.selection.host import coverage as coverage_host

RUNS = 5


def main() -> None:
    """Host and mesh in one process: the same picks, seconds per pick, bytes per pick."""
    case, devices, quick = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "quick"
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", devices)
    graph, hops, budget = graph_case(case, quick)
    sets = reach_sets(graph, np.arange(graph.num_nodes, dtype=np.int32)[:, None], hops)
    counts, order = np.zeros(graph.num_nodes, np.int32), np.arange(graph.num_nodes)
    mesh = jax.make_mesh((devices,), ("candidates",))
    host_seconds, seconds = [], []
    for _ in range(RUNS + 1):  # the first compiles
        start = time.perf_counter()
        host = coverage_host.lazy_greedy(sets.indptr, sets.indices, None, counts.copy(), order, budget)[0]
        between = time.perf_counter()
        picks, _, _ = sharded_cover(sets, budget, counts, order, mesh)
        host_seconds.append(between - start)
        seconds.append(time.perf_counter() - between)
    layout = layout_of(sets, devices)
    answer = {
        "nodes": graph.num_nodes, "edges": graph.num_edges, "entries": len(sets.indices), "picks": budget,
        "same picks": bool(np.array_equal(picks, host)), "first": seconds[0], "seconds": seconds[1:],
        "host": host_seconds[1:], "bytes per pick": layout.bytes_per_pick, "bits": layout.bits,
        "rows": layout.per_device, "width": layout.width,
    }  # fmt: skip
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
