"""What a screen says of itself."""

from pathlib import Path

import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.screen import Screen
from tests.screen_oracles import random_cells, write_cells


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    """A small screen."""
    return read_screen(write_cells(tmp_path / "cells.h5ad", *random_cells()))


def test_rows_are_found_by_name(screen: Screen) -> None:
    assert len(screen) == 3
    assert screen.index(("B", "A")).tolist() == [2, 0]
    with pytest.raises(pj.InputError, match=r"1 of 2 names are no perturbations of this screen: B.X; expected .* 'A'"):
        screen.index(("A", "B+X"))
    assert screen.index(("B+A",)).tolist() == screen.index(("A+B",)).tolist() == [1]


def test_a_change_is_the_difference_from_control(screen: Screen) -> None:
    np.testing.assert_allclose(screen.effects + screen.control_mean[None, :], screen.mean, atol=1e-12)


def test_its_size_is_said_and_not_its_numbers(screen: Screen) -> None:
    said = repr(screen)
    assert said.startswith("Screen(3 perturbations x 12 genes, 45 perturbed and 15 control cells, from cells.h5ad")
    assert len(said) < 300
