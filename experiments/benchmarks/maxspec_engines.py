"""Could MaxSpec do with one engine? Its compiled host loops and its jitted path on a CPU, in turns, on GO graphs.

    python experiments/benchmarks/maxspec_engines.py

Writes results/maxspec_engines.md. The graphs are the first genes of the human GO graph that ships with the package.
"""

import platform
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np

import perturb_jax as pj

OUT = Path(__file__).with_name("results") / "maxspec_engines.md"
CASES = ((300, 75, 10), (1000, 100, 5))
"""Genes, candidates, picks."""
REPEATS = 3
LEAST = 0.95
TEXT = """# MaxSpec's two engines

Could one of them go? Compiled loops on the host against the jitted greedy over masks, both on this CPU, in turns after
a run that compiles; medians of {repeats}. The ratio is the host's seconds over the jitted engine's: at least {least}
would be needed to give the host's engine up.

| case | host | jitted | ratio | evaluations, host | evaluations, jitted | same picks | values differ at most |
| --- | --- | --- | --- | --- | --- | --- | --- |
{rows}

So the host's engine stays: it evaluates a candidate on the small induced matrix and gives up early, while the jitted
one multiplies with all edges, masked, since its shapes are fixed. The jitted one stays because it is what runs on an
accelerator, where the host's cannot; none was at hand to compare them there.

{machine}. Made by `python experiments/benchmarks/maxspec_engines.py`.
"""


def seconds(graph: pj.KnowledgeGraph, candidates: list[str], picks: int, backend: str) -> tuple[float, pj.Selection]:
    """One selection, timed."""
    begin = time.perf_counter()
    selection = pj.maxspec(graph, candidates, picks, backend=backend)  # type: ignore[arg-type]
    return time.perf_counter() - begin, selection


def main() -> None:
    """Measure, compare, write."""
    genes = pj.load_go_graph().genes
    rows = []
    for size, count, picks in CASES:
        graph = pj.load_go_graph(genes[:size])
        candidates = list(graph.genes[:: size // count])[:count]
        for backend in ("host", "jax"):
            seconds(graph, candidates, picks, backend)  # compiles
        runs = [{b: seconds(graph, candidates, picks, b) for b in ("host", "jax")} for _ in range(REPEATS)]
        host, device = (median(run[backend][0] for run in runs) for backend in ("host", "jax"))
        ratio = median(run["host"][0] / run["jax"][0] for run in runs)
        one, other = (runs[-1][backend][1] for backend in ("host", "jax"))
        same = sum(a == b for a, b in zip(one.genes, other.genes, strict=True))
        apart = np.abs(other.values / one.values - 1).max()
        rows.append(
            f"| {graph.num_nodes:,} nodes, {graph.num_edges:,} edges, {count} candidates, {picks} picks "
            f"| {host * 1e3:.3g} ms | {device * 1e3:,.0f} ms | {ratio:.2g} | {one.info.evaluations:,} "
            f"| {other.info.evaluations:,} | {same} of {picks} | {apart:.1e} |"
        )
    machine = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("jax", "numba", "numpy"))
    OUT.write_text(TEXT.format(repeats=REPEATS, least=LEAST, rows="\n".join(rows), machine=f"{machine}, {versions}"))


if __name__ == "__main__":
    main()
