"""Batches, against whose own controls changes are taken, and guides, which are replicates."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.store import load_screen, save_screen
from tests.screen_oracles import central_moments, random_cells, write_cells


def shifted_cells(seed: int = 0) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Cells of three batches that differ in expression, of which perturbations have different shares."""
    values, conditions = random_cells(seed, cells=240)
    rng = np.random.default_rng(seed)
    batch = np.array([rng.choice(["x", "y", "z"], p=[0.6, 0.2, 0.2] if "A" in name else [0.1, 0.3, 0.6])
                      for name in conditions])  # fmt: skip
    shift = {"x": 0.0, "y": 0.4, "z": 1.1}
    return values / 2 + np.array([shift[one] for one in batch])[:, None], conditions, batch


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_changes_are_against_controls_of_the_same_batch(tmp_path: Path, layout: str) -> None:
    values, conditions, batch = shifted_cells()
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, layout, lot=batch.tolist())
    screen = read_screen(path, batch="lot")
    names = np.array(conditions)
    control = values[names == "ctrl"]
    of_batch = {one: values[(names == "ctrl") & (batch == one)].mean(0) for one in "xyz"}
    adjusted = values + control.mean(0) - np.array([of_batch[one] for one in batch])
    for row, written in enumerate(("A+ctrl", "B+A", "ctrl+B")):
        moments = central_moments(adjusted[names == written])
        for found, expected in zip(screen.perturbed.of(row)[1:], moments, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-9)
        np.testing.assert_array_equal(screen.nonzero[row], (values[names == written] != 0).any(0))
    np.testing.assert_allclose(screen.control_mean, control.mean(0))
    np.testing.assert_allclose(screen.control.variance, adjusted[names == "ctrl"].var(0))
    assert (screen.settings["batch"], screen.settings["batches"]) == ("lot", 3)
    assert np.abs(screen.effects).mean() < np.abs(read_screen(path).effects).mean() / 2
    with pytest.raises(pj.InputError, match=r"cells cannot be read as batch=\.\.\. has their moments"):
        pj.read_cells(screen, ["A"])


def test_batches_are_within_cell_types(tmp_path: Path) -> None:
    values, conditions, batch = shifted_cells(1)
    kind = ["K562" if i % 2 else "RPE1" for i in range(240)]
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, batch=batch.tolist(), cell_type=kind)
    screen = read_screen(path, batch="batch")
    names, kinds = np.array(conditions), np.array(kind)
    adjusted = values.copy()
    for one in "xyz":
        for cells in ("K562", "RPE1"):
            control = values[(names == "ctrl") & (kinds == cells)].mean(0)
            inside = (batch == one) & (kinds == cells)
            adjusted[inside] += control - values[inside & (names == "ctrl")].mean(0)
    np.testing.assert_allclose(screen.mean[0], adjusted[names == "A+ctrl"].mean(0))


def test_one_batch_changes_nothing(tmp_path: Path) -> None:
    path = write_cells(tmp_path / "cells.h5ad", *random_cells(), batch=["one"] * 60)
    one, other = read_screen(path, batch="batch"), read_screen(path)
    np.testing.assert_array_equal(one.mean, other.mean)
    assert "noticed" not in other.settings


def test_batches_are_noticed_and_refused_without_controls(tmp_path: Path) -> None:
    values, conditions, batch = shifted_cells()
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, batch=batch.tolist())
    screen = read_screen(path)
    assert "column batch (3 batches): changes are against all controls pooled; name it as batch" in repr(screen)
    assert "noticed" not in read_screen(path, batch="Batch ").settings
    lost = [f"{one}{'!' if name != 'ctrl' and one == 'y' else ''}" for one, name in zip(batch, conditions, strict=True)]
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, batch=lost)
    with pytest.raises(
        pj.InputError, match=r"batch: no control cells in 1 of the batches in 'batch': y! \(\d+ cells\)"
    ):
        read_screen(path, batch="batch")
    with pytest.raises(pj.InputError, match="batch: no column 'lane'"):
        read_screen(path, batch="lane")
    lost[0] = "nan"
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, batch=lost)
    with pytest.raises(pj.InputError, match="batch: 1 cells have no batch"):
        read_screen(path, batch="batch")


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_guides_are_kept_as_replicates(tmp_path: Path, layout: str) -> None:
    values, conditions = random_cells(cells=120)
    guides = [f"{name}#{i % 2}" if name != "B+A" else "nan" for i, name in enumerate(conditions)]
    path = write_cells(tmp_path / "cells.h5ad", values, conditions, layout, guide_id=guides)
    screen = read_screen(path)
    assert screen.guides is not None
    assert screen.guides.names == ("A+ctrl#0", "A+ctrl#1", "ctrl+B#0", "ctrl+B#1")
    assert screen.guides.perturbation.tolist() == [0, 0, 2, 2]
    for name, cells, mean in zip(screen.guides.names, screen.guides.cells, screen.guides.mean, strict=True):
        own = values[np.array(guides) == name]
        assert len(own) == cells
        np.testing.assert_allclose(mean, own.mean(0))
    assert "column guide_id (4 guides): kept as replicates" in repr(screen)
    loaded = load_screen(save_screen(screen, tmp_path / "screen.h5ad"))
    assert loaded.guides is not None and loaded.guides.names == screen.guides.names
    np.testing.assert_array_equal(loaded.guides.mean, screen.guides.mean)
    one_each = write_cells(tmp_path / "one.h5ad", values, conditions, guide_id=conditions)
    assert read_screen(one_each).guides is None


def test_guides_are_conditions_where_there_are_no_others(tmp_path: Path) -> None:
    values, conditions = random_cells()
    written = {"ctrl": "NegCtrl0_NegCtrl1__NegCtrl0_NegCtrl1", "A+ctrl": "A_NegCtrl0__A_NegCtrl0",
               "ctrl+B": "NegCtrl0_B__NegCtrl0_B", "B+A": "B_A__B_A"}  # fmt: skip
    path = write_cells(tmp_path / "cells.h5ad", values, ["x"] * 60, guide_identity=[written[one] for one in conditions])
    with h5py.File(path, "r+") as file:
        file.move("obs/condition", "obs/other")
        file["obs"].attrs["column-order"] = ["other", "guide_identity"]
    screen = read_screen(path)
    assert screen.perturbations == ("A", "A+B", "B")
    assert screen.settings["conventions"] == ["guide pairs: A_B__A_B is A+B"]
    assert pj.read_cells(screen, ["A"]).expression.shape[0] == int(screen.cell_counts[0] + screen.control.cells)
