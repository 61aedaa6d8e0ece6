"""Screens from tables of means."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.screen.pseudobulk import read_pseudobulk
from perturb_jax.screen.store import load_screen, save_screen

ROWS = {
    "condition": ["ctrl", "B+A", "A+ctrl", "control", "A"],
    "n_cells": [30, 5, 2, 10, 6],
    "G1": [1.0, 2.0, 0.0, 2.0, 4.0],
    "G2": [0.5, 0.5, 1.0, 0.5, 1.0],
}


def test_rows_of_one_condition_are_averaged_by_their_cells(tmp_path: Path) -> None:
    pd.DataFrame(ROWS).to_csv(tmp_path / "means.csv", index=False)
    for screen in (read_pseudobulk(tmp_path / "means.csv"), read_pseudobulk(pd.DataFrame(ROWS))):
        assert screen.perturbations == ("A", "A+B")
        assert screen.genes == ("G1", "G2")
        assert screen.cell_counts.tolist() == [8, 5]
        assert screen.mean.tolist() == [[3.0, 1.0], [2.0, 0.5]]
        assert screen.control_count == 40
        assert screen.control_mean.tolist() == [1.25, 0.5]
        assert not any(part.any() for part in (screen.variance, screen.third, screen.fourth, screen.control_variance))
        assert screen.de_genes.tolist() == [[0, 1], [0, 1]]
        assert screen.coexpression.num_edges == 0
        assert screen.source is None
        assert screen.settings["cell_counts"] == "n_cells"
    saved = save_screen(screen, tmp_path / "screen.h5ad")
    assert load_screen(saved).coexpression.num_edges == 0


def test_without_counts_a_row_counts_once() -> None:
    screen = read_pseudobulk(pd.DataFrame(ROWS).drop(columns="n_cells").set_index("condition"), num_de=1)
    assert screen.cell_counts.tolist() == [2, 1]
    assert screen.mean[0].tolist() == [2.0, 1.0]
    assert screen.de_genes.shape == (2, 1)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"G1": [1.0, 2.0, None, 2.0, 4.0]}, {}, "expected finite log1p expression >= 0, got nan for gene G1 in row 3"),
        ({"G1": [1.0, 2.0, "x", 2.0, 4.0]}, {}, "got x for gene G1 in row 3"),
        ({"G2": [-1.0] * 5}, {}, "got -1.0 for gene G2 in row 1"),
        ({"n_cells": [0] * 5}, {}, "whole numbers >= 1 in n_cells"),
        ({"condition": ["ctrl"] * 5}, {}, "at least one perturbation"),
        ({"condition": ["A"] * 5}, {}, "expected rows for control"),
        ({"condition": ["A+", "ctrl", "A", "B", "C"]}, {}, "a part is blank"),
        ({"target": ["A"] * 5}, {}, "condition, target may all name the condition"),
        ({" G1": [1.0] * 5}, {}, "the gene G1 has several columns"),
        ({}, {"condition": "pert"}, "condition: no column 'pert'"),
        ({}, {"cell_counts": "cells"}, "cell_counts: no column 'cells'"),
    ],
)
def test_tables_that_do_not_fit_are_refused(change: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(pj.InputError, match=message):
        read_pseudobulk(pd.DataFrame({**ROWS, **change}), **options)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(pj.InputError, match="no such file"):
        read_pseudobulk(tmp_path / "absent.csv")
    (tmp_path / "genes.csv").write_text("condition\nA\nctrl\n")
    with pytest.raises(pj.InputError, match="a name for every gene, got 0 columns"):
        read_pseudobulk(tmp_path / "genes.csv")
