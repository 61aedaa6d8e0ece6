"""Data sets against a local server that answers as servers do: whole, cut off, something else, not at all."""

import hashlib
import importlib.util
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from perturb_jax.screen import datasets
from perturb_jax.screen.datasets import CELLS, CHECKSUM, DATASETS, cache_directory, fetch, holding
from perturb_jax.support.errors import InputError
from tests.screen.archive_server import CONTENT, OTHER, PAGE, Server, serving, zipped

PART = "download.zip.part"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with serving() as running:
        yield running


def held(cache: Path) -> set[str]:
    """The files, not the directories, of a cache."""
    return {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}


WHOLE = {f"norman/{CELLS}", f"norman/{CHECKSUM}"}


def refused(cache: Path, mirror: str | None, name: str = "norman") -> str:
    """The message of a fetch that fails: one line."""
    with pytest.raises(InputError) as caught:
        fetch(name, cache, mirror)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_first_copy_is_trusted_and_later_ones_are_verified(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    first = fetch("norman", tmp_path, server.url, lambda done, total: seen.append((done, total)))
    checksum = hashlib.sha256(CONTENT).hexdigest()
    assert first == (tmp_path / "norman" / CELLS, checksum, server.url + "norman.zip", True)
    assert first.path.read_bytes() == CONTENT
    assert (tmp_path / "norman" / CHECKSUM).read_text() == f"{checksum}  {CELLS}\n"
    assert held(tmp_path) == WHOLE
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (len(server.content), len(server.content))
    assert len(seen) > 5
    assert fetch("norman", tmp_path, server.url) == (first.path, checksum, "cache", False)
    assert server.requested == [("/norman.zip", None)]
    assert server.encodings == {"identity"}
    assert holding("norman", tmp_path) == (len(CONTENT), None, checksum)


def test_the_address_is_harvards_a_directory_or_the_archives_own(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "_DATAVERSE", server.url.rstrip("/"))
    for number, mirror in enumerate((None, server.url + "sets/", server.url + "any?token=1")):
        fetch("norman", tmp_path / str(number), mirror)
    expected = ["/api/access/datafile/6154020", "/sets/norman.zip", "/any?token=1"]
    assert [path for path, _ in server.requested] == expected


@pytest.mark.parametrize("then", ["whole", "no ranges"])
def test_a_cut_off_download_is_continued(server: Server, tmp_path: Path, then: str) -> None:
    server.mode = "cut"
    message = refused(tmp_path, server.url)
    half = len(server.content) // 2
    assert held(tmp_path) == {f"norman/{PART}"}
    kept = (tmp_path / "norman" / PART).stat().st_size
    assert half - (1 << 16) <= kept <= half
    assert f"cut off after {kept:,} of {len(server.content):,} bytes" in message
    assert "run the command again to get the rest" in message
    assert holding("norman", tmp_path) == (None, kept, None)
    server.mode = then
    assert fetch("norman", tmp_path, server.url).path.read_bytes() == CONTENT
    assert server.requested[1:] == [("/norman.zip", f"bytes={kept}-")]
    assert held(tmp_path) == WHOLE


@pytest.mark.parametrize("mode", ["whole", "no ranges"])
def test_what_is_put_together_is_the_archive(server: Server, tmp_path: Path, mode: str) -> None:
    (tmp_path / "part").write_bytes(server.content[:1234])
    server.mode = mode
    datasets._download(server.url, tmp_path / "part", "do something else")
    assert (tmp_path / "part").read_bytes() == server.content
    assert held(tmp_path) == {"part"}


def test_a_server_that_sends_less_than_is_requested(server: Server, tmp_path: Path) -> None:
    server.mode = "cut"
    refused(tmp_path, server.url)
    before = (tmp_path / "norman" / PART).stat().st_size
    server.mode = "short range"
    assert f"cut off after {before + 1000:,} of {len(server.content):,} bytes" in refused(tmp_path, server.url)
    server.mode = "whole"
    assert fetch("norman", tmp_path, server.url).path.read_bytes() == CONTENT


def test_a_server_that_stops_sending_is_not_waited_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "_TIMEOUT", (60.0, 3.0))
    server.mode = "stall"
    assert "cut off after" in refused(tmp_path, server.url)
    assert held(tmp_path) == {f"norman/{PART}"}


def test_a_part_that_is_whole_already_is_used(server: Server, tmp_path: Path) -> None:
    (tmp_path / "norman").mkdir()
    (tmp_path / "norman" / PART).write_bytes(server.content)
    assert fetch("norman", tmp_path, server.url).path.read_bytes() == CONTENT
    assert held(tmp_path) == WHOLE


def test_a_part_that_is_longer_than_the_file_is_deleted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "norman").mkdir()
    (tmp_path / "norman" / PART).write_bytes(server.content + b"more")
    assert "run the command again" in refused(tmp_path, server.url)
    assert held(tmp_path) == set()
    assert fetch("norman", tmp_path, server.url).first


