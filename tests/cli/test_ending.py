"""How commands end: one line, an exit code, a log without data; streams that are closed, full or left."""

import errno
import re
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

from perturb_jax.cli import ending
from perturb_jax.support.errors import InputError

ENOSPC = OSError(errno.ENOSPC, "No space left on device", "there/picks.csv")


def _raise(error: BaseException) -> None:
    raise error


def said(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = ending.code_of(lambda: _raise(error))
    printed = capsys.readouterr()
    assert printed.out == ""
    return code, printed.err


def test_codes_of_what_was_expected(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending.code_of(lambda: None) == 0
    assert ending.code_of(lambda: 3) == 3
    assert said(InputError("a\nb"), capsys) == (2, "perturb-jax: error: a b\n")
    assert said(KeyboardInterrupt(), capsys) == (130, "")
    assert said(ENOSPC, capsys) == (2, "perturb-jax: error: there/picks.csv: No space left on device\n")


def test_what_nobody_expected_is_a_line_and_a_log_without_data(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["perturb-jax", "select", "--candidates", "patients.txt"])
    error = KeyError("SECRET1")
    error.__cause__ = ZeroDivisionError("of 17 patients")
    code, line = said(error, capsys)
    assert code == 1
    assert line.count("\n") == 1
    assert line.startswith("perturb-jax: error: KeyError: 'SECRET1'; this is a fault of the program")
    (log,) = tmp_path.iterdir()
    assert str(log) in line
    text = log.read_text()
    assert "builtins.KeyError" in text and "builtins.ZeroDivisionError" in text
    assert "in _raise" in text and "command: select" in text
    assert not re.search("SECRET1|17 patients|patients.txt", text)


def test_a_log_that_cannot_be_written(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: _raise(ENOSPC))
    code, line = said(ValueError("x"), capsys)
    assert (code, line.count("\n")) == (1, 1)
    assert "a log cannot be written (No space left on device)" in line


def test_a_platform_that_is_not_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "abacus")
    monkeypatch.setattr(jax, "devices", lambda: _raise(RuntimeError("Unknown backend:\nabacus")))
    code, line = said(AssertionError(), capsys)
    assert (code, line.count("\n")) == (2, 1)
    assert "JAX_PLATFORMS=abacus: JAX cannot compute on this platform here (Unknown backend: abacus)" in line


class _Swallows:
    """A callback of a library, in which no exception can leave."""

    def __del__(self) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_that_a_callback_swallows_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", ending.hear_again)
    swallows = _Swallows()
    with pytest.raises(KeyboardInterrupt):
        del swallows
        time.sleep(60)


def test_other_exceptions_of_callbacks_are_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fails:
        def __del__(self) -> None:
            raise ZeroDivisionError

    monkeypatch.setattr(sys, "unraisablehook", ending.hear_again)
    fails = Fails()
    del fails
    assert "ZeroDivisionError" in capsys.readouterr().err


STREAMS = """
import sys
from perturb_jax.cli.ending import code_of, open_streams
open_streams()
def command():
    for number in range(20_000):
        print(number, chr(0xe9))
    return 5
code = code_of(command)
sys.stderr.write(f"code {code}")
"""


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        (">&-", "code 5"),
        ("| head -1 > /dev/null", "code 5"),
        ("> /dev/full", "perturb-jax: error: standard output: cannot be written (No space left on device)\ncode 2"),
    ],
)
def test_streams_that_take_nothing(shell: str, expected: str) -> None:
    line = f'"$0" -c "$1" {shell}'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, STREAMS], capture_output=True, text=True, check=False,
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.stderr == expected
