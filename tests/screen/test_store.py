"""Screens survive a file, which scanpy users can open."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.screen import Moments, Screen
from perturb_jax.screen.store import load_screen, save_screen
from perturb_jax.support.cell_files import SCREEN_KEY
from tests.screen_oracles import random_cells, write_cells


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    """A small screen."""
    return read_screen(write_cells(tmp_path / "cells.h5ad", *random_cells()), min_correlation=0.1)


def assert_same(one: Screen, other: Screen) -> None:
    """Every field is the same, to the bit."""
    for field in dataclasses.fields(Screen):
        before, after = getattr(one, field.name), getattr(other, field.name)
        if field.name == "coexpression":
            assert before.genes == after.genes
            assert before.provenance == after.provenance
            for part in ("senders", "receivers", "weights"):
                np.testing.assert_array_equal(getattr(before, part), getattr(after, part))
        elif isinstance(before, np.ndarray | Moments):
            for ours, theirs in zip(before, after, strict=True):
                np.testing.assert_array_equal(ours, theirs)
                assert ours.dtype == theirs.dtype
        else:
            assert before == after


def test_a_saved_screen_is_the_same_screen(screen: Screen, tmp_path: Path) -> None:
    assert screen.coexpression.num_edges > 20
    assert_same(screen, load_screen(save_screen(screen, tmp_path / "new" / "screen.h5ad")))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["screen.h5ad"]


def test_a_screen_without_cells_is_saved_too(screen: Screen, tmp_path: Path) -> None:
    screen = dataclasses.replace(screen, source=None, settings={"seed": np.int64(3), "noise": 0.5})
    loaded = load_screen(save_screen(screen, tmp_path / "screen.h5ad"))
    assert loaded.source is None
    assert loaded.settings == {"seed": 3, "noise": 0.5}


def test_anndata_opens_it_with_a_row_per_perturbation(screen: Screen, tmp_path: Path) -> None:
    table = anndata.read_h5ad(save_screen(screen, tmp_path / "screen.h5ad"))
    assert tuple(table.obs_names) == screen.perturbations
    assert tuple(table.var_names) == screen.readouts
    np.testing.assert_array_equal(table.X, screen.mean)
    np.testing.assert_array_equal(table.layers["fourth"], screen.perturbed.fourth)
    np.testing.assert_array_equal(table.var["control_mean"], screen.control_mean)
    assert table.varp["coexpression"].shape == (12, 12)


def test_a_file_is_replaced_only_when_asked_to(screen: Screen, tmp_path: Path) -> None:
    path = save_screen(screen, tmp_path / "screen.h5ad")
    with pytest.raises(pj.InputError, match="exists already"):
        save_screen(screen, path)
    save_screen(screen, path, force=True)
    with pytest.raises(pj.InputError, match=r"ends with \.h5ad"):
        save_screen(screen, tmp_path / "screen.h5")
    with pytest.raises(pj.InputError, match="cannot be written"):
        save_screen(screen, path / "screen.h5ad")
    with pytest.raises(pj.InputError, match="settings: expected plain values, got set"):
        save_screen(dataclasses.replace(screen, settings={"genes": {"A"}}), tmp_path / "other.h5ad")
    assert not (tmp_path / "other.h5ad").exists()


def test_a_saved_screen_is_not_read_as_cells(screen: Screen, tmp_path: Path) -> None:
    with pytest.raises(pj.InputError, match="got a saved screen; open it with load_screen"):
        read_screen(save_screen(screen, tmp_path / "screen.h5ad"))


def test_other_files_are_refused(screen: Screen, tmp_path: Path) -> None:
    assert screen.source is not None
    with pytest.raises(pj.InputError, match="not a saved screen; read cells with read_screen"):
        load_screen(screen.source)
    with pytest.raises(pj.InputError, match="no such file"):
        load_screen(tmp_path / "absent.h5ad")
    path = save_screen(screen, tmp_path / "screen.h5ad")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(pj.InputError, match="truncated"):
        load_screen(path)


def _text(text: str) -> Callable[[h5py.File], None]:
    def write(file: h5py.File) -> None:
        del file["uns"][SCREEN_KEY]
        anndata.io.write_elem(file["uns"], SCREEN_KEY, text)

    return write


def _value(name: str, value: float) -> Callable[[h5py.File], None]:
    def write(file: h5py.File) -> None:
        file[name][0] = value

    return write


def _zero(file: h5py.File) -> None:
    file["X"][:] = 0
    file["var/control_mean"][:] = 0


def _cut(file: h5py.File) -> None:
    part = file["layers/third"][:, 1:]
    del file["layers"]["third"]
    anndata.io.write_elem(file["layers"], "third", part)


def _without(name: str) -> Callable[[h5py.File], None]:
    def delete(file: h5py.File) -> None:
        del file[name]

    return delete


DAMAGE: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "no JSON": (_text('{"version": 1, "sour'), r"a damaged saved screen \(uns\['.*'\] is no JSON\); read"),
    "a number": (_text("3"), "has no version"),
    "no version": (_text("{}"), "has no version"),
    "another version": (_text('{"version": 9}'), "expected version 1 of saved screens, got 9"),
    "nothing else": (_text('{"version": 1}'), r"a damaged saved screen"),
    "settings": (
        _text('{"version": 1, "control_count": 1, "source": null, "settings": 3, "coexpression": {"x": 1}}'),
        "a damaged saved screen",
    ),
    "NaN": (_value("X", np.nan), "mean holds values that are no finite numbers"),
    "infinite": (_value("layers/fourth", np.inf), "fourth holds values that are no finite numbers"),
    "control": (_value("var/control_mean", np.nan), "control_mean holds values that are no finite numbers"),
    "shape": (_cut, "a damaged saved screen"),
    "DE genes": (_value("obsm/de_genes", 99), "de_genes are no columns of genes"),
    "missing": (_without("layers/variance"), "a damaged saved screen"),
    "all 0": (_zero, "all means of this saved screen are 0"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_screens_are_refused(screen: Screen, tmp_path: Path, name: str) -> None:
    path = save_screen(screen, tmp_path / "screen.h5ad")
    damage, message = DAMAGE[name]
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(pj.InputError, match=message):
        load_screen(path)
