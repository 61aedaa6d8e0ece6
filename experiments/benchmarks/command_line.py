"""The command `perturb-jax select` as its user meets it: from process start to files written.

Each run is a fresh process: 100 of the 1,087 candidates, on the graph of the library. "Cold": numba's cache directory
is empty, as in the first run on a machine. "Warm": numba's cache holds what the command compiled before. Python's own
bytecode is compiled already in both.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import NamedTuple

from coverage_cases import screen_candidates, screen_graph
from harness import Report, Table, arguments, digest, show_seconds

ABOUT = """Wall time of `perturb-jax select --strategy graphreach --candidates FILE --universe FILE --unknown drop
--budget 100 --out DIR --force`, each run in a fresh process from its start to its end. Medians."""
SECONDS = 6.0
CASE = "select 100 of 1,087"
SHOWN_PACKAGES = 12
CHILD = Path(__file__).with_name("command_line_child.py")


def select_arguments(candidates: Path, library: Path, out: Path) -> list[str]:
    """What the user types after `perturb-jax`."""
    options = ["--candidates", str(candidates), "--universe", str(library), "--unknown", "drop", "--budget", "100"]
    return ["select", "--strategy", "graphreach", *options, "--out", str(out), "--force"]


class Finished(NamedTuple):
    """A run of the command: seconds from process start to process end, CPU seconds, what it printed."""

    wall: float
    cpu: float
    stdout: str
    stderr: str


def run(command: list[str], numba_cache: Path) -> Finished:
    """Run the command; its files must be there afterwards."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(numba_cache)}
    out = Path(command[command.index("--out") + 1])
    start, cpu = time.perf_counter(), cpu_seconds_of_children()
    process = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    wall, cpu = time.perf_counter() - start, cpu_seconds_of_children() - cpu
    for name in ("picks.csv", "picks.json", "picks.png"):
        (out / name).unlink()
    return Finished(wall, cpu, process.stdout, process.stderr)


def cpu_seconds_of_children() -> float:
    """User and system time of all ended child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def imports_by_package(trace: str) -> Counter[str]:
    """Seconds that `python -X importtime` counts for each top-level package's own modules."""
    seconds: Counter[str] = Counter()
    for line in trace.splitlines():
        parts = line.removeprefix("import time:").split("|")
        if line.startswith("import time:") and len(parts) == 3 and parts[0].strip().isdigit():
            seconds[parts[2].strip().split(".")[0]] += int(parts[0]) / 1e6
    return seconds


def step_times(user: list[str], numba_cache: Path) -> dict[str, float]:
    """One run with a clock at each of the command's steps; what they leave of its wall time is the interpreter's."""
    finished = run([sys.executable, str(CHILD), *user], numba_cache)
    steps: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return {**steps, "interpreter's start and end": finished.wall - sum(steps.values())}


def measure(report: Report, candidates: Path, library: Path, repeats: int, directory: Path) -> None:
    """Cold and warm wall times, the steps of both, and the imports of the warm one."""
    user = select_arguments(candidates, library, directory / "out")
    script = str(Path(sys.executable).with_name("perturb-jax"))
    warm = directory / "warm"
    run([script, *user], warm)
    totals: dict[str, list[Finished]] = {"cold": [], "warm": []}
    steps_of: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    for repeat in range(repeats):
        caches = {"cold": directory / f"cold{repeat}", "warm": warm}
        for name, cache in caches.items():
            totals[name].append(run([script, *user], cache))
        caches["cold"] = directory / f"cold steps {repeat}"
        for name, cache in caches.items():
            steps_of[name].append(step_times(user, cache))
    rows = []
    for name, runs in totals.items():
        walls, cpus = [run.wall for run in runs], [run.cpu for run in runs]
        report.add(CASE, name, "wall", "s", *walls)
        report.add(CASE, name, "cpu", "s", *cpus)
        times = {"wall": median(walls), "fastest": min(walls), "slowest": max(walls), "CPU": median(cpus)}
        rows.append({"numba cache": name, **{what: show_seconds(value) for what, value in times.items()}})
        reached = times["wall"]
        report.target(f"{CASE}, {name}", f"wall under {SECONDS:g} s", show_seconds(reached), reached < SECONDS)
    report.tables.append(Table("Whole command", "", rows))
    _add_steps(report, steps_of)
    traced = run([sys.executable, "-X", "importtime", script, *user], warm)
    _add_imports(report, imports_by_package(traced.stderr))


def _add_steps(report: Report, steps_of: dict[str, list[dict[str, float]]]) -> None:
    rows = []
    for step in steps_of["warm"][0]:
        values = {name: [run[step] for run in runs] for name, runs in steps_of.items()}
        for name, seconds in values.items():
            report.add(CASE, name, f"step: {step}", "s", *seconds)
        rows.append({"step": step, **{name: show_seconds(median(seconds)) for name, seconds in values.items()}})
    note = "Timed inside a process that runs the same command; the last row is what they leave of its wall time."
    report.tables.append(Table("Steps", note, rows))


def _add_imports(report: Report, seconds: Counter[str]) -> None:
    for package, value in seconds.items():
        report.add(CASE, package, "import", "s", value)
    shown = seconds.most_common(SHOWN_PACKAGES)
    rest = seconds.total() - sum(value for _, value in shown)
    rows = [{"package": package, "own modules": show_seconds(value)} for package, value in shown]
    rows += [
        {"package": f"{len(seconds) - len(shown)} others", "own modules": show_seconds(rest)},
        {"package": "all", "own modules": show_seconds(seconds.total())},
    ]
    note = "`python -X importtime`, one warm run, which it slows down a little; a package's own modules only."
    report.tables.append(Table("Imports by top-level package", note, rows))


def main() -> None:
    """Measure and write the report."""
    options = arguments(__doc__).parse_args()
    if not (options.library and options.essential):
        sys.exit("command_line.py: needs --library and --essential")
    inputs = {"library": digest(options.library), "essential": digest(options.essential)}
    report = Report("command_line", ABOUT, {"quick": options.quick, **inputs})
    with tempfile.TemporaryDirectory() as directory:
        candidates = Path(directory) / "candidates.txt"
        names = screen_candidates(screen_graph(options.library), options.essential)
        candidates.write_text("\n".join(names) + "\n")
        measure(report, candidates, options.library, 1 if options.quick else 7, Path(directory))
    report.write(options.out)


if __name__ == "__main__":
    main()
