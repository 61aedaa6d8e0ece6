"""Run many command lines in one process, as a user's shell would: a JSON list of argument lists on standard input.

A module of its own, without the tests' run-time type checks, which a user does not have either.
"""

import contextlib
import io
import json
import sys

from perturb_jax.cli import app as cli


def run(arguments: list[str]) -> dict[str, object]:
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    sys.argv = ["perturb-jax", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        except BaseException as error:  # noqa: BLE001  a crash is a result here, and the test fails on it
            code = repr(error)
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    results = [run(arguments) for arguments in json.load(sys.stdin)]
    json.dump(results, sys.stdout)
