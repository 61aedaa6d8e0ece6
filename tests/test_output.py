"""Files appear whole or not at all."""

from pathlib import Path

import pytest

import perturb_jax as pj
from perturb_jax.output import OutputDirectory, sha256_of


def test_files_appear_in_a_new_directory_and_nothing_else(tmp_path: Path) -> None:
    paths = OutputDirectory(tmp_path / "a" / "b", ["x", "y"]).write({"x": b"1", "y": b"2"})
    assert [path.read_bytes() for path in paths] == [b"1", b"2"]
    assert sorted(path.name for path in (tmp_path / "a").rglob("*")) == ["b", "x", "y"]


def test_checking_writes_nothing(tmp_path: Path) -> None:
    OutputDirectory(tmp_path / "a" / "b", ["x"])
    assert list(tmp_path.iterdir()) == []


def test_other_files_stay_and_own_files_need_force(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    OutputDirectory(tmp_path, ["x"]).write({"x": b"1"})
    with pytest.raises(pj.InputError, match="already holds x; choose another directory or --force"):
        OutputDirectory(tmp_path, ["x"])
    OutputDirectory(tmp_path, ["x"], force=True).write({"x": b"2"})
    assert (tmp_path / "x").read_bytes() == b"2"
    assert (tmp_path / "notes").read_text() == "mine"


def test_a_failure_while_writing_leaves_old_files_whole_and_no_rest(tmp_path: Path) -> None:
    directory = tmp_path / "out"
    OutputDirectory(directory, ["x"]).write({"x": b"old"})
    with pytest.raises(TypeError):
        OutputDirectory(directory, ["x", "y"], force=True).write({"x": b"new", "y": None})  # type: ignore[dict-item]
    assert (directory / "x").read_bytes() == b"old"
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "x"]


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_place_that_is_no_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(pj.InputError, match="cannot be written"):
        OutputDirectory(tmp_path / name, ["x"])


def test_checksum(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
