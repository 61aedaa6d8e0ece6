"""The experiment on hop depth: its two files and its scripts agree, and reach is what a search breadth first finds."""

import subprocess
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.experiment.file import read_experiment
from perturb_jax.strategies.registry import strategy_of

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
FOLDER = EXPERIMENTS / "hop_depth"
SETTINGS = {
    f"{strategy} {direction} k={k}"
    for strategy in ("graphreach", "maxspec", "graphdesign")
    for direction in ("in", "out", "both")
    for k in (1, 2, 3, 4)
}


def call(script: str, *arguments: object) -> None:
    command = [sys.executable, str(FOLDER / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hop_depth")
    names = list(pj.human_annotation().genes_with("GO:0003735"))[:60]
    (out / "library.txt").write_text("\n".join(names))
    random = np.random.default_rng(0)
    rows = [(name, f"R{g}", int(random.random() < 0.5)) for name in names for g in range(20)]
    pd.DataFrame(rows, columns=["pert", "gene", "label"]).to_csv(out / "outcomes.csv", index=False)
    given = ["--outcomes", out / "outcomes.csv", "--library", out / "library.txt", "--out", out]
    call("outcomes.py", *given, "--seeds", 2, "--budgets", 10)
    call("reached.py", *given, "--no-genome")
    return out


@pytest.mark.parametrize("name", ["hop_depth.toml", "hop_depth_gears.toml"])
def test_a_file_has_every_setting_under_its_name(name: str) -> None:
    _, experiment = read_experiment(EXPERIMENTS / name)
    assert {*experiment.strategies} == SETTINGS | {"random"}
    for label in SETTINGS:
        strategy, direction, k = label.split()
        found = experiment.strategies[label].strategy
        assert found == strategy_of(strategy, {"hops": int(k[2:]), "direction": direction})


def test_every_setting_is_scored_on_every_seed(results: Path) -> None:
    table = pd.read_csv(results / "skill.csv.gz")
    assert not table.duplicated(["seed", "arm", "draw", "budget", "predictor"]).any()
    assert {*table["arm"]} == SETTINGS - {"maxspec both k=4"} | {"random"}
    assert table.groupby(["arm", "budget", "predictor"])["seed"].nunique().eq(2).all()


def test_reach_is_what_a_search_finds(results: Path) -> None:
    graph = pj.load_go_graph(genes=(results / "library.txt").read_text().split())
    names = np.array(graph.genes)
    edges = nx.DiGraph(list(zip(names[graph.senders], names[graph.receivers], strict=True)))
    edges.add_nodes_from(names)
    ways = {"in": edges.reverse(), "out": edges, "both": edges.to_undirected()}
    for row in pd.read_csv(results / "reach.csv").itertuples():
        reach = [{*nx.single_source_shortest_path_length(ways[str(row.direction)], name, row.k)} for name in names]
        assert row.mean_reach == pytest.approx(np.mean([*map(len, reach)]), abs=0.006)
        assert row.reachable == len(set().union(*reach))


def test_tables_and_figures_are_made_from_what_is_stored(results: Path) -> None:
    text = results / "README.md"
    text.write_text("# A\n<!-- table main -->\nold\n<!-- end -->\nrest\n")
    call("findings.py", "--results", results, "--readme", text)
    assert "| graphdesign out |" in text.read_text()
    assert "old" not in text.read_text()
    call("figures.py", "--results", results)
    assert {path.stem for path in results.glob("*.png")} == {"saturation", "real", "overlap"}
