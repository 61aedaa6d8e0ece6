"""An experiment's tables for people and with all digits: as Markdown, LaTeX and CSV, and read again from these."""

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from perturb_jax.analysis.results import LISTED, PLACE, Runs, ordered, own_metrics
from perturb_jax.analysis.summary import Summary
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import versions

Mark = Literal["", "better", "worse"]

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "<": "$<$", ">": "$>$",
}  # fmt: skip


class Cell(NamedTuple):
    """A text, and whether it is marked as better (bold) or worse (italic) than what it is compared with."""

    text: str
    mark: Mark = ""


class TextTable(NamedTuple):
    """A table for people; its name is for LaTeX's label.

    So many columns, from the left, are words and not numbers; a rule divides the blocks of rows.
    """

    name: str
    caption: str
    header: tuple[str, ...]
    words: int
    blocks: tuple[tuple[tuple[Cell, ...], ...], ...]

    def _repr_markdown_(self) -> str:
        """What a notebook shows."""
        return markdown(self)


def markdown(table: TextTable) -> str:
    """The table in Markdown, its caption above."""
    ends = ["---"] * table.words + ["---:"] * (len(table.header) - table.words)
    rows = [[_markdown_cell(cell) for cell in row] for block in table.blocks for row in block]
    lines = [[_markdown_text(name) for name in table.header], ends, *rows]
    return f"{_markdown_text(table.caption)}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def latex(table: TextTable) -> str:
    """The table in LaTeX; the document needs the packages booktabs and graphicx (what is too wide is made smaller)."""
    columns = "l" * table.words + "r" * (len(table.header) - table.words)
    blocks = [[_row(map(_latex_cell, row)) for row in block] for block in table.blocks]
    body = "\n\\midrule\n".join("\n".join(block) for block in blocks)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(table.caption)}}}",
            rf"\label{{tab:{table.name}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _row(latex_text(name) for name in table.header),
            r"\midrule",
            body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def latex_text(text: str) -> str:
    r"""A text with what LaTeX would read as a command escaped, and the minus of a number as one.

    Examples:
        >>> print(latex_text("k_1 & -0.5"))
        k\_1 \& $-$0.5
    """
    escaped = "".join(_LATEX.get(letter, letter) for letter in text)
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", escaped)


def decimals(spreads: Sequence[float] | np.ndarray, values: Sequence[float] | np.ndarray) -> int:
    """Digits behind the point that show two digits of the median spread; without one, three of the median value.

    Examples:
        >>> decimals([0.011, 0.02, 0.1], [0.5])
        3
    """
    for numbers, digits in ((spreads, 1), (values, 2)):
        sizes = np.abs(np.asarray(numbers, float))
        sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
        if sizes.size:
            return int(np.clip(digits - np.floor(np.log10(np.median(sizes))), 0, 9))
    return 3


def number(value: float, digits: int, signed: bool = False) -> str:
    """A number with so many digits behind the point; nothing for NaN."""
    return "" if not np.isfinite(value) else f"{value:{'+' if signed else ''}.{digits}f}"


def with_spread(value: float, spread: float, digits: int) -> str:
    """A value ± a spread, which is left out where there is none."""
    shown = number(value, digits)
    return f"{shown} ± {number(spread, digits)}" if shown and np.isfinite(spread) else shown


def with_interval(value: float, low: float, high: float, digits: int) -> str:
    """A signed value [from, to]; without the interval where there is none."""
    shown = number(value, digits, signed=True)
    interval = f" [{number(low, digits, signed=True)}, {number(high, digits, signed=True)}]"
    return shown + interval if shown and np.isfinite(low) else shown


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_|<])", r"\\\1", text)


def _markdown_cell(cell: Cell) -> str:
    mark = {"": "", "better": "**", "worse": "*"}[cell.mark]
    return f"{mark}{_markdown_text(cell.text)}{mark}"


def _latex_cell(cell: Cell) -> str:
    text = latex_text(cell.text)
    return {"": text, "better": rf"\textbf{{{text}}}", "worse": rf"\textit{{{text}}}"}[cell.mark]


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


_METRIC_ROW = [*PLACE, "metric", "strategy"]
_EMPTY = Cell("")


