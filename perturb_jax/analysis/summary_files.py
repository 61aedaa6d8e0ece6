"""An experiment's tables as files, for people and with all digits, and read again where the runs are not at hand."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from perturb_jax.analysis.runs import LISTED, Runs, ordered, own_metrics
from perturb_jax.analysis.summary import Summary
from perturb_jax.analysis.text import text_tables
from perturb_jax.analysis.text_tables import latex, markdown
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import versions

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


_TEXTS = dict.fromkeys(["data", "predictor", "strategy", "metric", "missing"], str)  # "8" is a name, too


def read_summary(directory: str | Path) -> Summary:
    """What `summarise` returned before `table_files` made files of it: the same tables and figures follow from it.

    Limits: tables have no single runs. `runs` has the names, and no row in `means` but one for each metric without a
    value; `absent` is empty (`notes` say what is).

    Args:
        directory: with these files.

    Raises:
        InputError: a directory without these files.
    """
    root = Path(directory)
    missing = [name for name in FILES if not (root / name).is_file()]
    if missing:
        raise InputError(f"{root}: expected the files of an experiment's tables, found no {', '.join(missing)}")
    record = json.loads((root / "tables.json").read_text(encoding="utf-8"))
    frames = {part: _read(root / name) for part, name in PARTS.items()}
    config = record["experiment"].get("config", {})
    names = {column: ordered(config.get(listed), frames["final"][column]) for column, listed in LISTED.items()}
    times = frames["times"]
    runs = Runs(
        means=pd.DataFrame({"metric": frames["final"]["metric"].unique()}),
        incomplete=_read(root / "incomplete.csv"),
        absent=(),
        data=names["data"],
        predictors=names["predictor"],
        strategies=names["strategy"],
        model_based=frozenset(times.loc[times["total"] > times["selection"], "strategy"]),
        simulated=frozenset(record["simulated"]),
        fixed=frozenset(config.get("fixed") or ()),
        own=own_metrics(record["experiment"]),
    )
    return Summary(runs=runs, baseline=record["baseline"], notes=tuple(record["notes"]), **frames)


def _read(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, float_precision="round_trip", dtype=_TEXTS)
    if "verdict" in table:
        table["verdict"] = table["verdict"].astype(object).fillna("")
    return table.drop(columns="simulated", errors="ignore")
