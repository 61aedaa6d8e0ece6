"""Is the package as fast as it was, and does it pick the same? The present code against an earlier revision of it.

    python experiments/benchmarks/against_revision.py REVISION

Each version lives in a process of its own, both are warm, and they take turns, case by case and repeat by repeat.
Seconds are the processor's, of all threads, which depend less than the clock on what else a machine does: believe the
ratios. Every case also says what came out, which must be the same.
The inputs are the human GO graph that ships with the package, and simulated cells.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from harness import RESULTS, Report, Table, arguments, show_ratio, show_seconds

LEAST = 0.95
"""What the ratio of the earlier revision's seconds to the present one's must be at least."""


def cases(quick: bool) -> dict[str, Callable[[], Any]]:
    """What is timed, by name: with the public names of either version."""
    import numpy as np

    import perturb_jax as pj

    genome = pj.load_go_graph()
    pool = list(genome.genes[:: max(1, len(genome.genes) // 1_087)])[: 200 if quick else 1_087]
    wide = list(genome.genes[: 500 if quick else 6_000])
    few, many = (20, 20) if quick else (200, 500)

    def picks(selection: Any) -> Any:
        return selection.genes, np.asarray(selection.values).tolist()

    def gears_steps() -> Any:
        steps = 20 if quick else 60
        predictor = (pj.GearsFlax if hasattr(pj, "GearsFlax") else pj.gears_flax)(steps=steps)
        names = screen.perturbations
        fitted = predictor.fit(screen, small, names[:40], names[40:45], 0)
        return np.asarray(fitted.effects(names[45:50])).tolist()

    few_nodes = pj.load_go_graph(genome.genes[:300])
    small = pj.load_go_graph(genome.genes[:1_500])
    screen = pj.simulate_screen(small, 50, 1_000, 30, seed=1)
    selections = [pool[i : i + 100] for i in range(0, 100 if quick else 900, 100)]
    return {
        "GraphReach, 1,087 candidates": lambda: picks(pj.graphreach(genome, pool, many if not quick else 20)),
        "GraphReach, whole genome": lambda: picks(pj.graphreach(genome, None, few)),
        "GraphReach, whole genome, k = 2": lambda: picks(pj.graphreach(genome, None, 100 if not quick else 5, hops=2)),
        "MaxSpec, 1,087 candidates": lambda: picks(pj.maxspec(genome, pool, few)),
        "MaxSpec, Lanczos in JAX": lambda: picks(pj.maxspec(few_nodes, few_nodes.genes[::10], 5, backend="jax")),
        "GraphDesign, 1,087 candidates, dense": lambda: picks(pj.graphdesign(genome, pool, many if not quick else 20)),
        "GraphDesign, 6,000 candidates, matrix-free": lambda: picks(pj.graphdesign(genome, wide, 50)),
        "GraphDesign, information": lambda: picks(pj.graphdesign(genome, pool, few, criterion="information")),
        "GraphDesign, facility": lambda: picks(pj.graphdesign(genome, pool, few, criterion="facility")),
        "GraphDesign, soft": lambda: picks(pj.graphdesign(genome, pool[:400], 50, criterion="soft")),
        "score of 9 selections": lambda: np.asarray(pj.score(genome, pool, selections).gains).sum(2).tolist(),
        "GEARS in Flax, 60 steps": gears_steps,
    }


def serve(quick: bool) -> None:
    """The process of one version: answers the names of cases with seconds and the checksum of what came out."""
    prepared = cases(quick)
    print(json.dumps(list(prepared)), flush=True)
    for line in sys.stdin:
        begin = time.process_time()
        result = prepared[json.loads(line)]()
        seconds = time.process_time() - begin
        checksum = hashlib.sha256(json.dumps(result).encode()).hexdigest()
        print(json.dumps({"seconds": seconds, "result": checksum}), flush=True)


class Version:
    """A process that serves one version of the package."""

    def __init__(self, package: Path, quick: bool):
        environment = os.environ | {"PYTHONPATH": str(package), "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, __file__, "serve", *(["--quick"] if quick else [])]
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
        )
        self.cases: list[str] = self._answer()

    def run(self, case: str) -> dict[str, Any]:
        """Seconds and checksum of one run."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        """Let the process go."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("a version ended before it answered; its error is above")
        return json.loads(line)


def compare(revision: str, package: Path, repeats: int, quick: bool, only: Iterable[str]) -> Report:
    """Both versions in turns."""
    root = Path(__file__).parents[2]
    present = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, check=True, capture_output=True, text=True
    )
    settings = {"revision": revision, "present": present.stdout.strip(), "repeats": repeats, "quick": quick}
    report = Report("against_revision", (__doc__ or "").split("\n\n")[0], settings)
    before, now = Version(package, quick), Version(root, quick)
    rows = []
    for case in now.cases:
        if only and not any(word.lower() in case.lower() for word in only):
            continue
        runs: dict[str, list[dict[str, Any]]] = {"before": [], "now": []}
        for repeat in range(repeats + 1):
            turn = {"before": before.run(case), "now": now.run(case)}
            if repeat:  # the first compiles
                for name, run in turn.items():
                    runs[name].append(run)
        seconds = {name: [run["seconds"] for run in done] for name, done in runs.items()}
        for name, values in seconds.items():
            report.add(case, name, "seconds", "s", *values)
        same = len({run["result"] for done in runs.values() for run in done}) == 1
        ratio = median(one / other for one, other in zip(seconds["before"], seconds["now"], strict=True))
        rows.append(
            {
                "case": case,
                "before": show_seconds(median(seconds["before"])),
                "now": show_seconds(median(seconds["now"])),
                "before / now": show_ratio(ratio) if ratio >= 1 else f"{ratio:.2f}x",
                "same result": "yes" if same else "**no**",
            }
        )
        print(rows[-1], flush=True)
        report.target(case, f"at least {LEAST}x, same result", f"{ratio:.2f}x", ratio >= LEAST and same)
    report.tables.append(
        Table("Before and now", "Processor seconds, medians; the median of the repeats' ratios.", rows)
    )
    before.end()
    now.end()
    return report


def main() -> None:
    """Check the earlier revision out, compare, write the results."""
    if sys.argv[1:2] == ["serve"]:
        serve("--quick" in sys.argv)
        return
    parser = arguments(__doc__ or "")
    parser.add_argument("revision", help="of git")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=(), help="words of the cases to run")
    options = parser.parse_args()
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as directory:
        archive = subprocess.run(
            ["git", "archive", options.revision, "perturb_jax"], cwd=root, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-x", "-C", directory], input=archive.stdout, check=True)
        repeats = 2 if options.quick else options.repeats
        report = compare(options.revision, Path(directory), repeats, options.quick, options.only)
    out = Path(tempfile.mkdtemp()) if options.quick and options.out == RESULTS else options.out
    report.write(out)


if __name__ == "__main__":
    main()
