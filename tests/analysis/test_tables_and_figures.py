"""The tables for people have the numbers of the CSV files; the figures are drawn, whatever is missing."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from perturb_jax.analysis import results as results_module
from perturb_jax.analysis.figures import draw_areas, draw_learning, figure_files, figure_names
from perturb_jax.analysis.summary import Summary, summarise
from perturb_jax.analysis.tables import (
    FILES,
    Cell,
    TextTable,
    decimals,
    latex,
    main_table,
    markdown,
    table_files,
    text_tables,
    with_interval,
    with_spread,
)
from perturb_jax.support import figures
from tests.made_results import made_results, row_of, without
from tests.pictures import colours

STRATEGIES = ("random", "graph_reach & co", "uncertainty", "100 % {safe}")


@pytest.fixture(scope="module")
def summary() -> Summary:
    results = made_results(data=("a_1", "b"), predictors=("p", "q"), strategies=STRATEGIES, seeds=9)
    for strategy, gain in ((STRATEGIES[1], 0.1), (STRATEGIES[3], -0.1)):
        rows = (results.metrics["strategy"] == strategy) & (results.metrics["data"] == "a_1")
        results.metrics.loc[rows, "pearson_de"] += gain
        results.metrics.loc[rows, "mse_de"] -= gain
    return summarise(results)


@pytest.fixture(scope="module")
def files(summary: Summary) -> dict[str, str]:
    return {name: content.decode() for name, content in table_files(summary, {"name": "x"}).items()}


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"[-+]?\d+\.\d+", text.replace("$-$", "-"))]


def digits_of(text: str) -> int:
    return len(re.findall(r"\.(\d+)", text)[0])


def rows_of(table: str, text: str) -> list[list[str]]:
    """Cells of the rows of a Markdown or LaTeX table."""
    lines = text.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(table))
    body = []
    for line in lines[start:]:
        if not line.strip() or line.startswith(r"\bottomrule"):
            break
        cells = re.split(r"(?<!\\)&" if line.endswith(r"\\") else r"(?<!\\)\|", line.strip("| ").removesuffix(r"\\"))
        body.append([cell.strip() for cell in cells])
    return [row for row in body if len(row) > 1]


def test_markdown_and_latex_have_the_numbers_of_the_csv(files: dict[str, str]) -> None:
    table, gaps = (pd.read_csv(io.StringIO(files[name])) for name in ("table.csv", "differences.csv"))
    gaps["verdict"] = gaps["verdict"].fillna("")
    columns = [{"data": data, "metric": metric} for data in ("a_1", "b") for metric in ("mse_de", "pearson_de")]
    languages = [("table.md", "| strategy |", "**", "*"), ("table.tex", "strategy &", r"\textbf", r"\textit")]
    for name, header, bold, italic in languages:
        rows = [row for row in rows_of(header, files[name]) if "±" in row[1] or r"\pm" in row[1]]
        assert [re.sub(r"\\(.)", r"\1", row[0]) for row in rows] == list(STRATEGIES)
        for strategy, row in zip(STRATEGIES, rows, strict=True):
            for cell, column in zip(row[1:], columns, strict=True):
                place = {"predictor": "p", "strategy": strategy, **column}
                found = row_of(table, **place)
                assert numbers(cell) == [round(found[part], digits_of(cell)) for part in ("mean", "sd")]
                verdict = "" if strategy == "random" else row_of(gaps, **place)["verdict"]
                mark = "better" if cell.startswith(bold) else "worse" if cell.startswith(italic) else ""
                assert mark == verdict
    assert set(gaps["verdict"]) == {"better", "worse", ""}


def test_differences_for_people_are_those_of_the_csv(summary: Summary, files: dict[str, str]) -> None:
    gaps = pd.read_csv(io.StringIO(files["differences.csv"]))
    table = next(table for table in text_tables(summary) if table.name == "predictors-mse-de")
    assert table.header == ("data", "strategy", "p", "q")
    for row in (row for block in table.blocks for row in block):
        for predictor, cell in zip("pq", row[2:], strict=True):
            gap = row_of(gaps, data=row[0].text, predictor=predictor, metric="mse_de", strategy=row[1].text)
            assert numbers(cell.text) == [round(gap[name], digits_of(cell.text)) for name in ("mean", "low", "high")]


def test_predictors_are_compared_with_the_first_at_the_same_strategy_cycle_and_seed() -> None:
    results = without(made_results(predictors=("p", "q"), seeds=3), predictor="q", strategy="uncertainty")
    summary = summarise(results)
    keys = ["strategy", "cycle", "seed"]
    p, q = (
        results.metrics[results.metrics["predictor"] == name].groupby(keys)["mse_de"].mean().rename(name)
        for name in "pq"
    )
    less = (q - p).dropna()
    found = row_of(summary.predictors, predictor="q", metric="mse_de")
    assert found["pairs"] == len(less) == 2 * 3 * 3 and found["seeds"] == 3
    by_seed = less.groupby("seed").mean()
    half = 4.302653 * by_seed.std() / 3**0.5  # the t quantile with 2 degrees of freedom
    wanted = (by_seed.mean(), by_seed.mean() - half, by_seed.mean() + half)
    assert (found["mean"], found["low"], found["high"]) == pytest.approx(wanted)
    table = next(table for table in text_tables(summary) if table.name == "predictor-differences")
    (row,) = table.blocks[0]
    assert numbers(row[2].text) == [round(value, digits_of(row[2].text)) for value in wanted]


def test_every_caption_says_what_the_outcomes_are_and_what_is_left_out() -> None:
    results = without(made_results(seeds=3), strategy="graphreach", seed=0, cycle=2)
    summary = summarise(results)
    tables = text_tables(summary)
    assert [table.name for table in tables] == ["final-1", "differences-1", "areas-1", "times-1", "stability-1"]
    for table in tables:
        assert table.caption.startswith("Simulated outcomes, 2 to 3 seeds. Seeds without all cycles are left out: ")
        assert "graphreach (adamson, gears-flax): 0." in table.caption
    written = table_files(summary, results.record)
    assert tuple(written) == FILES
    assert written["table.md"].startswith(b"Simulated outcomes") and written["table.tex"].startswith(b"% Simulated")
    outcomes = [name for name in FILES if name.endswith(".csv") and name != "costs.csv"]
    assert all(b"simulated" in written[name].splitlines()[0] for name in outcomes)
    assert written["incomplete.csv"].decode().splitlines()[1] == "adamson,gears-flax,graphreach,0,2,True"
    record = json.loads(written["tables.json"])
    assert record["baseline"] == "random" and len(record["table"]) == len(summary.final)


def test_latex_escapes_names_and_is_balanced(files: dict[str, str]) -> None:
    tex = files["table.tex"]
    assert r"graph\_reach \& co" in tex and r"100 \% \{safe\}" in tex and r"a\_1: MSE" in tex
    body = re.sub(r"(?m)^%.*$", "", tex)
    bare = re.sub(r"\\[{}%&$#_]", "", body)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    assert tex.count(r"\begin{table}") == tex.count(r"\end{table}") == tex.count(r"\toprule") == 13
    labels = re.findall(r"\\label\{(.*?)\}", tex)
    assert len(set(labels)) == len(labels)


def test_a_table_in_both_languages() -> None:
    table = TextTable("t", "50 %_", ("a|b", "n"), 1, (((Cell("x*"), Cell("-1.5 ± 0.2", "better")),),) * 2)
    assert markdown(table) == (
        "50 %\\_\n\n| a\\|b | n |\n| --- | ---: |\n| x\\* | **-1.5 ± 0.2** |\n| x\\* | **-1.5 ± 0.2** |\n"
    )
    assert r"x* & \textbf{$-$1.5 $\pm$ 0.2} \\" in latex(table) and latex(table).count(r"\midrule") == 2


@pytest.mark.parametrize(
    ("spread", "value", "digits"), [([0.011], 5.0, 3), ([0.0], 0.1234, 3), ([float("nan")], 12.0, 1), ([], 0.0, 3),
                                    ([250.0], 1e4, 0)],
)  # fmt: skip
def test_digits_follow_the_spread(spread: list[float], value: float, digits: int) -> None:
    assert decimals(spread, [value]) == digits


def test_what_is_undefined_is_left_empty() -> None:
    nan = float("nan")
    assert (with_spread(nan, nan, 2), with_spread(1.0, nan, 2), with_interval(nan, nan, nan, 2)) == ("", "1.00", "")
    assert with_interval(-0.5, -1.0, 0.0, 1) == "-0.5 [-1.0, +0.0]" and with_interval(0.5, nan, nan, 1) == "+0.5"


def test_a_strategy_for_one_predictor_only_has_rows_there_only() -> None:
    results = without(made_results(predictors=("p", "q")), predictor="q", strategy="uncertainty")
    summary = summarise(results)
    assert [row[0].text for row in main_table(summary, "q").blocks[0]] == ["random", "graphreach"]
    assert len(main_table(summary, "p").blocks[0]) == 3
    matrix = next(table for table in text_tables(summary) if table.name == "predictors-mse-de")
    assert matrix.blocks[0][1][1].text == "uncertainty" and matrix.blocks[0][1][3] == Cell("")


def test_seeds_that_no_two_strategies_share_are_not_compared_and_unfinished_predictors_are_no_table() -> None:
    results = made_results(predictors=("p", "q"), seeds=2, strategies=("random", "graphreach"))
    for strategy, seed in (("random", 0), ("graphreach", 1)):
        results = without(results, strategy=strategy, seed=seed, cycle=1)
    results = without(results, predictor="q", cycle=3)
    summary = summarise(results)
    assert summary.differences.empty and summary.final["rank"].isna().all() and summary.runs.predictors == ("p",)
    assert [table.name for table in text_tables(summary)] == ["final-1", "differences-1", "areas-1", "times-1"]
    assert {"learning_mse_de_p", "times_p", "costs"} == {name for name in kinds(summary) if "pearson" not in name}
    assert set(table_files(summary, {})) == set(FILES)


@pytest.fixture
def one_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of one metric instead of two."""
    monkeypatch.setattr(results_module, "HEADLINE", ("mse_de",))


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of few pixels, which are drawn sooner."""
    monkeypatch.setitem(figures._STYLE, "savefig.dpi", 40)


def kinds(summary: Summary) -> set[str]:
    return {Path(name).stem for name in figure_names(summary)}


def test_there_is_a_figure_of_each_kind_for_each_predictor() -> None:
    results = without(made_results(predictors=("p a", "P-A"), seeds=3), predictor="P-A", strategy="uncertainty")
    summary = summarise(results)
    assert kinds(summary) == {
        *(f"{kind}_{metric}_{slug}" for kind in ("learning", "differences") for metric in ("mse_de", "pearson_de")
          for slug in ("p-a", "p-a-2")),
        *(f"{kind}_{slug}" for kind in ("stability_unique", "stability_jaccard", "times") for slug in ("p-a", "p-a-2")),
        *(f"{kind}_{metric}" for kind in ("predictors", "areas") for metric in ("mse_de", "pearson_de")),
        "costs",
    }  # fmt: skip


@pytest.mark.usefixtures("one_metric")
def test_each_figure_is_drawn_as_png_and_as_pdf() -> None:
    summary = summarise(made_results(predictors=("p", "q"), seeds=2, cycles=2, strategies=("random", "graphreach")))
    files = figure_files(summary)
    assert list(files) == figure_names(summary)
    for name, content in files.items():
        if name.endswith("pdf"):
            assert content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF"), name
        else:
            assert len(colours(content)) > 20, name


def test_figures_draw_the_numbers_of_the_tables() -> None:
    summary = summarise(made_results(seeds=3))
    figure = Figure()
    draw_learning(figure, summary, "gears-flax", "mse_de")
    drawn = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    own = summary.curves[summary.curves["metric"] == "mse_de"]
    assert set(drawn) == {"random", "graphreach", "uncertainty"}
    for name, line in drawn.items():
        curve = own[own["strategy"] == name]
        np.testing.assert_allclose(np.asarray(line.get_xydata()), curve[["size", "mean"]].to_numpy())
    assert {axes.get_ylabel() for axes in figure.axes} == {"MSE over DE genes"}
    areas = Figure()
    draw_areas(areas, summary, "pearson_de")
    (axes,) = areas.axes
    assert axes.get_xlabel() == "Pearson over DE genes, less random"
    own = summary.areas[(summary.areas["metric"] == "pearson_de") & (summary.areas["strategy"] != "random")]
    points = next(line for line in axes.get_lines() if line.get_marker() not in ("", "None", None))
    np.testing.assert_allclose(np.asarray(points.get_xdata(orig=False)), own["difference"].to_numpy(float))
    assert [label.get_text() for label in axes.get_yticklabels()] == own["strategy"].tolist()


def test_a_metric_of_ones_own_is_shown_and_where_it_is_missing_that_is_said() -> None:
    results = made_results(seeds=3)
    later = results.metrics["seed"] > 0
    metrics = results.metrics.assign(worst=np.where(later, 2 * results.metrics["mse_de"], np.nan))
    labels = ["data", "predictor", "strategy", "seed", "cycle"]
    unmeasured = metrics.loc[~later, labels].drop_duplicates().assign(metric="worst")
    own = {"worst": {"label": "worst error", "smaller_is_better": True, "over": "all genes", "unit": ""}}
    changed = results._replace(metrics=metrics, unmeasured=unmeasured, record=results.record | {"metrics": own})
    before, summary = summarise(results), summarise(changed)
    assert f"worst is missing for {len(unmeasured)} trainings" in " ".join(summary.notes)
    final = summary.final[summary.final["metric"] == "worst"]
    assert (final["seeds"] == 2).all() and (final["undefined"] == 0).all()
    pd.testing.assert_frame_equal(
        summary.final[summary.final["metric"] != "worst"].reset_index(drop=True), before.final, check_dtype=False
    )
    assert "adamson: worst error" in main_table(summary, "gears-flax").header
    assert {"learning_worst_gears-flax.png", "areas_worst.png"} <= set(figure_names(summary))
    verdict = summary.differences.set_index(["metric", "strategy"])["verdict"]
    assert set(verdict["worst"]) <= {"", "better", "worse"}
    figure = Figure()
    draw_learning(figure, summary, "gears-flax", "worst")
    assert figure.axes[0].get_ylabel() == "worst error over all genes"
    assert table_files(summary, changed.record)["table.md"]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"seeds": 1, "cycles": 1}, {"times_gears-flax"}),
        ({"seeds": 1, "cycles": 2}, {"learning_mse_de_gears-flax", "areas_mse_de", "times_gears-flax"}),
        ({"strategies": ("random",)}, {"learning_mse_de_gears-flax", "stability_jaccard_gears-flax"}),
        ({"fixed": ()}, {"learning_mse_de_gears-flax"}),
    ],
)
@pytest.mark.usefixtures("one_metric")
def test_figures_of_little_are_drawn_without_what_it_cannot_show(options: dict[str, object], names: set[str]) -> None:
    summary = summarise(made_results(**options))  # type: ignore[arg-type]
    files = figure_files(summary)
    assert names <= kinds(summary) and set(files) == set(figure_names(summary))
    assert ("stability_unique_gears-flax.png" in files) == ("stability" in " ".join(names))
    assert table_files(summary, {})["table.md"]


def test_a_family_of_which_a_predictor_has_no_strategy_gets_no_panel() -> None:
    results = made_results(predictors=("p", "q"), strategies=("random", "uncertainty", "graphreach"))
    summary = summarise(without(results, predictor="q", strategy="graphreach"))
    for predictor, titles in (("p", {"one-shot", "model-based"}), ("q", {"model-based"})):
        figure = Figure()
        draw_learning(figure, summary, predictor, "mse_de")
        assert {axes.get_title().split(", ")[1] for axes in figure.axes} == titles
