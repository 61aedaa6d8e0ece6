"""Files appear whole or not at all."""

import tempfile
from pathlib import Path

import pytest

import perturb_jax as pj
from perturb_jax.support.files import OutputDirectory, checksums, sha256_of


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
    with pytest.raises(pj.InputError, match="already holds x; choose another directory, or force=True"):
        OutputDirectory(tmp_path, ["x"])
    OutputDirectory(tmp_path, ["x"], force=True).write({"x": b"2"})
    assert (tmp_path / "x").read_bytes() == b"2"
    assert (tmp_path / "notes").read_text() == "mine"


def test_files_that_are_not_written_again_are_removed(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    OutputDirectory(tmp_path, ["x", "y"]).write({"x": b"1", "y": b"1"})
    OutputDirectory(tmp_path, ["x", "y"], force=True).write({"x": b"2"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "x"]


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


def test_a_directory_that_exists_is_written_from_inside_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parent may be another file system (a mounted volume, a linked directory) or not be writable."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    places = []
    make = tempfile.mkdtemp

    def remember(suffix: str | None = None, prefix: str | None = None, dir: Path | None = None) -> str:  # noqa: A002
        places.append(dir)
        return make(suffix, prefix, dir)

    monkeypatch.setattr(tempfile, "mkdtemp", remember)
    OutputDirectory(tmp_path / "link", ["x"]).write({"x": b"1"})
    assert places == [tmp_path / "link"] * 2
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["x"]


def test_a_new_directory_appears_with_all_files_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        OutputDirectory(tmp_path / "out", ["x", "y"]).write({"x": b"1", "y": b"2"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("empty", [True, False])
def test_of_two_writers_the_second_needs_force(tmp_path: Path, empty: bool) -> None:
    if empty:
        (tmp_path / "out").mkdir()
    first, second = (OutputDirectory(tmp_path / "out", ["x"]) for _ in range(2))
    first.write({"x": b"1"})
    with pytest.raises(pj.InputError, match="appeared meanwhile"):
        second.write({"x": b"2"})
    assert (tmp_path / "out" / "x").read_bytes() == b"1"


def test_a_part_of_the_files_is_enough_to_need_force(tmp_path: Path) -> None:
    (tmp_path / "y").write_text("")
    with pytest.raises(pj.InputError, match="already holds y"):
        OutputDirectory(tmp_path, ["x", "y"])


def test_a_directory_in_a_file_s_place_is_refused_before_anything_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(pj.InputError, match="would replace a directory"):
        OutputDirectory(tmp_path, ["w", "x"], force=True)


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(pj.InputError, match="cannot be written"):
        OutputDirectory(tmp_path / ("x" * 300), ["x"])


def test_a_pipe_has_no_checksum(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    record = checksums({"a": tmp_path / "file", "b": Path("/dev/null"), "c": None})
    assert record["a"]["sha256"] is not None
    assert record["b"]["sha256"] is None
    assert "c" not in record