def test_the_rest_of_another_file_is_found_out(server: Server, tmp_path: Path) -> None:
    (tmp_path / "norman").mkdir()
    (tmp_path / "norman" / PART).write_bytes(zipped(OTHER)[: len(server.content) // 2])
    message = refused(tmp_path, server.url)
    assert "expected a whole zip archive, got a damaged one" in message
    assert "the download is deleted" in message
    assert held(tmp_path) == set()
    assert fetch("norman", tmp_path, server.url).path.read_bytes() == CONTENT


def test_the_wrong_part_of_a_file_is_refused(server: Server, tmp_path: Path) -> None:
    server.mode = "cut"
    refused(tmp_path, server.url)
    server.mode = "wrong range"
    assert "got bytes 0-" in refused(tmp_path, server.url)
    assert held(tmp_path) == {f"norman/{PART}"}


def test_a_server_that_does_not_say_the_length(server: Server, tmp_path: Path) -> None:
    server.mode = "unknown length"
    seen: list[int | None] = []
    assert fetch("norman", tmp_path, server.url, lambda _, total: seen.append(total)).path.read_bytes() == CONTENT
    assert set(seen) == {None}


@pytest.mark.parametrize(
    ("mode", "got"),
    [(403, "HTTP 403 Forbidden"), (404, "HTTP 404 Not Found"), (500, "HTTP 500"), (202, "HTTP 202 Accepted")],
)
def test_a_refusal_says_what_came_and_what_else_there_is(server: Server, tmp_path: Path, mode: int, got: str) -> None:
    server.mode = mode
    message = refused(tmp_path, server.url + "x?token=secret")
    assert f"{server.url}x: expected the file, got {got}" in message
    assert "mirror=..." in message
    assert f"place it as {tmp_path / 'norman.zip'}" in message
    assert "secret" not in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("content", "got"), [(PAGE, "begins with '<html><head>"), (b"", "got nothing")])
def test_something_else_than_an_archive_is_not_kept(server: Server, tmp_path: Path, content: bytes, got: str) -> None:
    server.content = content
    message = refused(tmp_path, server.url)
    assert "expected a zip archive" in message
    assert got in message
    assert list(tmp_path.iterdir()) == []


def test_no_network(server: Server, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        message = refused(tmp_path, address)
        refused(tmp_path / "new" / "place", address)
    assert "cannot be reached (Connection refused)" in message
    assert "mirror=..." in message
    assert list(tmp_path.iterdir()) == []


def encrypted() -> bytes:
    """An archive whose headers say that it is encrypted."""
    content = bytearray(zipped(CONTENT, CELLS))
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


BAD_ARCHIVES = {
    "no cells": (zipped(CONTENT, "norman/cells.h5ad"), f"exactly one {CELLS} in it, got 0 (it holds norman/cells.h5ad"),
    "twice": (zipped(CONTENT, f"a/{CELLS}", f"b/{CELLS}"), "got 2 (it holds a/"),
    "nothing": (zipped(CONTENT, "x/"), f"exactly one {CELLS}"),
    "a directory": (zipped(CONTENT, f"{CELLS}/"), f"exactly one {CELLS} in it, got 0"),
    "traversal": (zipped(CONTENT, f"../{CELLS}"), f"leads out of the archive, '../{CELLS}'"),
    "traversal beside it": (zipped(CONTENT, CELLS, "a/../../b"), "leads out of the archive, 'a/../../b'"),
    "absolute": (zipped(CONTENT, f"/tmp/{CELLS}"), "leads out of the archive"),  # noqa: S108  in an archive
    "drive": (zipped(CONTENT, CELLS, "C:\\x"), "leads out of the archive"),
    "no HDF5": (zipped(PAGE, CELLS), "expected an .h5ad file (HDF5), got a file that begins with '<html>"),
    "empty cells": (zipped(b"", CELLS), "got an empty file"),
    "cut": (zipped()[:-1000], "expected a whole zip archive, got a damaged one"),
    "changed": (zipped()[:5000] + b"changed" + zipped()[5007:], "expected a whole zip archive, got a damaged one"),
    "encrypted": (encrypted(), "encrypted"),
}


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_bad_archives_are_deleted_if_downloaded_and_left_if_placed_by_hand(
    server: Server, tmp_path: Path, case: str
) -> None:
    server.content, expected = BAD_ARCHIVES[case]
    message = refused(tmp_path, server.url)
    assert expected in message
    assert f"from {server.url}norman.zip: " in message
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "norman.zip").write_bytes(server.content)
    message = refused(tmp_path, server.url)
    assert expected in message
    assert "replace it, or delete it" in message
    assert held(tmp_path) == {"norman.zip"}
    assert len(server.requested) == 1


def test_an_archive_or_a_file_placed_by_hand_is_used(server: Server, tmp_path: Path) -> None:
    (tmp_path / "norman.zip").write_bytes(zipped())
    by_hand = fetch("norman", tmp_path)
    assert by_hand.path.read_bytes() == CONTENT
    assert (by_hand.origin, by_hand.first) == (str(tmp_path / "norman.zip"), True)
    assert held(tmp_path) == WHOLE | {"norman.zip"}
    (tmp_path / "dixit").mkdir()
    (tmp_path / "dixit" / CELLS).write_bytes(CONTENT)
    assert fetch("dixit", tmp_path).first
    assert not fetch("dixit", tmp_path).first
    (tmp_path / "adamson").mkdir()
    (tmp_path / "adamson" / CELLS).write_bytes(PAGE)
    assert "expected an .h5ad file (HDF5)" in refused(tmp_path, None, "adamson")
    assert holding("adamson", tmp_path).sha256 is None
    assert server.requested == []


def test_a_file_that_changed_is_refused_and_left_alone(server: Server, tmp_path: Path) -> None:
    cells = fetch("norman", tmp_path, server.url).path
    cells.write_bytes(OTHER)
    message = refused(tmp_path, server.url)
    for content in (CONTENT, OTHER):
        assert hashlib.sha256(content).hexdigest() in message
    assert "the file has changed" in message
    assert cells.read_bytes() == OTHER
    (tmp_path / "norman" / CHECKSUM).unlink()
    assert fetch("norman", tmp_path).first


def test_another_content_than_the_first_time_is_not_placed(server: Server, tmp_path: Path) -> None:
    fetch("norman", tmp_path, server.url).path.unlink()
    server.content = zipped(OTHER)
    message = refused(tmp_path, server.url)
    assert f"sha256 {hashlib.sha256(CONTENT).hexdigest()}, recorded the first time" in message
    assert held(tmp_path) == {f"norman/{CHECKSUM}"}
    server.content = zipped(CONTENT, CELLS)  # packed anew, the same cells
    assert not fetch("norman", tmp_path, server.url).first
    assert held(tmp_path) == WHOLE


def test_a_record_that_is_none_is_refused(server: Server, tmp_path: Path) -> None:
    fetch("norman", tmp_path, server.url)
    for text in ("", "abc  " + CELLS, "0" * 64 + "  other.h5ad"):
        (tmp_path / "norman" / CHECKSUM).write_text(text)
        assert "delete it to trust the file anew" in refused(tmp_path, server.url)


def test_no_disk_space_is_said_before_unpacking(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    assert f"needs {len(CONTENT):,} bytes, 1,000 are free" in refused(tmp_path, server.url)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be used" in refused(tmp_path / "file", server.url)
    assert "cache=..." in refused(tmp_path / "file" / "below", server.url)
    (tmp_path / "norman" / CELLS).mkdir(parents=True)
    assert "cannot be used (Is a directory)" in refused(tmp_path, server.url)
    (tmp_path / "norman" / CHECKSUM).mkdir()
    with pytest.raises(InputError, match="cannot be used"):
        holding("norman", tmp_path)


def test_the_cache_is_the_given_one_or_the_environments_or_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERTURB_JAX_CACHE", str(tmp_path / "environment"))
    assert cache_directory(tmp_path) == tmp_path
    assert cache_directory() == tmp_path / "environment"
    monkeypatch.setenv("PERTURB_JAX_CACHE", "")
    assert cache_directory().name == "perturb_jax"


@pytest.mark.parametrize("mirror", ["mirror", "ftp://mirror.org/", "http://", "file:///x", "http://[x/"])
def test_a_mirror_is_an_address(tmp_path: Path, mirror: str) -> None:
    assert "mirror: expected an address that begins with http://" in refused(tmp_path, mirror)


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    for name in ("", "Norman", "../norman"):
        assert "expected one of adamson, replogle_k562_essential" in refused(tmp_path, None, name)
    assert list(tmp_path.iterdir()) == []


def test_passwords_are_not_shown() -> None:
    assert datasets.shown("https://me:secret@mirror.org:8080/a/b.zip?token=1#x") == "https://mirror.org:8080/a/b.zip"


@pytest.mark.gears
def test_addresses_are_those_of_cell_gears() -> None:
    found = importlib.util.find_spec("gears")
    if found is None or found.origin is None:
        pytest.skip("needs the reference implementation (pip install 'perturb-jax[gears]')")
    lines = (Path(found.origin).parent / "pertdata.py").read_text().splitlines()
    for name, dataset in DATASETS.items():
        branch = next(number for number, line in enumerate(lines) if f"data_name == '{name}'" in line)
        assert any(dataset.url in line for line in lines[branch : branch + 3]), name
