"""The command line as a user runs it: in a process of its own, with real files."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.support.figures import DEGREE, SELECTION
from tests.pictures import colours

ROOT = Path(__file__).parents[2]


class Result(NamedTuple):
    code: object
    out: str
    err: str


def run(directory: Path, *commands: list[str]) -> list[Result]:
    """Run command lines in `directory`, in one fresh process."""
    process = subprocess.run(
        [sys.executable, ROOT / "tests" / "run_commands.py"],
        cwd=directory, input=json.dumps(commands), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [Result(**result) for result in json.loads(process.stdout)]


def snapshot(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else b"" for path in directory.rglob("*")
    }


def refuses(directory: Path, cases: Mapping[str, tuple[list[str], str]]) -> None:
    """Each command ends with code 2 and one line on standard error that holds its message; nothing is written."""
    before = snapshot(directory)
    results = run(directory, *(command for command, _ in cases.values()))
    for (name, (_, message)), result in zip(cases.items(), results, strict=True):
        assert result.code == 2, (name, result)
        assert result.err.startswith("perturb-jax: error: "), (name, result)
        assert result.err.count("\n") == 1, (name, result)
        assert message in result.err, (name, result)
        assert result.out == "", (name, result)
    assert snapshot(directory) == before


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that users have, good and bad."""
    directory = tmp_path_factory.mktemp("inputs")
    edge = "source,target,importance\n"
    texts = {
        "genes.txt": "TP53\nMDM2\nGATA1\nMYC\nAARS\n", "one.txt": "TP53\n", "empty.txt": "",
        "universe.txt": "TP53\nMDM2\nGATA1\nMYC\nAARS\nKLF1\nEPRS1\nQARS1\n",
        "unknown.txt": "TP53\nFOOBAR\n", "ambiguous.txt": "QARS\n", "twice.txt": "TP53\nTP53\n",
        "blank.txt": "TP53\n\nMYC\n", "combination.txt": "TP53+\n", "columns.csv": "a,b\n1,2\n",
        "few.csv": "source,target\nTP53,MYC\n", "edges.csv": edge + "TP53,MYC,0.5\nMDM2,GATA1,1\n",
        "nan.csv": edge + "TP53,MYC,nan\n", "negative.csv": edge + "TP53,MYC,-1\n", "inf.csv": edge + "TP53,MYC,inf\n",
        "apart.csv": edge + "TP53,X,1\nMYC,X,1\nMDM2,X,1\nGATA1,X,1\nAARS,X,1\n", "file": "",
    }  # fmt: skip
    for name, text in texts.items():
        (directory / name).write_text(text)
    for name in ("binary.txt", "binary.csv", "binary.h5ad"):
        (directory / name).write_bytes(np.random.default_rng(0).bytes(400))
    return directory


def select(candidates: str = "genes.txt", budget: str = "2", *options: str, out: str = "out") -> list[str]:
    small = [] if "--graph" in options else ["--universe", "universe.txt"]
    return ["select", "--candidates", candidates, "--budget", budget, "--out", out, *options, *small]


