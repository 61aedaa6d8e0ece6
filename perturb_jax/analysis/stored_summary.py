"""The numbers of an experiment from its tables, where the runs themselves are not at hand."""

import json
from pathlib import Path

import pandas as pd

from perturb_jax.analysis.experiment_files import FILES, PARTS
from perturb_jax.analysis.experiment_tables import Summary
from perturb_jax.analysis.run_means import LISTED, Runs, ordered
from perturb_jax.support.errors import InputError

_TEXTS = dict.fromkeys(["data", "predictor", "strategy", "metric", "missing"], str)  # "8" is a name, too


def read_summary(directory: str | Path) -> Summary:
    """What `summarise` returned before `perturb-jax table` wrote it: the same tables and figures follow from it.

    Limits: tables have no single runs. `runs` has the names, and no row in `means` but one for each metric without a
    value; `absent` is empty (`notes` say what is).

    Args:
        directory: with the files of `perturb-jax table`.

    Raises:
        InputError: a directory without these files.
    """
    root = Path(directory)
    missing = [name for name in FILES if not (root / name).is_file()]
    if missing:
        raise InputError(f"{root}: expected the files of perturb-jax table, found no {', '.join(missing)}")
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
    )
    return Summary(runs=runs, baseline=record["baseline"], notes=tuple(record["notes"]), **frames)


def _read(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, float_precision="round_trip", dtype=_TEXTS)
    if "verdict" in table:
        table["verdict"] = table["verdict"].astype(object).fillna("")
    return table.drop(columns="simulated", errors="ignore")