def text_tables(summary: Summary) -> list[TextTable]:
    """The tables for people, the paper's Table 1 first; those without a row are left out."""
    tables: list[TextTable] = []
    makers = (main_table, _difference_table, _area_table, _time_table, _stability_table)
    for count, predictor in enumerate(summary.runs.predictors, 1):
        found = [make(summary, predictor) for make in makers]
        tables += [table._replace(name=f"{table.name}-{count}") for table in found]
    if len(summary.runs.predictors) > 1:
        tables += [_predictor_table(summary, metric) for metric in summary.runs.shown]
        tables.append(_predictor_difference_table(summary))
    return [table for table in tables if table.blocks]


def main_table(summary: Summary, predictor: str) -> TextTable:
    """Strategy x data set x metric at the last cycle, mean ± sd over seeds: the paper's Table 1."""
    own = summary.final[summary.final["predictor"] == predictor]
    verdicts = _rows(summary.differences, _METRIC_ROW)
    columns = [(data, metric) for data in own["data"].unique() for metric in summary.runs.shown]
    cells: dict[tuple[object, ...], Cell] = {}
    for _, part in own.groupby(["data", "metric"], sort=False):
        digits = decimals(part["sd"].to_numpy(), part["mean"].to_numpy())
        for key, row in _rows(part, _METRIC_ROW).items():
            text = with_spread(row["mean"], row["sd"], digits)
            cells[key] = Cell(text, verdicts.get(key, {}).get("verdict", ""))
    rows = tuple(
        (Cell(name), *(cells.get((data, predictor, metric, name), _EMPTY) for data, metric in columns))
        for name in summary.runs.strategies
        if name in set(own["strategy"])
    )
    last = _rows(own.drop_duplicates("data"), ["data"]).values()
    after = "; ".join(f"{row['data']}: {row['cycle']} cycles, {row['size']:.0f} perturbations" for row in last)
    caption = (
        f"{summary.notes[0]} {predictor}: {_measured(summary)} of test perturbations after the last cycle ({after}), "
        f"mean ± standard deviation over seeds. {_marks(summary.baseline)}"
    )
    header = ("strategy", *(f"{name}: {summary.runs.metric(metric).label}" for name, metric in columns))
    return TextTable("final", caption, header, 1, (rows,) if rows else ())


def _difference_table(summary: Summary, predictor: str) -> TextTable:
    final, metrics = _rows(summary.final, _METRIC_ROW), summary.runs.shown
    shown = _intervals(summary.differences, "mean", "low", "high")

    def cells(data: str, strategy: str) -> list[Cell]:
        keys = [(data, predictor, metric, strategy) for metric in metrics]
        pairs = [(shown(key), Cell(number(final[key]["rank"], 1) if key in final else "")) for key in keys]
        seeds = max((final[key]["seeds"] for key in keys if key in final), default="")
        return [*chain.from_iterable(pairs), Cell(str(seeds))]

    labels = [summary.runs.metric(metric).label for metric in metrics]
    caption = (
        f"{predictor} after the last cycle: difference to {summary.baseline} with the same seed [95 % t interval], "
        f"mean rank over the seeds that all strategies have (1 is best), seeds. {_marks(summary.baseline)}"
    )
    header = [*chain.from_iterable((f"{label}, less {summary.baseline}", "rank") for label in labels), "seeds"]
    return _by_strategy(summary, predictor, "differences", caption, header, cells)


def _area_table(summary: Summary, predictor: str) -> TextTable:
    table, metrics = _rows(summary.areas, _METRIC_ROW), summary.runs.shown
    shown = _intervals(summary.areas, "difference", "low_difference", "high_difference")

    def cells(data: str, strategy: str) -> list[Cell]:
        found = []
        for metric in metrics:
            key = (data, predictor, metric, strategy)
            row = table.get(key)
            text = "" if row is None else f"{row['worse']:.1f} of {row['steps']:.0f} ({row['seeds_with_worse']:.0%})"
            found += [shown(key), Cell(text)]
        return found

    header = []
    for metric in map(summary.runs.metric, metrics):
        turned = "rose" if metric.smaller_is_better else "fell"
        header += [f"{metric.label} area, less {summary.baseline}", f"{metric.label} {turned}"]
    caption = (
        f"{predictor}: area under the learning curve over the number of perturbations, divided by their range, less "
        f"that of {summary.baseline} with the same seed [95 % t interval]; in how many cycles the metric got worse "
        f"(mean over seeds; fraction of seeds with any). {_marks(summary.baseline)}"
    )
    return _by_strategy(summary, predictor, "areas", caption, header, cells, len(table) > 0)


