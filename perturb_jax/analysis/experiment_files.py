"""An experiment's tables as files: for people, and with all digits."""

import json
from typing import Any

import pandas as pd

from perturb_jax.analysis.experiment_tables import Summary
from perturb_jax.analysis.experiment_text import text_tables
from perturb_jax.analysis.text_tables import latex, markdown
from perturb_jax.support.provenance import versions

PARTS = {
    "final": "table.csv", "differences": "differences.csv", "curves": "curves.csv",
    "difference_curves": "difference_curves.csv", "areas": "areas.csv", "times": "times.csv", "costs": "costs.csv",
    "predictors": "predictors.csv", "stability": "stability.csv",
}  # fmt: skip
"""Where each frame of a summary is kept."""

FILES = ("table.md", "table.tex", *PARTS.values(), "incomplete.csv", "tables.json")


def table_files(summary: Summary, record: dict[str, Any]) -> dict[str, bytes]:
    """The contents of `FILES`; every CSV of outcomes says in a column whether they are simulated.

    Args:
        summary: the numbers.
        record: of the experiment.
    """
    frames = {name: getattr(summary, part) for part, name in PARTS.items()}
    frames["incomplete.csv"] = summary.runs.incomplete
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
