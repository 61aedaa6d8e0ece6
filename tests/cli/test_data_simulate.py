"""Simulated screens on the command line."""

import json
from pathlib import Path

import pandas as pd

from tests.cli.test_cli import refuses, run
from tests.cli.test_data import data


def test_a_simulated_screen_is_written_and_can_be_read(tmp_path: Path) -> None:
    genes = [f"G{number}" for number in range(40)]
    edges = pd.DataFrame({"source": genes, "target": [*genes[1:], genes[0]], "importance": 1.0})
    edges.to_csv(tmp_path / "edges.csv", index=False)
    (tmp_path / "perturbed.txt").write_text("G1\nG2+G7\nG5\n")
    (tmp_path / "others.txt").write_text("G1\nG2+XYZ\nG5\n")
    simulate = data("simulate", "--graph", "edges.csv", "--genes", "30", "--cells", "20", "--perturbations")
    results = run(tmp_path, [*simulate, "perturbed.txt", "--out", "a/named.h5ad"],
                  [*simulate, "4", "--control-cells", "50", "--out", "drawn.h5ad", "--quiet"],
                  data("check", "a/named.h5ad", "--json"), data("check", "drawn.h5ad", "--json"),
                  [*simulate, "others.txt", "--out", "fewer.h5ad", "--unknown", "drop"])  # fmt: skip
    named, drawn, named_check, drawn_check, fewer = results
    assert [result.code for result in results] == [0] * 5, results
    assert "Simulated screen(2 perturbations" in fewer.out and "left out 1 perturbations" in fewer.out
    assert "Simulated screen(3 perturbations x 30 genes" in named.out
    assert f"wrote {Path('a') / 'named.h5ad'}" in named.out
    assert drawn.out == ""
    record = json.loads(named_check.out)
    assert (record["perturbations"], record["combinations"], record["genes"]) == (3, 1, 30)
    assert (record["perturbed cells"], record["control cells"]) == (60, 200)
    record = json.loads(drawn_check.out)
    assert (record["perturbations"], record["control cells"]) == (4, 50)


def test_bad_input_is_one_line_exit_code_2_and_nothing_written(tmp_path: Path) -> None:
    (tmp_path / "cells.h5ad").write_text("")
    (tmp_path / "edges.csv").write_text("source,target,importance\nA,B,1\nB,C,1\n")
    (tmp_path / "others.txt").write_text("A\nXYZ\n")
    on_edges = ["--graph", "edges.csv", "--perturbations", "2", "--genes", "3", "--out", "x.h5ad"]
    cases = {
        "a number": (
            data("simulate", "--genes", "x", "--out", "x.h5ad"),
            "--genes: expected a whole number of at least 1, or a file, got 'x'",
        ),
        "none": (data("simulate", "--perturbations", "0", "--out", "x.h5ad"), "at least 1, or a file, got '0'"),
        "a name": (data("simulate", "--out", "x.csv"), "--out: expected a file that ends with .h5ad, got x.csv"),
        "nowhere": (data("simulate", "--out", ""), "--out: expected a file that ends with .h5ad"),
        "is there": (data("simulate", "--out", "cells.h5ad"), "already holds cells.h5ad"),
        "below a file": (data("simulate", "--out", "cells.h5ad/x.h5ad"), "cannot be written"),
        "homophily": (data("simulate", "--homophily", "2", *on_edges), "homophily: expected"),
        "seed": (data("simulate", *on_edges, "--seed", "-1"), "seed: expected a whole number of at least 0, got -1"),
        "unknown": (
            data("simulate", *on_edges, "--perturbations", "others.txt"),
            "leave unknown genes out with --unknown drop",
        ),
        "too many": (data("simulate", *on_edges, "--genes", "9"), "genes: expected 2, the perturbed ones, to 3"),
    }
    refuses(tmp_path, cases)