def _time_table(summary: Summary, predictor: str) -> TextTable:
    table = _rows(summary.times, [*PLACE, "strategy"])

    def cells(data: str, strategy: str) -> list[Cell]:
        row = table.get((data, predictor, strategy))
        columns = ("selection", "selection_ratio", "total", "total_ratio")
        return [_EMPTY if row is None else Cell(_significant(row[name])) for name in columns]

    caption = (
        "Seconds to choose the perturbations of all cycles, median over seeds; and together with the time of "
        f"embeddings and of the training of {predictor} before each choice that reads them. Each also as a multiple of "
        "graphreach's."
    )
    header = ("choosing, s", "of graphreach's", "with embedding, s", "of graphreach's")
    return _by_strategy(summary, predictor, "times", caption, header, cells, len(table) > 0)


def _stability_table(summary: Summary, predictor: str) -> TextTable:
    table = summary.stability[summary.stability["predictor"] == predictor]
    keys = ["data", "strategy"]
    first, last = (_rows(table.drop_duplicates(keys, keep=end), keys) for end in ("first", "last"))

    def cells(data: str, strategy: str) -> list[Cell]:
        key = (data, strategy)
        if key not in last:
            return [_EMPTY] * 5
        counts = [Cell(f"{last[key][name]:.0f}") for name in ("seeds", "size", "unique")]
        return [*counts, *(Cell(f"{end[key]['jaccard']:.2f}") for end in (first, last))]

    caption = (
        f"Sensitivity to initialisation, {predictor}: perturbations that a seed selects, different ones over the "
        "seeds, and the mean Jaccard index of two seeds' selections after the first and the last cycle."
    )
    header = ("seeds", "selected", "unique", "Jaccard, first", "Jaccard, last")
    return _by_strategy(summary, predictor, "stability", caption, header, cells, len(table) > 0)


def _predictor_table(summary: Summary, metric: str) -> TextTable:
    runs, baseline = summary.runs, summary.baseline
    shown = _intervals(summary.differences, "mean", "low", "high")
    names = [name for name in runs.strategies if name != baseline]
    blocks = tuple(
        tuple(
            (Cell(data), Cell(name), *(shown((data, predictor, metric, name)) for predictor in runs.predictors))
            for name in names
        )
        for data in runs.data
    )
    about = runs.metric(metric)
    caption = (
        f"{summary.notes[0]} {f'{about.label} over the {about.over}' if about.over else about.label} after the last "
        f"cycle, less that of {baseline} with the same seed and predictor [95 % t interval]. {_marks(baseline)}"
    )
    header = ("data", "strategy", *runs.predictors)
    return TextTable(f"predictors-{metric.replace('_', '-')}", caption, header, 2, blocks if names else ())


def _predictor_difference_table(summary: Summary) -> TextTable:
    metrics, (first, *others) = summary.runs.shown, summary.runs.predictors
    shown = _intervals(summary.predictors.assign(strategy=""), "mean", "low", "high")
    pairs = _rows(summary.predictors, [*PLACE, "metric"])
    block = tuple(
        (
            Cell(data), Cell(name), *(shown((data, name, metric, "")) for metric in metrics),
            Cell(f"{pairs[data, name, metrics[0]]['pairs']:.0f}"),
        )
        for data, name in product(summary.runs.data, others)
        if (data, name, metrics[0]) in pairs
    )  # fmt: skip
    caption = (
        f"{summary.notes[0]} Predictors: difference to {first} after the same cycle of the same strategy with the "
        "same seed, mean over a seed's cycles and strategies [95 % t interval over seeds], and how many pairs of "
        f"trainings. Bold is better and italic is worse than {first}, where the interval excludes 0."
    )
    header = ("data", "predictor", *(f"{summary.runs.metric(one).label}, less {first}" for one in metrics), "pairs")
    return TextTable("predictor-differences", caption, header, 2, (block,) if block else ())


