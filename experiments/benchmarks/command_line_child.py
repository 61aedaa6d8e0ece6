"""The fresh process of `command_line.py`: runs the command with a clock at each of its steps.

It takes the command's arguments and prints, after all that the command prints, the seconds of each step as JSON. It
ends as the command ends, be it by `sys.exit` or at once by `os._exit`.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points


def main() -> None:
    """Import the command, put the clock where it shows its progress, run it."""
    steps: dict[str, float] = {}
    leave_at_once = os._exit

    @contextmanager
    def clock(what: str, *_: object) -> Iterator[None]:
        start = time.perf_counter()
        yield
        steps[what] = time.perf_counter() - start

    def answer() -> None:
        rest = time.perf_counter() - start - (sum(steps.values()) - steps["imports"])
        print(json.dumps({**steps, "parsing and printing": rest}), flush=True)

    def answer_and_leave(code: int) -> None:
        answer()
        leave_at_once(code)

    with clock("imports"):
        from perturb_jax.cli import printing
    [script] = entry_points(group="console_scripts", name="perturb-jax")
    command = script.load()
    printing.step = clock
    os._exit = answer_and_leave  # type: ignore[assignment]
    start = time.perf_counter()
    with suppress(SystemExit):
        command()
    answer()


if __name__ == "__main__":
    main()
