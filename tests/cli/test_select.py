"""GraphDesign on the command line: targets, costs, files, bad input."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.cli import app
from perturb_jax.strategies.registry import STRATEGIES
from perturb_jax.strategies.strategy import Ask
from perturb_jax.support.figures import SELECTION
from tests.cli.test_cli import refuses, run
from tests.pictures import colours

GENES = ["TP53", "MDM2", "GATA1", "MYC", "AARS1"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("design")
    universe = [*pj.human_annotation().genes[100:500], *GENES]
    texts = {
        "genes.txt": "\n".join(GENES), "universe.txt": "\n".join(universe), "targets.txt": "GATA1\nAARS\n",
        "worth.csv": "gene,weight\nGATA1,1\nMYC,2.5\n", "costs.csv": "gene,cost\nTP53,3\nAARS,0.5\n",
        "price.csv": "gene,price\nTP53,3\n", "free.csv": "gene,cost\nTP53,0\n", "word.csv": "gene,cost\nTP53,dear\n",
        "twice.csv": "gene,cost\nTP53,1\nTP53,2\n", "debt.csv": "gene,weight\nTP53,-1\n",
        "nothing.csv": "gene,weight\nTP53,0\n", "dear.csv": "gene,cost\n" + "".join(f"{gene},9\n" for gene in GENES),
    }  # fmt: skip
    for name, text in texts.items():
        (directory / name).write_text(text)
    return directory


def design(budget: str, *options: str, out: str = "out", strategy: str = "graphdesign") -> list[str]:
    command = ["select", "--candidates", "genes.txt", "--universe", "universe.txt", "--strategy", strategy]
    return [*command, "--budget", budget, "--out", out, *options]


BAD_INPUT = {
    "criterion": (design("2", "--criterion", "x"), "criterion: expected one of variance, information, facility, soft"),
    "noise 0": (design("2", "--noise", "0"), "noise: expected a finite number above 0"),
    "noise NaN": (design("2", "--noise", "nan"), "noise: expected a finite number above 0"),
    "targets missing": (design("2", "--targets", "none.txt"), "none.txt: no such file"),
    "targets debt": (design("2", "--targets", "debt.csv"), "targets: expected a finite number of at least 0"),
    "targets worth nothing": (design("2", "--targets", "nothing.csv"), "weight above 0 for at least one target"),
    "costs without costs": (design("2", "--costs", "price.csv"), "expected a table (.csv, .tsv) with the columns gene"),
    "costs in text": (design("2", "--costs", "genes.txt"), "expected a table (.csv, .tsv) with the columns gene"),
    "cost 0": (design("2", "--costs", "free.csv"), "costs: expected a finite number above 0 for TP53, got 0"),
    "cost a word": (design("2", "--costs", "word.csv"), "line 2: expected a number in column cost, got 'dear'"),
    "cost twice": (design("2", "--costs", "twice.csv"), "TP53 is listed twice"),
    "too dear": (design("2", "--costs", "dear.csv"), "budget: 2 buys nothing: the cheapest candidate costs 9"),
    "targets of another strategy": (
        design("2", "--targets", "targets.txt", strategy="random"),
        "targets: not an option of the strategy random",
    ),
}


def test_bad_input_is_one_line_exit_code_2_and_nothing_written(files: Path) -> None:
    refuses(files, BAD_INPUT)


def test_a_design_writes_what_each_pick_teaches_and_what_stays_unknown(files: Path, tmp_path: Path) -> None:
    graph = pj.load_go_graph((files / "universe.txt").read_text().split())
    results = run(
        files,
        design("4", out=str(tmp_path / "plain")),
        design("3", "--targets", "worth.csv", "--noise", "0.5", "--unnormalized", out=str(tmp_path / "worth")),
        design("3", "--targets", "graph", "--criterion", "information", "--unweighted", out=str(tmp_path / "all")),
        design("4", "--costs", "costs.csv", "--targets", "targets.txt", out=str(tmp_path / "costs")),
        design("4", out=str(tmp_path / "plain")),
        design("4", "--quiet", "--force", out=str(tmp_path / "plain")),
    )
    assert [result.code for result in results] == [0, 0, 0, 0, 2, 0], results
    picks = {
        "plain": pj.graphdesign(graph, GENES, 4),
        "worth": pj.graphdesign(graph, GENES, 3, noise=0.5, normalize=False, targets={"GATA1": 1, "MYC": 2.5}),
        "all": pj.graphdesign(graph, GENES, 3, "information", weighted=False, targets=graph.genes),
        "costs": pj.graphdesign(graph, GENES, 4, costs={"TP53": 3, "AARS1": 0.5}, targets=["GATA1", "AARS1"]),
    }
    for name, expected in picks.items():
        directory = tmp_path / name
        assert {path.name for path in directory.iterdir()} == {"picks.csv", "picks.json", "picks.png", "targets.csv"}
        table, targets = pd.read_csv(directory / "picks.csv"), pd.read_csv(directory / "targets.csv")
        assert table["gene"].tolist() == list(expected.genes), name
        record = json.loads((directory / "picks.json").read_text())
        assert record["result"]["design"]["targets"] == len(targets)
        left = np.average(targets["remaining"], weights=targets["weight"]) if name != "worth" else None
        if left is not None:
            assert 1 - left == pytest.approx(table["explained"].iloc[-1], abs=2e-6)
        assert SELECTION in colours((directory / "picks.png").read_bytes())
    plain = pd.read_csv(tmp_path / "plain" / "picks.csv")
    np.testing.assert_allclose(plain["explained"], picks["plain"].values, atol=1e-6)
    assert "Expected variance that stays unknown of 5 targets: 100.0% before" in results[0].out
    assert "Least known will be" in results[0].out
    assert "No selection has a larger information than" in results[2].out
    assert len(pd.read_csv(tmp_path / "all" / "targets.csv")) == graph.num_nodes
    assert pd.read_csv(tmp_path / "costs" / "picks.csv")["cost"].sum() <= 4
    costs = json.loads((tmp_path / "costs" / "picks.json").read_text())
    assert set(costs["inputs"]) == {"candidates", "universe", "costs", "targets"}
    assert "already holds picks.csv" in results[4].err


@dataclass(frozen=True)
class FromTheEnd(pj.Options):
    """Picks the last candidates."""

    skip: int = pj.option(0, "How many are passed over.", at_least=0)

    def choose(self, ask: Ask) -> Sequence[str]:
        names = sorted(ask.candidates, reverse=True)
        return names[self.skip : self.skip + int(ask.budget)]


def test_a_registered_strategy_is_used_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(STRATEGIES, "_registered", {})
    pj.register_strategy("from-the-end", FromTheEnd)
    (tmp_path / "edges.csv").write_text("source,target,importance\nA,B,1\nB,C,1\nC,D,1\n")
    (tmp_path / "genes.txt").write_text("A\nB\nC\nD\n")
    monkeypatch.chdir(tmp_path)
    command = ["select", "--candidates", "genes.txt", "--graph", "edges.csv", "--budget", "2", "--out", "out"]
    monkeypatch.setattr(sys, "argv", ["perturb-jax", *command, "--strategy", "from-the-end", "--skip", "1", "--quiet"])
    with pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == 0
    assert pd.read_csv("out/picks.csv")["gene"].tolist() == ["C", "B"]
    record = json.loads(Path("out/picks.json").read_text())
    assert record["settings"]["strategy"] == "from-the-end" and record["settings"]["options"] == {"skip": 1}
