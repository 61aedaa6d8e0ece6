"""What is read back from an experiment's tables makes the same tables and figures again."""

from pathlib import Path

import pandas as pd
import pytest

from perturb_jax.analysis.figures import figure_names
from perturb_jax.analysis.summary import Summary, summarise
from perturb_jax.analysis.tables import markdown, read_summary, table_files, text_tables
from perturb_jax.support.errors import InputError
from tests.made_results import made_results, without

COMMITTED = sorted((Path(__file__).parents[2] / "experiments" / "results").glob("*/tables"))
STRATEGIES = ("random", "uncertainty", "graphreach")


def stored(summary: Summary, record: dict[str, object], directory: Path) -> Summary:
    for name, content in table_files(summary, record).items():
        (directory / name).write_bytes(content)
    return read_summary(directory)


def test_tables_and_figures_are_those_of_the_runs(tmp_path: Path) -> None:
    results = made_results(data=("b", "a"), predictors=("q", "p"), strategies=STRATEGIES)
    results = without(results, predictor="p", strategy="graphreach", seed=1, cycle=2)
    before = summarise(results)
    after = stored(before, results.record, tmp_path)
    for part in ("data", "predictors", "strategies", "metrics", "model_based", "simulated", "fixed"):
        assert getattr(after.runs, part) == getattr(before.runs, part), part
    assert len(before.runs.incomplete) == 2
    for name, frame in {**before._asdict(), "incomplete": before.runs.incomplete}.items():
        if isinstance(frame, pd.DataFrame):
            found = getattr(after, name, after.runs.incomplete)
            pd.testing.assert_frame_equal(found, frame, check_exact=True, check_dtype=False)
    assert text_tables(after) == text_tables(before)
    assert figure_names(after) == figure_names(before)
    (tmp_path / "again").mkdir()
    again = stored(after, results.record, tmp_path / "again")
    assert again.notes == before.notes and text_tables(again) == text_tables(before)


@pytest.mark.parametrize("directory", COMMITTED, ids=[path.parent.name for path in COMMITTED])
def test_committed_tables_for_people_have_the_numbers_of_the_committed_csv(directory: Path) -> None:
    summary = read_summary(directory)
    text = "\n\n".join(summary.notes) + "\n\n" + "\n".join(map(markdown, text_tables(summary)))
    assert text == (directory / "table.md").read_text(encoding="utf-8")


def test_a_directory_without_tables_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.md").touch()
    with pytest.raises(InputError, match=r"the files of an experiment's tables, found no table\.tex, table\.csv"):
        read_summary(tmp_path)
