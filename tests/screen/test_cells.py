"""Cells read again from a screen's file."""

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.screen.cells import CONTROL, read_cells
from perturb_jax.screen.read import read_screen
from tests.screen_oracles import random_cells, write_cells


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
@pytest.mark.parametrize("normalize", [False, True])
def test_cells_are_read_as_the_screen_was(tmp_path: Path, layout: str, normalize: bool) -> None:
    values, conditions = random_cells(2)
    if normalize:
        values = np.round(values * 3)
    kept = np.where(np.arange(len(values)) % 9 == 0, "no", "yes").tolist()
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, layout, kept=kept)
    screen = read_screen(path, where={"kept": "yes"}, normalize=normalize)
    cells = read_cells(screen, ["A", "A+B"])
    assert set(cells.conditions) == {CONTROL, "A", "A+B"} and cells.expression.dtype == np.float32
    for name in ("A", "A+B"):
        row = screen.index((name,))[0]
        own = cells.expression[np.flatnonzero(cells.conditions == name)].toarray()
        assert len(own) == screen.cell_counts[row]
        np.testing.assert_allclose(own.mean(axis=0), screen.mean[row], rtol=1e-5, atol=1e-6)
    control = cells.expression[np.flatnonzero(cells.conditions == CONTROL)].toarray()
    np.testing.assert_allclose(control.mean(axis=0), screen.control_mean, rtol=1e-5, atol=1e-6)


def test_a_screen_without_cells_or_with_other_genes_is_refused(tmp_path: Path) -> None:
    path = write_cells(tmp_path / "cells.h5ad", *random_cells())
    screen = read_screen(path)
    with pytest.raises(pj.InputError, match="has no cells"):
        read_cells(replace(screen, source=None), ["A"])
    data = anndata.read_h5ad(path)
    data.var_names = [f"other{name}" for name in data.var_names]
    data.write_h5ad(path)
    with pytest.raises(pj.InputError, match="has the file changed since"):
        read_cells(screen, ["A"])
    path.unlink()
    with pytest.raises(pj.InputError, match="no such file"):
        read_cells(screen, ["A"])
