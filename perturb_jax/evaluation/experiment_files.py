"""An experiment's tables as files: for people, and with all digits."""

import json
from typing import Any

import pandas as pd

from perturb_jax.evaluation.experiment_tables import Summary
from perturb_jax.evaluation.experiment_text import text_tables
from perturb_jax.evaluation.provenance import versions
from perturb_jax.evaluation.text_tables import latex, markdown

FILES = (
    "table.md", "table.tex", "table.csv", "differences.csv", "curves.csv", "difference_curves.csv", "areas.csv",
    "times.csv", "costs.csv", "predictors.csv", "stability.csv", "incomplete.csv", "tables.json",
)  # fmt: skip


def table_files(summary: Summary, record: dict[str, Any]) -> dict[str, bytes]:
    """The contents of `FILES`; every CSV of outcomes says in a column whether they are simulated.

    Args:
        summary: the numbers.
        record: of the experiment.
    """
    frames = {
        "table.csv": summary.final, "differences.csv": summary.differences, "curves.csv": summary.curves,
        "difference_curves.csv": summary.difference_curves, "areas.csv": summary.areas, "times.csv": summary.times,
        "costs.csv": summary.costs, "predictors.csv": summary.predictors, "stability.csv": summary.stability,
        "incomplete.csv": summary.runs.incomplete,
    }  # fmt: skip
    tables = text_tables(summary)
    texts = {
        "table.md": "\n\n".join(summary.notes) + "\n\n" + "\n".join(map(markdown, tables)),
        "table.tex": "".join(f"% {note}\n" for note in summary.notes) + "\n" + "\n".join(map(latex, tables)),
        "tables.json": json.dumps(tables_record(summary, record), indent=2, ensure_ascii=False) + "\n",
    } | {name: _marked(frame, summary).to_csv(index=False, lineterminator="\n") for name, frame in frames.items()}
    return {name: texts[name].encode() for name in FILES}


def _marked(frame: pd.DataFrame, summary: Summary) -> pd.DataFrame:
    """With a column that says whether a row's outcomes are simulated, where the row is about outcomes."""
    if "data" not in frame:
        return frame
    return frame.assign(simulated=frame["data"].isin(summary.runs.simulated))


def tables_record(summary: Summary, record: dict[str, Any]) -> dict[str, Any]:
    """Where the tables come from and their main numbers: plain values for JSON."""
    main = {"table": summary.final, "differences": summary.differences}
    return {
        "notes": list(summary.notes),
        "simulated": sorted(summary.runs.simulated),
        "baseline": summary.baseline,
        "versions": versions(),
        "experiment": record,
    } | {name: json.loads(frame.to_json(orient="records", double_precision=15)) for name, frame in main.items()}