def _by_strategy(
    summary: Summary, predictor: str, name: str, caption: str, header: Sequence[str],
    cells: Callable[[str, str], list[Cell]], filled: bool = True,
) -> TextTable:  # fmt: skip
    """A block for each data set, a row for each strategy that has complete runs there."""
    own = summary.final[summary.final["predictor"] == predictor]
    there = set(own[["data", "strategy"]].itertuples(index=False, name=None))
    blocks = tuple(
        tuple((Cell(data), Cell(one), *cells(data, one)) for one in summary.runs.strategies if (data, one) in there)
        for data in own["data"].unique()
    )
    header = ("data", "strategy", *header)
    return TextTable(name, f"{summary.notes[0]} {caption}", header, 2, blocks if filled else ())


def _intervals(table: pd.DataFrame, mean: str, low: str, high: str) -> Callable[[tuple[str, ...]], Cell]:
    """Shows a difference with as many digits as the intervals of its data set, predictor and metric deserve."""
    digits = {
        key: decimals(((own[high] - own[low]) / 2).to_numpy(), own[mean].to_numpy())
        for key, own in table.groupby([*PLACE, "metric"])
    }
    rows = _rows(table, _METRIC_ROW)

    def shown(key: tuple[str, ...]) -> Cell:
        row = rows.get(key)
        if row is None:
            return _EMPTY
        return Cell(with_interval(row[mean], row[low], row[high], digits[key[:3]]), row["verdict"])

    return shown


def _rows(table: pd.DataFrame, keys: list[str]) -> dict[tuple[object, ...], dict[str, Any]]:
    """Rows by the values of some columns."""
    records: list[dict[Any, Any]] = table.to_dict("records")
    return {tuple(row[key] for key in keys): row for row in records}


def _measured(summary: Summary) -> str:
    """What is shown, in a caption: spelt out for the metrics that ship here."""
    spelt = {"mse_de": "mean squared error", "pearson_de": "Pearson correlation"}
    usual = [spelt[metric] for metric in summary.runs.shown if metric in spelt]
    others = [summary.runs.metric(metric).words for metric in summary.runs.shown if metric not in spelt]
    over = [f"{' and '.join(usual)} over the DE genes"] if usual else []
    return ", ".join(over + others)


def _marks(baseline: str) -> str:
    return (
        f"Bold is better and italic is worse than {baseline}, where the 95 % interval of the difference paired by seed "
        "excludes 0; what is not marked cannot be distinguished from it."
    )


def _significant(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else number(value, decimals([], [value]))


PARTS = {
    "final": "table.csv", "differences": "differences.csv", "curves": "curves.csv",
    "difference_curves": "difference_curves.csv", "areas": "areas.csv", "times": "times.csv", "costs": "costs.csv",
    "predictors": "predictors.csv", "stability": "stability.csv",
}  # fmt: skip
"""Where each frame of a summary is kept."""

FILES = ("table.md", "table.tex", *PARTS.values(), "incomplete.csv", "tables.json")


def table_files(summary: Summary, record: dict[str, Any]) -> dict[str, bytes]:
    """The contents of `FILES`; every CSV of outcomes says in a column whether they are simulated."""
    frames = {name: getattr(summary, part) for part, name in PARTS.items()}
    frames["incomplete.csv"] = summary.runs.incomplete
    for name, frame in frames.items():
        if "data" in frame:
            frames[name] = frame.assign(simulated=frame["data"].isin(summary.runs.simulated))
    tables = text_tables(summary)
    texts = {
        "table.md": "\n\n".join(summary.notes) + "\n\n" + "\n".join(map(markdown, tables)),
        "table.tex": "".join(f"% {note}\n" for note in summary.notes) + "\n" + "\n".join(map(latex, tables)),
        "tables.json": json.dumps(tables_record(summary, record), indent=2, ensure_ascii=False) + "\n",
    } | {name: frame.to_csv(index=False, lineterminator="\n") for name, frame in frames.items()}
    return {name: texts[name].encode() for name in FILES}


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
