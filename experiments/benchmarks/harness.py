"""What every benchmark needs: interleaved timing, peak memory, the machine's record, and results as files.

Times are medians of repeats in which all contenders take turns in one process, so that a busy machine slows all of
them alike: believe the ratios. Every repeat is kept in the CSV file; only the Markdown tables show medians.
"""

import argparse
import csv
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

PACKAGES = ("perturb-jax", "numpy", "scipy", "numba", "jax", "jaxlib", "submodlib-py", "apricot-select", "cell-gears")
RESULTS = Path(__file__).parent / "results"


class Run(NamedTuple):
    """One run of a contender: the seconds of each stage, and what came out."""

    stages: dict[str, float]
    result: Any


class Stopwatch:
    """Collects the seconds of named stages."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block under this name."""
        start = time.perf_counter()
        yield
        self.stages[name] = time.perf_counter() - start


def timed(stage: str, function: Callable[[], Any]) -> Run:
    """Run a function as a single stage."""
    watch = Stopwatch()
    with watch.stage(stage):
        result = function()
    return Run(watch.stages, result)


def interleave(contenders: Mapping[str, Callable[[], Run]], repeats: int, warmups: int = 1) -> dict[str, list[Run]]:
    """Let contenders take turns, `warmups` rounds uncounted and then `repeats` rounds.

    The result of a run is kept for the last round only, so that what a contender returns does not fill the memory.
    """
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for round_number in range(warmups + repeats):
        for name, contender in contenders.items():
            run = contender()
            if round_number >= warmups:
                runs[name] = [Run(earlier.stages, None) for earlier in runs[name]] + [run]
    return runs


def seconds_of(runs: Sequence[Run], *stages: str) -> float:
    """The median over runs of the sum of some stages; of all stages where none is named."""
    return median(sum(run.stages[stage] for stage in stages or run.stages) for run in runs)


def peak_megabytes() -> float:
    """The largest resident memory this process ever had, in MB (10^6 bytes).

    On Linux `getrusage` also counts what the parent had when it started this process; `VmHWM` is the same quantity
    for this process alone.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def child(script: Path, *arguments: str) -> dict[str, Any]:
    """Run a script of this directory in a fresh process; the last line it prints is its answer, as JSON."""
    process = subprocess.run([sys.executable, str(script), *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(process.stdout.splitlines()[-1])


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, its later threads included, on one core where the system can (Linux)."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def machine() -> dict[str, Any]:
    """CPU model, cores, memory, load, Python and package versions. No paths and no host name."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


class Measurement(NamedTuple):
    """One number, as measured."""

    case: str
    contender: str
    measure: str
    unit: str
    repeat: int
    value: float


class Target(NamedTuple):
    """What was asked for, what was measured, and whether that is enough."""

    case: str
    wanted: str
    measured: str
    met: bool


class Table(NamedTuple):
    """A table for people: a title, a note, and rows with the same keys."""

    title: str
    note: str
    rows: list[dict[str, Any]]


@dataclass
class Report:
    """The results of one benchmark: raw measurements (CSV), tables (Markdown), and all but the raw ones as JSON."""

    name: str
    about: str
    settings: dict[str, Any]
    machine: dict[str, Any] = field(default_factory=machine)
    measurements: list[Measurement] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, case: str, contender: str, measure: str, unit: str, *values: float) -> None:
        """Keep the values of one measure, a repeat each."""
        for repeat, value in enumerate(values):
            self.measurements.append(Measurement(case, contender, measure, unit, repeat, float(value)))

    def target(self, case: str, wanted: str, measured: str, met: bool) -> None:
        """Say whether a target is met; a quick run says nothing about it."""
        if not self.settings.get("quick"):
            self.targets.append(Target(case, wanted, measured, met))

    def add_runs(self, case: str, runs: Mapping[str, Sequence[Run]]) -> None:
        """Keep the seconds of every stage of every run."""
        for contender, repeats in runs.items():
            for stage in repeats[0].stages:
                self.add(case, contender, stage, "s", *(run.stages[stage] for run in repeats))

    def write(self, directory: Path) -> None:
        """Write `name`.csv, `name`.json and `name`.md side by side, and print the last."""
        self.machine["load_average_at_end"] = round(os.getloadavg()[0], 2)
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / f"{self.name}.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Measurement._fields)
            writer.writerows(row._replace(value=f"{row.value:.6g}") for row in self.measurements)
        (directory / f"{self.name}.json").write_text(json.dumps(self._record(), indent=2) + "\n")
        text = self._markdown()
        (directory / f"{self.name}.md").write_text(text)
        print(text, flush=True)

    def _record(self) -> dict[str, Any]:
        return {
            "benchmark": self.name,
            "about": self.about,
            "settings": self.settings,
            "machine": self.machine,
            "targets": [target._asdict() for target in self.targets],
            "tables": [table._asdict() for table in self.tables],
            "notes": self.notes,
        }

    def _markdown(self) -> str:
        parts = [f"# {self.name}", self.about]
        targets = [{**target._asdict(), "met": "yes" if target.met else "**no**"} for target in self.targets]
        tables = [Table("Targets", "", targets), *self.tables] if targets else self.tables
        for table in tables:
            parts += [f"## {table.title}", *([table.note] if table.note else []), markdown_table(table.rows)]
        if self.notes:
            parts += ["## Notes", "\n".join(f"- {note}" for note in self.notes)]
        parts += ["## Machine", markdown_table([{"what": key, "value": value} for key, value in self.machine.items()])]
        return "\n\n".join(parts) + "\n"


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as a Markdown table."""
    header = list(rows[0])
    lines = [header, ["---"] * len(header), *([str(row[key]) for key in header] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def show_seconds(seconds: float) -> str:
    """A duration in the unit that fits it, three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def show_ratio(ratio: float) -> str:
    """A ratio with two or three digits."""
    return f"{ratio:.0f}x" if ratio >= 20 else f"{ratio:.1f}x" if ratio >= 1 else f"{ratio:.2g}x"


def read_names(file: Path) -> list[str]:
    """The gene names of a text file, one a line."""
    return [line.strip() for line in file.read_text().splitlines() if line.strip()]


def digest(file: Path) -> dict[str, Any]:
    """What identifies an input file without saying where it lies."""
    return {"names": len(read_names(file)), "sha256": sha256(file.read_bytes()).hexdigest()}


def missing_packages(*modules: str) -> list[str]:
    """Which of these import names cannot be found."""
    return [module for module in modules if importlib.util.find_spec(module) is None]


def arguments(about: str) -> argparse.ArgumentParser:
    """The arguments that all benchmarks share; LIBRARY and ESSENTIAL in the environment are their defaults."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--library", type=_file, default=os.environ.get("LIBRARY") or None, help="genes of the graph")
    parser.add_argument("--essential", type=_file, default=os.environ.get("ESSENTIAL") or None, help="candidate genes")
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory of the results")
    parser.add_argument("--quick", action="store_true", help="a smoke run: small inputs, few repeats, no targets")
    return parser


def _file(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"expected a text file with one gene name a line, found no file {name!r}")
    return path
