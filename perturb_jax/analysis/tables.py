"""An experiment's tables for people and with all digits: as Markdown, LaTeX and CSV, and read again from these."""

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from perturb_jax.analysis.results import LISTED, PLACE, Runs, ordered, own_metrics
from perturb_jax.analysis.summary import CURVE, Summary
from perturb_jax.support.errors import InputError
from perturb_jax.support.files import json_bytes, versions

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
    marked = {"": "{}", "better": "**{}**", "worse": "*{}*"}
    body = [row for block in table.blocks for row in block]
    rows = [[marked[cell.mark].format(_markdown_text(cell.text)) for cell in row] for row in body]
    lines = [[_markdown_text(name) for name in table.header], ends, *rows]
    return f"{_markdown_text(table.caption)}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def latex(table: TextTable) -> str:
    """The table in LaTeX; the document needs the packages booktabs and graphicx (what is too wide is made smaller)."""
    columns = "l" * table.words + "r" * (len(table.header) - table.words)
    marked = {"": "{}", "better": r"\textbf{{{}}}", "worse": r"\textit{{{}}}"}

    def line(row: Iterable[Cell]) -> str:
        return " & ".join(marked[cell.mark].format(latex_text(cell.text)) for cell in row) + r" \\"

    body = "\n\\midrule\n".join("\n".join(map(line, block)) for block in table.blocks)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(table.caption)}}}",
            rf"\label{{tab:{table.name}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            line(map(Cell, table.header)),
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


_Pair = tuple[str, str]
_Column = tuple[str, dict[_Pair, Cell]]


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
    verdicts = summary.differences.set_index(CURVE)["verdict"].to_dict()
    columns = [(data, metric) for data in own["data"].unique() for metric in summary.runs.shown]
    cells: dict[tuple[Any, ...], Cell] = {}
    for _, part in own.groupby(["data", "metric"], sort=False):
        digits = decimals(part["sd"].to_numpy(), part["mean"].to_numpy())
        for row in part.to_dict("records"):
            key = tuple(row[name] for name in CURVE)
            cells[key] = Cell(with_spread(row["mean"], row["sd"], digits), verdicts.get(key, ""))
    rows = tuple(
        (Cell(name), *(cells.get((data, predictor, metric, name), Cell("")) for data, metric in columns))
        for name in summary.runs.strategies
        if name in set(own["strategy"])
    )
    last = own.drop_duplicates("data").to_dict("records")
    after = "; ".join(f"{row['data']}: {row['cycle']} cycles, {row['size']:.0f} perturbations" for row in last)
    caption = (
        f"{summary.notes[0]} {predictor}: {_measured(summary)} of test perturbations after the last cycle ({after}), "
        f"mean ± standard deviation over seeds. {_marks(summary.baseline)}"
    )
    header = ("strategy", *(f"{name}: {summary.runs.metric(metric).label}" for name, metric in columns))
    return TextTable("final", caption, header, 1, (rows,) if rows else ())


def _difference_table(summary: Summary, predictor: str) -> TextTable:
    columns: list[_Column] = []
    for metric in summary.runs.shown:
        final = part_of(summary.final, predictor, metric)
        label = f"{summary.runs.metric(metric).label}, less {summary.baseline}"
        columns.append((label, _intervals(part_of(summary.differences, predictor, metric))))
        columns.append(("rank", _texts(final, lambda row: number(row["rank"], 1))))
    shown = summary.final[summary.final["metric"].isin(summary.runs.shown)]
    most = shown[shown["predictor"] == predictor].groupby(["data", "strategy"])["seeds"].max().reset_index()
    caption = (
        f"{predictor} after the last cycle: difference to {summary.baseline} with the same seed [95 % t interval], "
        f"mean rank over the seeds that all strategies have (1 is best), seeds. {_marks(summary.baseline)}"
    )
    columns.append(("seeds", _texts(most, lambda row: str(row["seeds"]))))
    return _table(summary, "differences", caption, _complete(summary, predictor), columns)


def _area_table(summary: Summary, predictor: str) -> TextTable:
    columns: list[_Column] = []
    for metric in map(summary.runs.metric, summary.runs.shown):
        areas = part_of(summary.areas, predictor, metric.name)
        less = _intervals(areas, ("difference", "low_difference", "high_difference"))
        worse = _texts(areas, lambda row: f"{row['worse']:.1f} of {row['steps']:.0f} ({row['seeds_with_worse']:.0%})")
        turned = "rose" if metric.smaller_is_better else "fell"
        columns += [(f"{metric.label} area, less {summary.baseline}", less), (f"{metric.label} {turned}", worse)]
    caption = (
        f"{predictor}: area under the learning curve over the number of perturbations, divided by their range, less "
        f"that of {summary.baseline} with the same seed [95 % t interval]; in how many cycles the metric got worse "
        f"(mean over seeds; fraction of seeds with any). {_marks(summary.baseline)}"
    )
    rows = _complete(summary, predictor) if len(summary.areas) else []
    return _table(summary, "areas", caption, rows, columns)


def _time_table(summary: Summary, predictor: str) -> TextTable:
    own = summary.times[summary.times["predictor"] == predictor]
    shown = {
        "selection": "choosing, s", "selection_ratio": "of graphreach's", "total": "with embedding, s",
        "total_ratio": "of graphreach's",
    }  # fmt: skip

    def seconds(name: str) -> dict[_Pair, Cell]:
        return _texts(own, lambda row: _significant(row[name]))

    columns = [(words, seconds(name)) for name, words in shown.items()]
    caption = (
        "Seconds to choose the perturbations of all cycles, median over seeds; and together with the time of "
        f"embeddings and of the training of {predictor} before each choice that reads them. Each also as a multiple of "
        "graphreach's."
    )
    rows = _complete(summary, predictor) if len(summary.times) else []
    return _table(summary, "times", caption, rows, columns)


