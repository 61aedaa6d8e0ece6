"""Tables and figures from the command line."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from perturb_jax.analysis import results as results_module
from perturb_jax.analysis.results import Results
from perturb_jax.analysis.tables import FILES
from perturb_jax.cli import app as cli
from perturb_jax.support.errors import InputError
from tests.cli.test_cli import run
from tests.made_results import made_results, without


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory whose results are made up."""
    made = without(made_results(data=("a", "b"), seeds=3), data="b", strategy="graphreach", seed=1, cycle=1)

    def read(directory: Path) -> Results:
        return made

    monkeypatch.setattr(results_module, "read_results", read)
    return tmp_path


def call(*arguments: object) -> str:
    result = CliRunner().invoke(cli.app, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: object) -> str:
    """The message with which the application is left; `main` prints it as one line."""
    with pytest.raises(InputError) as caught:
        CliRunner().invoke(cli.app, [str(one) for one in arguments], catch_exceptions=False)
    return str(caught.value)


def test_table_writes_everything_and_prints_the_main_table(directory: Path) -> None:
    shown = call("table", directory)
    assert sorted(path.name for path in (directory / "tables").iterdir()) == sorted(FILES)
    assert shown.startswith("Simulated outcomes, 2 to 3 seeds. Seeds without all cycles are left out: graphreach (b, ")
    assert "a: MSE" in shown and "graphreach" in shown and "would exclude 0 by chance alone" in shown
    assert "already holds table.md" in refused("table", directory)
    record = json.loads(call("table", directory, "--force", "--json", "--baseline", "graphreach"))
    assert record == json.loads((directory / "tables" / "tables.json").read_text())
    assert record["baseline"] == "graphreach" and record["experiment"]["simulated"] is True
    gaps = pd.read_csv(directory / "tables" / "differences.csv")
    assert set(gaps["strategy"]) == {"random", "uncertainty"}
    assert call("table", directory, "--out", directory / "other", "--quiet") == ""
    assert "baseline: random, graphreach, uncertainty" in refused(
        "table", directory, "--baseline", "x", "--out", directory / "x"
    )
    assert not (directory / "x").exists()


def test_plot_writes_each_figure_twice(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    monkeypatch.setattr(results_module, "HEADLINE", ("mse_de",))  # figures of one metric
    shown = call("plot", directory, "--out", directory / "drawn")
    assert "Simulated outcomes, 2 to 3 seeds." in shown and "learning_mse_de_gears-flax.png" in shown
    paths = sorted((directory / "drawn").iterdir())
    assert {path.suffix for path in paths} == {".png", ".pdf"} and len(paths) % 2 == 0
    assert "already holds" in refused("plot", directory, "--out", directory / "drawn")


def test_a_directory_without_results_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    results = run(tmp_path, ["table", "."], ["plot", "nowhere"], ["table", "nowhere", "--json"])
    for result in results:
        assert result.code == 2 and result.out == ""
        assert result.err.startswith("perturb-jax: error: ") and result.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
