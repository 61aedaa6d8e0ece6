"""Compiled loops work where nothing can be kept of them."""

import errno

import numpy as np
import pytest
from numba.core.caching import FunctionCache

from perturb_jax.support.loops import kernel


def _refuse(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("method", ["__init__", "load_overload", "save_overload"])
def test_a_cache_on_a_full_disk(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FunctionCache, method, _refuse)

    @kernel
    def total(values):  # type: ignore[no-untyped-def]
        return values.sum()

    assert total(np.arange(4)) == 6


def test_nothing_is_looked_for_before_a_loop_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FunctionCache, "__init__", lambda *_: pytest.fail("looked for"))
    kernel(lambda values: values.sum())
