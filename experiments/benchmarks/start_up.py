"""How long the command line takes to answer what needs no graph: its help, its version, a mistyped option.

Each run is a fresh process, in alternation with one that imports what any such command line needs: typer and rich.
"""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from harness import Report, Table, arguments, show_ratio, show_seconds

ABOUT = """Wall time of `perturb-jax --help`, `select --help`, `--version` and a mistyped option, each in a fresh
process, in alternation with `python -c "import typer, rich"`. Medians."""
MOST = 3.0
REFERENCE = [sys.executable, "-c", "import typer, rich"]
QUESTIONS = {
    "--help": (["--help"], 0),
    "select --help": (["select", "--help"], 0),
    "--version": (["--version"], 0),
    "a mistyped option": (["select", "--buget", "3"], 2),
}


def seconds(command: list[str], code: int) -> float:
    """Wall time of a command that must end with an exit code."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False)
    wall = time.perf_counter() - start
    if done.returncode != code:
        sys.exit(f"start_up.py: {command} ended with {done.returncode}: {done.stderr.decode()}")
    return wall


def main() -> None:
    """Measure and write the report."""
    options = arguments(__doc__).parse_args()
    repeats = 2 if options.quick else 9
    report = Report("start_up", ABOUT, {"quick": options.quick, "repeats": repeats})
    script = str(Path(sys.executable).with_name("perturb-jax"))
    rows = []
    for name, (words, code) in QUESTIONS.items():
        pairs = [(seconds([script, *words], code), seconds(REFERENCE, 0)) for _ in range(repeats)]
        ours, reference = ([pair[side] for pair in pairs] for side in (0, 1))
        report.add(name, "perturb-jax", "wall", "s", *ours)
        report.add(name, "import typer, rich", "wall", "s", *reference)
        ratio = median(ours) / median(reference)
        row = {"perturb-jax": show_seconds(median(ours)), "import typer, rich": show_seconds(median(reference))}
        rows.append({"question": name, **row, "ratio": show_ratio(ratio)})
        if name != "select --help":
            report.target(name, f"at most {MOST:g} times the import", show_ratio(ratio), ratio <= MOST)
    report.tables.append(Table("Answers", "", rows))
    report.write(options.out)


if __name__ == "__main__":
    main()
