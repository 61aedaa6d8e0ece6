"""The fresh process of `maxspec.py`: loads the graph, selects, and prints its peak memory after each as JSON."""

import json
import sys
from pathlib import Path

from coverage_cases import screen_candidates, screen_graph
from harness import peak_megabytes

import perturb_jax as pj


def main() -> None:
    """One selection; the task is the first argument, as JSON."""
    task = json.loads(sys.argv[1])
    peaks = {"imports": peak_megabytes()}
    graph = screen_graph(Path(task["library"]))
    candidates = screen_candidates(graph, Path(task["essential"]))[: task["candidates"]]
    peaks["graph"] = peak_megabytes()
    pj.maxspec(graph, candidates, task["budget"], task["hops"])
    print(json.dumps(peaks | {"end": peak_megabytes()}), flush=True)


if __name__ == "__main__":
    main()
