"""A line on standard error that says how far a long computation is."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_WIDTH = 40
_SECONDS_BETWEEN = 0.1
_CLEARED = "\r\x1b[2K"  # back to the start of an empty line


class ProgressBar:
    """One line, drawn again and again on a terminal; in a file one line per task, when it is done."""

    def __init__(self, shown: bool) -> None:
        self.shown = shown
        self._terminal = sys.stderr.isatty()
        self._what, self._total, self._done, self._drawn = "", 0, 0, 0.0

    def begin(self, what: str, total: int, done: int = 0) -> None:
        """A new task of `total` steps, `done` of which are behind us."""
        self.end()
        self._what, self._total, self._done, self._start = what, total, done, time.monotonic()
        self._draw()

    def reach(self, done: int) -> None:
        """So many steps are behind us now."""
        self._done = done
        self._draw()

    def advance(self, steps: int = 1) -> None:
        """So many steps more."""
        self.reach(self._done + steps)

    def message(self, text: str) -> None:
        """A line of its own, above the bar."""
        if self.shown:
            sys.stderr.write(_CLEARED * self._terminal + text + "\n")

    def end(self) -> None:
        """Leave the last state of the task as it is."""
        if self._what and self.shown:
            sys.stderr.write(_CLEARED * self._terminal + self._line() + "\n")
            sys.stderr.flush()
        self._what = ""

    def _draw(self) -> None:
        if self._terminal and self.shown and time.monotonic() > self._drawn + _SECONDS_BETWEEN:
            sys.stderr.write(_CLEARED + self._line())
            sys.stderr.flush()
            self._drawn = time.monotonic()

    def _line(self) -> str:
        part = min(self._done / max(self._total, 1), 1.0)
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        bar = ("━" * round(_WIDTH * part)).ljust(_WIDTH, "╌" if self._terminal else " ")
        return f"{self._what} {bar} {part:4.0%} {minutes}:{seconds:02d}"


@contextmanager
def progress_bar(shown: bool | None = None) -> Iterator[ProgressBar]:
    """A bar that ends with the block; `shown` is None: where standard error is a terminal."""
    bar = ProgressBar(sys.stderr.isatty() if shown is None else shown)
    try:
        yield bar
    finally:
        bar.end()