BAD_INPUT = {
    "missing file": (select("none.txt"), "none.txt: no such file"),
    "empty file": (select("empty.txt"), "empty.txt: the file is empty"),
    "binary text": (select("binary.txt"), "binary.txt: not a text file"),
    "binary table": (select("binary.csv"), "binary.csv: not a readable text file"),
    "binary cells": (select("binary.h5ad"), "binary.h5ad: not a readable .h5ad file: it is no HDF5 file"),
    "directory": (select("."), "cannot be read"),
    "unknown gene": (select("unknown.txt"), "1 gene not in the graph: 'FOOBAR'"),
    "ambiguous gene": (select("ambiguous.txt", "1"), "QARS (now EPRS1 or QARS1)"),
    "duplicate gene": (select("twice.txt"), "given more than once: TP53"),
    "blank gene": (select("blank.txt"), "line 2 is blank"),
    "wrong columns": (select("columns.csv"), "which column holds the gene names"),
    "edge columns": (select("genes.txt", "2", "--graph", "few.csv"), "importance missing"),
    "weight NaN": (select("genes.txt", "2", "--graph", "nan.csv"), "finite number > 0, got 'nan' in row 1"),
    "weight negative": (select("genes.txt", "2", "--graph", "negative.csv"), "finite number > 0, got '-1'"),
    "weight infinite": (select("genes.txt", "2", "--graph", "inf.csv"), "finite number > 0, got 'inf'"),
    "malformed combination": (select("combination.txt", "1"), "malformed combination 'TP53+'"),
    "budget 0": (select("genes.txt", "0"), "at least 1, got 0"),
    "budget negative": (select("genes.txt", "-3"), "at least 1, got -3"),
    "budget too large": (select("genes.txt", "6"), "6 picks are wanted, but only 5 candidates"),
    "budget no number": (select("genes.txt", "x"), "Invalid value for '--budget'"),
    "hops 0": (select("genes.txt", "2", "--hops", "0"), "hops: expected a whole number of at least 1, got 0"),
    "hops of a path that is too long for a kernel": (
        select("genes.txt", "2", "--hops", str(2**70)),
        "expected at most 1,000 for a kernel",
    ),
    "hops of a path that is too long for any graph": (
        select("genes.txt", "9", "--strategy", "graphreach", "--hops", str(2**70)),
        "9 picks are wanted",
    ),
    "seed": (select("genes.txt", "2", "--seed", "-1"), "seed: expected a whole number of at least 0, got -1"),
    "nothing left": (
        select("unknown.txt", "1", "--already-tested", "one.txt", "--unknown", "drop"),
        "none can be picked",
    ),
    "column of no table": (
        ["select", "--candidates-go", "GO:0003700", "--column", "x", "--budget", "1", "--out", "out"],
        "--column: expected a table",
    ),
    "name too long": (select(out="x" * 300), "cannot be written"),
    "direction": (select("genes.txt", "2", "--direction", "up"), "direction: expected one of in, out, both, got 'up'"),
    "strategy": (select("genes.txt", "2", "--strategy", "x"), "strategy: expected one of graphreach"),
    "unknown what": (select("genes.txt", "2", "--unknown", "x"), "--unknown: expected one of error, drop, got 'x'"),
    "cycles": (select("genes.txt", "2", "--cycles", "3"), "cycles: expected a whole number from 1"),
    "neighbors": (select("genes.txt", "2", "--neighbors", "0"), "--neighbors: expected a whole number"),
    "min-jaccard": (
        select("genes.txt", "2", "--min-jaccard", "1"),
        "--min-jaccard: expected a finite",
    ),
    "namespaces": (select("genes.txt", "2", "--namespaces", "BP,XX"), "got 'XX'"),
    "evidence": (select("genes.txt", "2", "--evidence", "IDA"), "need --annotation"),
    "rules for edges": (
        select("genes.txt", "2", "--graph", "edges.csv", "--neighbors", "5"),
        "--neighbors: a finished",
    ),
    "two graphs": (select("genes.txt", "2", "--graph", "edges.csv", "--annotation", "x"), "got both"),
    "GO term": (["select", "--candidates-go", "GO:9", "--budget", "1", "--out", "out"], "GO term 'GO:9' is not in"),
    "no candidates": (["select", "--budget", "1", "--out", "out"], "got neither"),
    "output nowhere": (select(out=""), "--out: expected a directory to write to, got ''"),
    "output is blank": (select(out=" "), "--out: expected a directory to write to, got ' '"),
    "output is a file": (select(out="file"), "file: cannot be written"),
    "output below a file": (select(out="file/x"), "cannot be written"),
    "must and exclude": (
        select("genes.txt", "2", "--must-include", "one.txt", "--exclude", "one.txt"),
        "TP53: in both --must-include and --exclude",
    ),
    "option of another strategy": (select("genes.txt", "2", "--sense", "max"), "sense: not an option of"),
    "normalization": (
        select("genes.txt", "2", "--strategy", "maxspec", "--normalization", "none"),
        "normalization: expected one of graph, subgraph, got 'none'",
    ),
    "subgraph on a symmetric graph": (
        select("genes.txt", "2", "--strategy", "maxspec", "--normalization", "subgraph", "--symmetric"),
        "has norm 1 for every selection",
    ),
    "no such option": (select("genes.txt", "2", "--fast"), "No such option: --fast"),
    "no budget": (["select", "--candidates", "genes.txt", "--out", "out"], "Missing option '--budget'"),
    "no such command": (["choose"], "No such command 'choose'"),
    "export nowhere": (["graph", "--export"], "--export: expected a directory"),
    "graph nowhere": (["graph", "--out", ""], "--out: expected a directory to write to, got ''"),
    "graph of unknown what": (["graph", "--unknown", "x"], "--unknown: expected one of error, drop, got 'x'"),
}


