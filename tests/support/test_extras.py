"""What an installation lacks is named with what to install, which any index has."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import perturb_jax as pj
from perturb_jax.cli.results import plot, table
from perturb_jax.support.extras import require


def test_what_is_there_is_not_asked_for() -> None:
    require("x", "numpy", "sys")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(
        pj.InputError, match=r"x: scikit-learn, nowhere missing in this installation; pip install .*scikit-learn.* now"
    ):
        require("x", "sklearn", "nowhere")


@pytest.mark.parametrize("command", [table, plot])
def test_tables_of_experiments_need_pyarrow(command: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(pj.InputError, match=r"results of experiments: pyarrow missing.*pip install '?pyarrow"):
        command(directory=Path(), output=None, baseline="random", force=False, quiet=True)
