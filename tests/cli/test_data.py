"""Screens on the command line, as a user runs it, against a local server."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from perturb_jax.screen.datasets import CELLS, DATASETS
from perturb_jax.support.cell_files import SCREEN_KEY
from tests.cli.test_cli import refuses, run
from tests.screen.archive_server import CONTENT, Server, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with serving() as running:
        yield running


def data(command: str, *options: str) -> list[str]:
    return ["data", command, *options]


def test_a_data_set_is_listed_fetched_verified_and_listed_again(server: Server, tmp_path: Path) -> None:
    here = ["--cache", "screens"]
    fetch = data("fetch", "norman", "--mirror", server.url, *here)
    results = run(tmp_path, data("list", *here), fetch, fetch, [*fetch, "--quiet"], data("list", *here, "--json"),
                  data("list", *here))  # fmt: skip
    before, first, again, quiet, listed, after = results
    assert [result.code for result in results] == [0] * 6, results
    for dataset in DATASETS.values():
        assert f"{dataset.name}  (not here)" in before.out
        assert dataset.citation in before.out
        assert f"licence: see {dataset.page}" in before.out
    cells = Path("screens") / "norman" / CELLS
    assert first.out == again.out == quiet.out == f"{cells}\n"
    assert f"norman: 0.7 MB, unpacked from {server.url}norman.zip" in first.err
    assert "recorded now and trusted from here on" in first.err
    assert "found in the cache" in again.err
    assert "(as recorded)" in again.err
    assert quiet.err == ""
    assert (tmp_path / cells).read_bytes() == CONTENT
    entry = next(entry for entry in json.loads(listed.out) if entry["name"] == "norman")
    assert entry["bytes on disk"] == len(CONTENT)
    assert entry["sha256"] in first.err
    assert "norman  (0.7 MB on disk)" in after.out
    assert len(server.requested) == 1


def test_a_cut_off_download_is_continued(server: Server, tmp_path: Path) -> None:
    fetch = data("fetch", "norman", "--mirror", server.url, "--cache", ".")
    server.mode = "cut"
    cut, listed = run(tmp_path, fetch, data("list", "--cache", "."))
    assert cut.code == 2
    assert "run the command again to get the rest" in cut.err
    assert "norman  (cut off after 0.3 MB: fetch continues)" in listed.out
    server.mode = "whole"
    (rest,) = run(tmp_path, fetch)
    assert rest.code == 0
    assert (tmp_path / "norman" / CELLS).read_bytes() == CONTENT
    assert server.requested[1][1] is not None


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Cells of two perturbations and of control, in each of two data sets."""
    genes = [f"G{number}" for number in range(30)]
    conditions = np.repeat(["ctrl", "G1+ctrl", "G1+G2"], 20)
    obs = pd.DataFrame({"condition": np.tile(conditions, 2), "dataset": np.repeat(["one", "two"], 60)})
    obs.index = obs.index.astype(str)
    values = np.log1p(np.random.default_rng(0).gamma(1.0, size=(120, 30))).astype(np.float32)
    var = pd.DataFrame({"gene_name": genes}, index=[f"ENSG{number}" for number in range(30)])
    path = tmp_path / "cells.h5ad"
    anndata.AnnData(values, obs, var).write_h5ad(path)
    return path


def test_a_file_of_cells_is_checked(cells: Path) -> None:
    check = data("check", "cells.h5ad")
    results = run(cells.parent, check, [*check, "--where", "dataset=one", "--json"], [*check, "--quiet"])
    printed, part, quiet = results
    assert [result.code for result in results] == [0] * 3, results
    assert "cells.h5ad: can be used" in printed.out
    assert "perturbations: 2" in printed.out
    assert "control cells: 40" in printed.out
    record = json.loads(part.out)
    assert (record["perturbations"], record["combinations"], record["genes"]) == (2, 1, 30)
    assert (record["perturbed cells"], record["control cells"]) == (40, 20)
    assert quiet.out == ""


def test_several_cell_types_are_not_simply_usable(cells: Path) -> None:
    table = anndata.read_h5ad(cells)
    table.obs["cell_type"] = np.where(table.obs["dataset"] == "one", "K562", "RPE1")
    table.write_h5ad(cells)
    check = data("check", "cells.h5ad")
    printed, part, record, sole = run(cells.parent, check, [*check, "--where", "cell_type=K562"], [*check, "--json"],
                                      [*check, "--where", "cell_type=K562", "--json"])  # fmt: skip
    assert [result.code for result in (printed, part, record, sole)] == [0] * 4
    first = printed.out.splitlines()[0]
    assert first.startswith("cells.h5ad: read, but it has 2 cell types (K562, RPE1): effects are against their control")
    assert ("--where cell_type=" in first or "where={'cell_type': ...}" in first) and "can be used" not in printed.out
    assert "cells.h5ad: can be used" in part.out and "pooled" not in part.out
    assert json.loads(record.out)["caution"] in first
    assert json.loads(sole.out)["caution"] == ""


def test_bad_input_is_one_line_exit_code_2_and_nothing_written(server: Server, cells: Path) -> None:
    directory = cells.parent
    (directory / "page.h5ad").write_text("<html>")
    for name, text in (("saved", "{"), ("empty", '{"version": 1}')):
        anndata.AnnData(np.ones((2, 3)), uns={SCREEN_KEY: text}).write_h5ad(directory / f"{name}.h5ad")
    silent = anndata.read_h5ad(cells)
    silent.X = 0 * silent.X
    silent.write_h5ad(directory / "silent.h5ad")
    (directory / "other").mkdir()
    (directory / "other" / "norman.zip").write_text("<html>")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        server.mode = 403
        cases = {
            "no such data set": (data("fetch", "xyz"), "data set: expected one of adamson, replogle_k562_essential"),
            "mirror": (data("fetch", "norman", "--mirror", "x"), "mirror: expected an address"),
            "403": (data("fetch", "norman", "--cache", ".", "--mirror", server.url), "got HTTP 403 Forbidden"),
            "no network": (data("fetch", "norman", "--cache", ".", "--mirror", nobody), "cannot be reached"),
            "by hand": (data("fetch", "norman", "--cache", "other"), "expected a whole zip archive"),
            "cache is a file": (data("fetch", "norman", "--cache", "page.h5ad"), "choose another directory"),
            "missing file": (data("check", "none.h5ad"), "none.h5ad"),
            "no cells": (data("check", "page.h5ad"), "page.h5ad"),
            "damaged": (data("check", "saved.h5ad"), "saved.h5ad: a damaged saved screen (uns['perturb_jax_screen']"),
            "no screen": (data("check", "empty.h5ad"), "empty.h5ad: a damaged saved screen ('cell_counts'); read"),
            "all 0": (data("check", "silent.h5ad"), "silent.h5ad: all values of these cells are 0; expected"),
            "where": (data("check", "cells.h5ad", "--where", "one"), "--where: expected COLUMN=VALUE, got 'one'"),
            "no such column": (data("check", "cells.h5ad", "--condition", "xyz"), "xyz"),
            "no such command": (data("get"), "No such command 'get'"),
        }
        refuses(directory, cases)
