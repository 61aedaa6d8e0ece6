"""Run every benchmark, each in a process of its own, and write their results side by side.

    python experiments/benchmarks/run_all.py --library FILE --essential FILE

LIBRARY and ESSENTIAL in the environment are the defaults of these two; what needs them is skipped without them.
"""

import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

from harness import RESULTS, arguments, missing_packages


class Benchmark(NamedTuple):
    """A script of this directory, the import names that it needs, and whether it needs the gene lists."""

    script: str
    needs: tuple[str, ...] = ()
    needs_lists: bool = False


BENCHMARKS = (
    Benchmark("coverage_selection.py", ("submodlib", "apricot")),
    Benchmark("go_graph.py", ("gears",)),
    Benchmark("command_line.py", needs_lists=True),
    Benchmark("start_up.py"),
    Benchmark("maxspec.py", needs_lists=True),
    Benchmark("graphdesign.py", needs_lists=True),
    Benchmark("score.py"),
    Benchmark("read_screen.py", ("scanpy",)),
    Benchmark("gears_flax.py", ("gears", "torch_geometric")),
    Benchmark("gears_flax_training.py", ("gears", "torch_geometric")),
)


def run(benchmark: Benchmark, options: Namespace, out: Path) -> bool:
    """Run one benchmark or say why not; False if it failed."""
    missing = missing_packages(*benchmark.needs)
    if missing:
        print(f"skipped {benchmark.script}: {', '.join(missing)} not installed; pip install -e '.[bench,gears]'")
        return True
    lists = options.library and options.essential
    if benchmark.needs_lists and not lists:
        print(f"skipped {benchmark.script}: it needs --library and --essential")
        return True
    command = [sys.executable, str(Path(__file__).with_name(benchmark.script)), "--out", str(out)]
    command += ["--library", str(options.library), "--essential", str(options.essential)] if lists else []
    command += ["--quick"] if options.quick else []
    print(f"== {benchmark.script}", flush=True)
    return subprocess.run(command).returncode == 0


def main() -> None:
    """Run all; a quick run leaves the results directory alone unless told otherwise."""
    options = arguments(__doc__).parse_args()
    if not (options.library and options.essential):
        print("no --library and --essential: coverage case (a), the command line, MaxSpec and GraphDesign are skipped")
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) if options.quick and options.out == RESULTS else options.out
        failed = [benchmark.script for benchmark in BENCHMARKS if not run(benchmark, options, out)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
