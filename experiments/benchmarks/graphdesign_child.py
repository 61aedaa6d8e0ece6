"""The fresh process of `graphdesign.py`: one selection on the whole genome or a screen, with its peak memory.

The task is the first argument, as JSON; the answer is the last line printed.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # as in graphdesign.py

import json
import sys
from pathlib import Path
from typing import Any

from coverage_cases import screen_candidates, screen_graph
from graphdesign_peer import Problem, blas_update, dense, outer_product
from graphdesign_stages import count_compilations, select
from harness import peak_megabytes

import perturb_jax as pj

UPDATES = {"outer": outer_product, "dger": blas_update}


def main() -> None:
    """Ours: a first call, and a second if asked for. A peer (`update`): so many picks as the budget says."""
    task = json.loads(sys.argv[1])
    answer: dict[str, Any] = {"imports": peak_megabytes()}
    if task["library"]:
        graph = screen_graph(Path(task["library"]))
        candidates = screen_candidates(graph, Path(task["essential"]))[: task["candidates"]]
    else:
        graph = pj.load_go_graph()
        candidates = graph.genes[: task["candidates"]]
    answer |= {"graph": peak_megabytes(), "nodes": graph.num_nodes, "edges": graph.num_edges}
    answer["candidates"] = len(candidates)
    if "update" in task:
        run = dense(Problem(graph, candidates, graph.genes, task["budget"]), UPDATES[task["update"]])
    else:
        for call in ("first", "second")[: task["calls"]]:
            with count_compilations() as compilations:
                run = select(graph, candidates, task["budget"], targets=graph.genes)
            answer |= {call: sum(run.stages.values()), f"compiling, {call}": sum(compilations)}
    answer |= {"stages": run.stages, "value": float(run.result.values[-1]), "cpu": run.result.cpu_seconds}
    answer |= {"genes": run.result.genes, "end": peak_megabytes()}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
