"""How a command ends, whatever happens: an exit code, at most one line, and a log of what nobody expected."""

import _thread
import errno
import io
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from platform import platform
from typing import Any

import typer

from perturb_jax.support.devices import check_platform
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import versions

_OF_THE_MACHINE = frozenset(
    (
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS,
        errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE,
    )
)  # fmt: skip
"""What a system says of files and disks, and a user can help."""

_SECONDS_TO_RETURN = 0.05


def code_of(command: Callable[[], object]) -> int:
    """Run a command; its exit code.

    0, or what the command returns; 2 and a line on standard error for bad input and for what the system refuses; 130
    for Control-C; 1, a line and a log for anything else.
    """
    try:
        code = command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  whatever it is, it is said in a line
        return _said(error)
    return code if isinstance(code, int) else 0


def _said(error: Exception) -> int:
    code = 2
    try:
        if not isinstance(error, InputError | typer.TyperException):
            check_platform()
    except InputError as of_platform:
        error = of_platform
    if isinstance(error, typer.TyperException):
        message = error.format_message()
    elif isinstance(error, InputError):
        message = str(error)
    elif isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        where = "" if error.filename is None else f"{error.filename}: "
        message = f"{where}{error.strerror}"
    else:
        code, message = 1, _fault(error)
    message = message.replace(": Value error, ", ": ")  # which pydantic adds to what typer says
    if message:  # a command without arguments has shown its help instead
        with suppress(OSError):
            sys.stderr.write(f"perturb-jax: error: {' '.join(message.split())}\n")
    return code


def _fault(error: Exception) -> str:
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    try:
        descriptor, path = tempfile.mkstemp(prefix="perturb-jax-", suffix=".log")
        with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor
            file.write("\n".join(_log(error)).encode(errors="backslashreplace"))
    except OSError as unwritable:
        return f"{what}; this is a fault of the program; a log cannot be written ({unwritable.strerror})"
    return f"{what}; this is a fault of the program: please report it with the log, which holds no data: {path}"


def _log(error: BaseException | None) -> Iterator[str]:
    """Where it happened: functions and lines, types of exceptions; no messages and no values, which may be data."""
    yield f"versions: {versions()}"
    yield f"system: {platform()}"
    yield f"command: {next((word for word in sys.argv[1:] if word.isalpha()), '')}"
    while error is not None:
        yield f"\n{type(error).__module__}.{type(error).__qualname__}"
        yield from map(str.rstrip, traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__)).format())
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    yield ""


def open_streams() -> None:
    """Let standard output and error be there and take anything: letters that a terminal lacks, readers that leave.

    One that is closed is as one that nobody reads. What comes after a reader has left (`| head`) is dropped; where it
    cannot be written otherwise, InputError is raised once.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the least that is free, which is this one
        if number == 0:
            continue
        stream = getattr(sys, name)
        if stream is None:
            stream = open(number, "w", closefd=False)  # noqa: SIM115  for as long as the process lives
        if isinstance(stream, io.TextIOWrapper) and isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO):
            raw = _Outlet(number, "w", closefd=False)
            raw.called = {"stdout": "standard output", "stderr": "standard error"}[name]
            stream = io.TextIOWrapper(
                io.BufferedWriter(raw),
                stream.encoding,
                "backslashreplace",
                line_buffering=number == 2 or stream.line_buffering or stream.write_through,
            )
        setattr(sys, name, stream)


class _Outlet(io.FileIO):
    """A stream whose reader may leave, or whose disk may be full."""

    called = ""
    _gone = False

    def write(self, content: Any) -> int:
        try:
            if not self._gone:
                return super().write(content)
        except OSError as error:
            self._gone = True
            if error.errno != errno.EPIPE and self.called == "standard output":
                raise InputError(f"{self.called}: cannot be written ({error.strerror})") from None
        return len(content)


def hear_again(unraisable: Any) -> None:
    """Send Control-C again where a library's callback swallowed it: a `sys.unraisablehook`.

    JAX hears of garbage collections, and an exception that comes there ends there.
    """
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        threading.Timer(_SECONDS_TO_RETURN, _thread.interrupt_main).start()  # when the callback has returned
    else:
        sys.__unraisablehook__(unraisable)