def _stability_table(summary: Summary, predictor: str) -> TextTable:
    table = summary.stability[summary.stability["predictor"] == predictor]
    first, last = (table.drop_duplicates(["data", "strategy"], keep=end) for end in ("first", "last"))
    columns = [
        ("seeds", _texts(last, lambda row: f"{row['seeds']:.0f}")),
        ("selected", _texts(last, lambda row: f"{row['size']:.0f}")),
        ("unique", _texts(last, lambda row: f"{row['unique']:.0f}")),
        ("Jaccard, first", _texts(first, lambda row: f"{row['jaccard']:.2f}")),
        ("Jaccard, last", _texts(last, lambda row: f"{row['jaccard']:.2f}")),
    ]
    caption = (
        f"Sensitivity to initialisation, {predictor}: perturbations that a seed selects, different ones over the "
        "seeds, and the mean Jaccard index of two seeds' selections after the first and the last cycle."
    )
    return _table(summary, "stability", caption, _complete(summary, predictor) if len(table) else [], columns)


def _predictor_table(summary: Summary, metric: str) -> TextTable:
    runs, baseline, about = summary.runs, summary.baseline, summary.runs.metric(metric)
    columns = [(one, _intervals(part_of(summary.differences, one, metric))) for one in runs.predictors]
    names = [name for name in runs.strategies if name != baseline]
    caption = (
        f"{f'{about.label} over the {about.over}' if about.over else about.label} after the last "
        f"cycle, less that of {baseline} with the same seed and predictor [95 % t interval]. {_marks(baseline)}"
    )
    rows = [[(data, name) for name in names] for data in runs.data] if names else []
    return _table(summary, f"predictors-{metric.replace('_', '-')}", caption, rows, columns)


def _predictor_difference_table(summary: Summary) -> TextTable:
    metrics, first = summary.runs.shown, summary.runs.predictors[0]
    of_metric = {metric: summary.predictors[summary.predictors["metric"] == metric] for metric in metrics}
    columns: list[_Column] = [
        (f"{summary.runs.metric(metric).label}, less {first}", _intervals(own, of="predictor"))
        for metric, own in of_metric.items()
    ]
    pairs = _texts(of_metric[metrics[0]], lambda row: f"{row['pairs']:.0f}", of="predictor")
    caption = (
        f"Predictors: difference to {first} after the same cycle of the same strategy with the "
        "same seed, mean over a seed's cycles and strategies [95 % t interval over seeds], and how many pairs of "
        f"trainings. Bold is better and italic is worse than {first}, where the interval excludes 0."
    )
    rows = [list(pairs)] if pairs else []
    return _table(summary, "predictor-differences", caption, rows, [*columns, ("pairs", pairs)], of="predictor")


def _table(
    summary: Summary, name: str, caption: str, blocks: list[list[_Pair]], columns: list[_Column], of: str = "strategy"
) -> TextTable:
    """A row for each data set and strategy (or predictor)."""
    filled = tuple(
        tuple((*map(Cell, pair), *(cells.get(pair, Cell("")) for _, cells in columns)) for pair in block)
        for block in blocks
    )
    return TextTable(name, f"{summary.notes[0]} {caption}", ("data", of, *(words for words, _ in columns)), 2, filled)


def _complete(summary: Summary, predictor: str) -> list[list[_Pair]]:
    """A block for each data set, with the strategies that have complete runs there."""
    own = summary.final[summary.final["predictor"] == predictor]
    there = set(zip(own["data"], own["strategy"], strict=True))
    return [[(data, one) for one in summary.runs.strategies if (data, one) in there] for data in own["data"].unique()]


def _texts(table: pd.DataFrame, text: Callable[[Any], str], of: str = "strategy") -> dict[_Pair, Cell]:
    return {(row["data"], row[of]): Cell(text(row)) for row in table.to_dict("records")}


def _intervals(
    table: pd.DataFrame, names: tuple[str, str, str] = ("mean", "low", "high"), of: str = "strategy"
) -> dict[_Pair, Cell]:
    """Differences in a metric, with as many digits as the intervals of their data set and predictor deserve."""
    mean, low, high = names
    found: dict[_Pair, Cell] = {}
    for _, own in table.groupby(PLACE):
        digits = decimals(((own[high] - own[low]) / 2).to_numpy(), own[mean].to_numpy())
        for row in own.to_dict("records"):
            text = with_interval(row[mean], row[low], row[high], digits)
            found[row["data"], row[of]] = Cell(text, row["verdict"])
    return found


def part_of(table: pd.DataFrame, predictor: str, metric: str) -> pd.DataFrame:
    """The rows of a predictor and a metric."""
    return table[(table["predictor"] == predictor) & (table["metric"] == metric)]


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


_FRAMES = ("differences", "curves", "difference_curves", "areas", "times", "costs", "predictors", "stability")
PARTS = {"final": "table.csv"} | {part: f"{part}.csv" for part in _FRAMES}
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
    } | {name: frame.to_csv(index=False, lineterminator="\n") for name, frame in frames.items()}
    contents = {name: text.encode(errors="replace") for name, text in texts.items()}
    contents["tables.json"] = json_bytes(tables_record(summary, record))
    return {name: contents[name] for name in FILES}


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
