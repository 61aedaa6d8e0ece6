"""On a disk that is full every writer says so in a line, and leaves nothing there."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.evaluation.trial import fit_and_measure
from perturb_jax.experiment.store import write_json
from perturb_jax.predictors.gears_flax.checkpoint import write_checkpoint
from perturb_jax.support.errors import InputError, OutputError
from perturb_jax.support.files import OutputDirectory, whole_file
from perturb_jax.support.hdf5 import whole_hdf5
from tests.disks import nearly_full

GENES = list("ABCDEF")


@pytest.fixture(scope="module")
def graph() -> pj.KnowledgeGraph:
    return pj.graph_from_edges(pd.DataFrame({"source": GENES, "target": GENES[1:] + GENES[:1], "importance": 1.0}))


@pytest.fixture(scope="module")
def screen(graph: pj.KnowledgeGraph) -> pj.Screen:
    return pj.simulate_screen(graph, GENES, [*GENES, *map(str, range(400))], 20)


def _hdf5(path: Path) -> None:
    with whole_hdf5(path) as (file, _):
        file["numbers"] = np.arange(100_000)


def _text(path: Path) -> None:
    with whole_file(path) as whole:
        whole.write_bytes(bytes(100_000))


WRITERS: dict[str, Callable[[Path, pj.KnowledgeGraph, pj.Screen], object]] = {
    "a file": lambda path, *_: _text(path),
    "an HDF5 file": lambda path, *_: _hdf5(path),
    "a directory": lambda path, *_: OutputDirectory(path, ["x"]).write({"x": bytes(100_000)}),
    "a screen": lambda path, _, screen: pj.save_screen(screen, path.with_suffix(".h5ad")),
    "simulated cells": lambda path, graph, _: pj.simulate_screen(graph, GENES, GENES, 500, path=path),
    "a fitted predictor": lambda path, graph, screen: (
        pj.GraphGP().fit(screen, graph, GENES[:4], [], 0).save(path.with_suffix(".npz"))
    ),
    "a checkpoint": lambda path, *_: write_checkpoint(path, "", {"numbers": np.arange(100_000)}),
    "a record": lambda path, *_: write_json(path, {"numbers": list(range(100_000))}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_said_and_nothing_is_left(
    name: str, tmp_path: Path, graph: pj.KnowledgeGraph, screen: pj.Screen
) -> None:
    with nearly_full(5000), pytest.raises(OutputError, match=r"cannot be written \(File too large\); make room there"):
        WRITERS[name](tmp_path / "new", graph, screen)
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old")
    with nearly_full(5000), pytest.raises(OutputError):
        _hdf5(path)
    assert path.read_bytes() == b"old"
    assert [other.name for other in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("room", [0, 1000, 3000, 100_000, 700_000])
def test_an_hdf5_file_can_be_closed_wherever_the_disk_ends(room: int, tmp_path: Path) -> None:
    """HDF5 alone cannot, and crashes when the process ends."""
    with nearly_full(room), pytest.raises(OutputError), whole_hdf5(tmp_path / "x") as (file, check):
        for part in range(20):
            file.create_dataset(f"a/{part}", data=np.arange(10_000) + part, chunks=(1000,), compression="gzip")
        assert file["a/3"][:5].tolist() == [3, 4, 5, 6, 7]
        check()
        file["b"] = np.zeros(100_000)
    assert list(tmp_path.iterdir()) == []


def test_a_whole_hdf5_file_is_what_was_written(tmp_path: Path) -> None:
    with whole_hdf5(tmp_path / "x") as (file, check):
        file["a/b"] = np.arange(100_000)
        check()
    with h5py.File(tmp_path / "x") as file:
        np.testing.assert_array_equal(file["a/b"][:], np.arange(100_000))


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"File name too long\); choose a shorter name"):
        OutputDirectory(tmp_path / ("x" * 300), ["x"])
    with pytest.raises(InputError, match="choose a shorter name"):
        _text(tmp_path / ("x" * 300))


def test_a_home_directory_is_found_where_no_shell_has_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (written,) = OutputDirectory("~/out", ["x"]).write({"x": b"1"})
    with whole_file(Path("~/y")) as whole:
        whole.write_bytes(b"2")
    assert written == tmp_path / "out" / "x"
    assert (tmp_path / "y").read_bytes() == b"2"


def test_predictions_need_no_room_but_their_own(graph: pj.KnowledgeGraph, screen: pj.Screen, tmp_path: Path) -> None:
    from perturb_jax.evaluation.report import trial_files

    split = pj.Split(("A", "B", "C"), ("D",), ("E", "F"), 0)
    trial = fit_and_measure(screen, graph, pj.GraphGP(), split, 0)
    with nearly_full(100):
        contents = trial_files(screen, trial, {})
    (tmp_path / "p.h5ad").write_bytes(contents["predictions.h5ad"])
    assert h5py.is_hdf5(tmp_path / "p.h5ad")