def test_bad_input_is_one_line_exit_code_2_and_nothing_written(inputs: Path) -> None:
    refuses(inputs, BAD_INPUT)


@pytest.fixture(scope="module")
def chosen(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The README's demonstration, in a shell's process."""
    directory = tmp_path_factory.mktemp("demo")
    command = Path(sys.executable).with_name("perturb-jax")
    process = subprocess.run(
        [command, "select", "--candidates-go", "GO:0003700", "--budget", "100", "--out", "demo"],
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return directory / "demo", Result(process.returncode, process.stdout, process.stderr)


def test_demo_writes_a_ranked_list_that_the_library_makes_too(chosen: tuple[Path, Result]) -> None:
    directory, result = chosen
    assert result.code == 0, result.err
    files = {"picks.csv", "picks.json", "picks.png", "targets.csv"}
    assert {path.name for path in directory.iterdir()} == files
    assert all(str(Path("demo") / name) in result.out for name in files)
    table = pd.read_csv(directory / "picks.csv")
    graph = pj.load_go_graph()
    factors = pj.human_annotation().genes_with("GO:0003700")
    picks = pj.graphdesign(graph, factors, 100)
    assert table["gene"].tolist() == list(picks.genes)
    assert table["explained"].tolist() == pytest.approx(picks.values.tolist(), abs=1e-6)
    assert table["cycle"].value_counts().tolist() == [20] * 5
    covered = np.asarray(pj.reach(graph, table["gene"])).any(0).sum()
    assert table["covered"].iloc[-1] == covered
    assert f"100 picks reach {covered:,} of 20,728 genes" in result.out


def test_graphreach_by_name_is_the_librarys_too(tmp_path: Path) -> None:
    options = ["--candidates-go", "GO:0003700", "--budget", "100", "--strategy", "graphreach", "--out", "plan"]
    [result] = run(tmp_path, ["select", *options])
    assert result.code == 0, result.err
    table = pd.read_csv(tmp_path / "plan" / "picks.csv")
    picks = pj.graphreach(pj.load_go_graph(), pj.human_annotation().genes_with("GO:0003700"), 100)
    assert table["gene"].tolist() == list(picks.genes)
    assert table["covered"].tolist() == picks.values.tolist()
    assert table["bound"].tolist() == picks.bounds.tolist()


def test_record_makes_every_number_traceable(chosen: tuple[Path, Result]) -> None:
    directory, _ = chosen
    record = json.loads((directory / "picks.json").read_text())
    assert record["settings"]["candidates-go"] == "GO:0003700"
    assert record["settings"]["cycles"] == 5
    assert record["graph"]["annotation sha256"] == pj.human_annotation().metadata["sha256"]
    assert record["versions"]["perturb_jax"] == pj.__version__
    assert len(record["picks"]) == 100
    assert record["result"]["covered"] == record["picks"][-1]["covered"]
    assert len(record["result"]["random"]["covered"]) == len(record["result"]["random"]["seeds"]) == 20


def test_picture_is_a_png_of_print_size(chosen: tuple[Path, Result]) -> None:
    content = (chosen[0] / "picks.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = (int.from_bytes(content[start : start + 4]) for start in (16, 20))
    assert width >= 1500
    assert height >= 600


def test_a_whole_session(inputs: Path, tmp_path: Path) -> None:
    """Export a graph, choose on it, choose again: same bytes; then must-haves, old symbols, JSON, quiet, force."""
    genes, one = str(inputs / "genes.txt"), str(inputs / "one.txt")
    universe = tmp_path / "universe.txt"
    universe.write_text("\n".join([*pj.human_annotation().genes[100:900], "TP53", "MDM2", "GATA1", "MYC", "AARS"]))
    on_go = ["select", "--candidates", genes, "--budget", "3", "--universe", str(universe)]
    results = run(
        tmp_path,
        ["graph", "--universe", str(universe), "--candidates", genes, "--export", "--out", "graph"],
        [*on_go, "--out", "first"],
        [*on_go, "--out", "second", "--quiet"],
        [*on_go, "--out", "first"],
        [*on_go, "--out", "first", "--force", "--json", "--must-include", one, "--seed", "3", "--hops", "2"],
        [
            "select",
            "--candidates",
            str(inputs / "one.txt"),
            "--budget",
            "1",
            "--graph",
            "graph/edges.csv",
            "--out",
            "x",
        ],
        ["select", "--candidates", str(inputs / "unknown.txt"), "--unknown", "drop", "--budget", "1", "--out", "y"],
        ["select", "--candidates", genes, "--graph", str(inputs / "apart.csv"), "--budget", "2", "--out", "z"],
        ["--version"],
        ["graph", "--graph", "graph/edges.csv", "--json"],
    )
    described, first, second, again, forced, on_edges, dropped, apart, version, from_edges = results
    assert [result.code for result in results] == [0, 0, 0, 2, 0, 0, 0, 0, 0, 0], results
    assert "AARS -> AARS1" in described.out
    assert {path.name for path in (tmp_path / "graph").iterdir()} == {"graph.json", "graph.png", "edges.csv"}
    for name in ("picks.csv", "picks.png"):
        assert (tmp_path / "second" / name).stat().st_size
    assert second.out == second.err == ""
    assert "AARS1" in (tmp_path / "second" / "picks.json").read_text()
    assert "already holds picks.csv" in again.err
    record = json.loads(forced.out)
    assert record["picks"][0]["gene"] == "TP53"
    assert record["picks"][0]["bound"] is None
    assert record == json.loads((tmp_path / "first" / "picks.json").read_text())
    assert "left out: 1: FOOBAR" in dropped.out
    assert "warning: the graph has no edge between two candidates" in apart.err
    assert "20,728 genes" in version.out
    assert "2022-09-12" in version.out
    go, edges = (json.loads((tmp_path / "graph" / "graph.json").read_text()), json.loads(from_edges.out))
    assert go["graph"]["edges"] == edges["graph"]["edges"]
    assert go["out-degree"] == edges["out-degree"]
    assert go["candidates"]["in the graph"] == 5
    assert on_edges.code == 0
    assert first.out.count("\n") > 5


def test_maxspec_writes_the_same_files_with_the_norm(inputs: Path, tmp_path: Path) -> None:
    command = ["select", "--candidates", str(inputs / "genes.txt"), "--universe", str(inputs / "universe.txt")]
    command += ["--budget", "4", "--strategy", "maxspec", "--unweighted", "--out", "out"]
    (result,) = run(tmp_path, command)
    assert result.code == 0, result.err
    assert "Spectral norm of what is reached" in result.out
    table = pd.read_csv(tmp_path / "out" / "picks.csv")
    graph = pj.load_go_graph((inputs / "universe.txt").read_text().split())
    picks = pj.maxspec(graph, (inputs / "genes.txt").read_text().split(), 4, weighted=False)
    assert table["gene"].tolist() == list(picks.genes)
    np.testing.assert_allclose(table["sigma"], picks.values, atol=1e-6)
    record = json.loads((tmp_path / "out" / "picks.json").read_text())
    assert record["settings"]["options"] == {"weighted": False}
    assert record["result"]["computed"] == "host, lazy"
    assert len(record["result"]["sigma"]["random"]) == 20
    assert {SELECTION, DEGREE} <= set(colours((tmp_path / "out" / "picks.png").read_bytes()))


def test_the_same_command_writes_the_same_bytes(inputs: Path, tmp_path: Path) -> None:
    command = ["select", "--candidates-go", "GO:0004672", "--budget", "30", "--direction", "both", "--seed", "1"]
    results = run(tmp_path, [*command, "--out", "a"], [*command, "--out", "b"])
    assert [result.code for result in results] == [0, 0]
    for name in ("picks.csv", "picks.json", "picks.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_every_list_reaches_the_plan_and_the_record(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "must.txt").write_text("MDM2\n")
    (tmp_path / "not.txt").write_text("MYC\n")
    (tmp_path / "table.csv").write_text("a,b\nTP53,GATA1\nMYC,AARS\nGATA1,KLF1\n")
    files = {
        "already-tested": str(inputs / "one.txt"), "must-include": "must.txt", "exclude": "not.txt",
        "universe": str(inputs / "universe.txt"),
    }  # fmt: skip
    lists = [part for option, path in files.items() for part in ("--" + option, path)]
    budget = ["--budget", "3", "--cycles", "2"]
    results = run(
        tmp_path,
        ["select", "--candidates", str(inputs / "genes.txt"), *budget, *lists, "--out", "a"],
        ["select", "--candidates", "table.csv", "--column", "b", *budget, *lists[-2:], "--out", "b"],
        ["graph", "--graph", str(inputs / "edges.csv"), "--universe", str(inputs / "genes.txt"), "--json"],
        ["graph", "--namespaces", "MF", "--universe", str(inputs / "universe.txt"), "--json"],
    )
    assert [result.code for result in results] == [0] * 4, results
    picks = pd.read_csv(tmp_path / "a" / "picks.csv")
    assert picks["gene"][0] == "MDM2"
    assert set(picks["gene"]) == {"MDM2", "GATA1", "AARS1"}
    assert picks["cycle"].tolist() == [1, 1, 2]
    record = json.loads((tmp_path / "a" / "picks.json").read_text())
    assert {option: value["path"] for option, value in record["inputs"].items()} == {
        "candidates": str(inputs / "genes.txt"),
        **files,
    }
    result = record["result"]
    assert result["covered_fraction"] == result["covered"] / record["graph"]["nodes"]
    assert result["top-degree"] >= result["covered before"] > 0
    assert record["candidates"]["chosen from"] == 2
    assert set(pd.read_csv(tmp_path / "b" / "picks.csv")["gene"]) == {"GATA1", "AARS1", "KLF1"}
    assert json.loads(results[2].out)["graph"]["nodes"] == 5
    assert json.loads(results[3].out)["graph"]["namespaces"] == "MF"


def test_an_interrupt_is_exit_code_130_and_nothing_written(tmp_path: Path) -> None:
    code = (
        "import sys, perturb_jax.cli.app as cli, perturb_jax.plan.plan as plan\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "plan.make_plan = stop\n"
        "sys.argv = ['perturb-jax', 'select', '--candidates', 'g', '--universe', 'g', '--budget', '1', '--out', 'o']\n"
        "cli.main()"
    )
    (tmp_path / "g").write_text("TP53\nMYC\n")
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 130
    assert "Traceback" not in process.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["g"]


def test_letters_that_the_terminal_lacks(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_text("TP53\nM\u00fcller\n", encoding="utf-8")
    process = subprocess.run(
        [
            Path(sys.executable).with_name("perturb-jax"), "select", "--candidates", "g.txt", "--unknown", "drop",
            "--budget", "1", "--universe", inputs / "universe.txt", "--out", "o",
        ],
        cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert "M\\xfcller" in process.stdout


def test_a_command_without_arguments_shows_its_help_and_no_error() -> None:
    for result in run(ROOT, [], ["data"]):
        assert result.code == 2
        assert "Commands" in result.out + result.err
        assert "error" not in result.err


def test_help_has_an_example_for_each_command() -> None:
    for command in ("select", "graph", "train"):
        (result,) = run(ROOT, [command, "--help"])
        assert f"Example: perturb-jax {command}" in " ".join(result.out.split())


def test_shell_completion_offers_strategies() -> None:
    completion = {
        "_PERTURB_JAX_COMPLETE": "complete_bash", "COMP_WORDS": "perturb-jax select --strategy ", "COMP_CWORD": "3",
    }  # fmt: skip
    process = subprocess.run(
        [Path(sys.executable).with_name("perturb-jax")],
        env=os.environ | completion,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "graphreach" in process.stdout.split()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--fast"], ["choose"], ["select", "--help"], ["select", "--buget", "3"], ["data", "--help"],
     ["select", "--candidates", "absent.txt", "--budget", "1", "--out", "out"],
     ["select", "--candidates-go", "GO:1", "--budget", "0", "--out", "out"],
     ["graph", "--neighbors", "0"]],
)  # fmt: skip
def test_what_needs_no_graph_is_answered_before_anything_that_computes_is_loaded(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from perturb_jax.cli.app import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    code = end.code\n"
        "heavy = {'jax', 'pandas', 'numba', 'anndata', 'scipy', 'matplotlib', 'distributed'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == (0 if "--help" in arguments else 2), done.stderr


OWN = """
from dataclasses import dataclass
import perturb_jax as pj


@dataclass(frozen=True)
class LeastConnected(pj.Options):
    skip: int = pj.option(0, "How many are passed over.", at_least=0)
    last: bool = pj.option(False, "From the end.")

    def choose(self, ask):
        names = sorted(ask.candidates, reverse=self.last)
        return names[self.skip : self.skip + ask.budget]
"""


def test_a_strategy_of_the_users_own_by_file_and_by_entry_point(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    installed = tmp_path / "site"
    about = installed / "mine-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[perturb_jax.strategies]\nleast-connected=mine_installed:LeastConnected\n")
    (installed / "mine_installed.py").write_text(OWN)
    universe, candidates = str(inputs / "universe.txt"), str(inputs / "genes.txt")
    base = ["select", "--candidates", candidates, "--universe", universe, "--budget", "2", "--out"]
    own = ["--strategy", "mine.py:LeastConnected"]
    commands = [
        [*base, "file", *own, "--skip", "2"],
        [*base, "back", *own, "--skip", "1", "--last"],
        [*base, "entry", "--strategy", "least-connected", "--skip", "2"],
        [*base, "bad", *own, "--skip", "-1"],
        [*base, "other", *own, "--ties", "first"],
        [*base, "without", "--skip", "1"],
    ]
    process = subprocess.run(
        [sys.executable, ROOT / "tests" / "run_commands.py"], cwd=tmp_path, input=json.dumps(commands),
        capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(installed)])},
    )  # fmt: skip
    results = [Result(**result) for result in json.loads(process.stdout)]
    assert [result.code for result in results] == [0, 0, 0, 2, 2, 2], results
    picks = {name: pd.read_csv(tmp_path / name / "picks.csv")["gene"].tolist() for name in ("file", "back", "entry")}
    assert picks == {"file": ["MDM2", "MYC"], "back": ["MYC", "MDM2"], "entry": ["MDM2", "MYC"]}
    assert "--skip: expected a whole number of at least 0, got -1" in results[3].err
    assert "--ties: not an option of the strategy mine.py:LeastConnected" in results[4].err
    assert "No such option: --skip" in results[5].err
