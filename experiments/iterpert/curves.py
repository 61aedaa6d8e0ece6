"""IterPert's published learning curves beside simulated ones of our own: tables and a figure in results/.

::

    python experiments/iterpert/curves.py METRICS.json.gz [--simulated DIR [--data LABEL] [--predictor LABEL]]

DIR holds results of `perturb-jax run` on simulated data; without it there is only the published panel. ``--out`` names
another place for what is written: published.csv, tables.md, curves.png.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from published import LABELLED, MAIN, METRICS, RANDOM, read_published, unpaired

from perturb_jax.analysis.results import read_results
from perturb_jax.analysis.summary import Summary, differences, estimates, summarise
from perturb_jax.analysis.tables import Cell, TextTable, markdown, number, with_interval, with_spread
from perturb_jax.support.figures import RANDOM as GREY, canvas

BOTH = {RANDOM: "random", "ACS-FW": "acs-fw", "TypiClust": "typiclust"}
"""Strategies that are in both panels: their names, ours."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


class Simulated(NamedTuple):
    """A part of an experiment on simulated data: one data set and one predictor."""

    summary: Summary
    data: str
    predictor: str

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of a table of the summary: this part's error over the DE genes, by strategy."""
        rows = (table["data"] == self.data) & (table["predictor"] == self.predictor) & (table["metric"] == "mse_de")
        return table[rows].set_index("strategy")


def read_simulated(directory: Path, data: str | None, predictor: str | None) -> Simulated:
    """The named part of an experiment's results, or its first.

    Raises:
        SystemExit: no such part, or data that are not simulated.
    """
    summary = summarise(read_results(directory))
    runs = summary.runs
    found = Simulated(summary, data or runs.data[0], predictor or runs.predictors[0])
    if found.data not in runs.simulated or found.of(summary.curves).empty:
        raise SystemExit(
            f"{directory}: expected simulated data of {', '.join(runs.data)} and a predictor of "
            f"{', '.join(runs.predictors)}, got {found.data!r} and {found.predictor!r}"
        )
    return found


def summary_table(values: pd.Series) -> pd.DataFrame:
    """Mean, standard deviation over runs and 95 % interval by metric, strategy and round."""
    found = estimates(values).reset_index()
    labelled = found["cycle"].map(dict(enumerate(LABELLED, 1)))
    return found.assign(labelled=labelled).rename(columns={"seeds": "runs"}).round(6)


def final_table(values: pd.Series) -> TextTable:
    """At the last round, the best first: error, its spread, and the difference to Random."""
    last = values.xs((MAIN, len(LABELLED)), level=("metric", "cycle"))
    each = estimates(last).sort_values("mean")
    paired, all_runs = estimates(differences(last, RANDOM)), unpaired(last, RANDOM)
    base = each.loc[RANDOM, "mean"]
    rows = []
    for name, own in each.iterrows():
        cells = [Cell(str(name)), Cell(f"{own['seeds']:.0f}"), Cell(with_spread(own["mean"], own["sd"], 4))]
        if name != RANDOM:
            pairs, every = paired.loc[name], all_runs.loc[name]
            cells += [Cell(f"{100 * pairs['mean'] / base:+.1f} %"), interval(pairs), interval(every)]
        rows.append((*cells, *[Cell("")] * (6 - len(cells))))
    caption = (
        "Published (measured outcomes): mean squared error over the top 20 DE genes after the last round "
        f"({LABELLED[-1]} labelled perturbations), ± standard deviation over runs, and less Random's with 95 % "
        "intervals: paired by run (the five that Random has), and unpaired with all runs. Bold: better than Random, "
        "italic: worse (the interval excludes 0)."
    )
    header = ("strategy", "runs", "MSE", "less Random's, paired", "with interval", "unpaired, all runs")
    return TextTable("final", caption, header, 1, (tuple(rows),))


def interval(row: pd.Series, smaller: bool = True, digits: int = 4, unit: str = "") -> Cell:
    """A difference with its interval, marked where that excludes 0."""
    lower, higher = row["high"] < 0, row["low"] > 0
    better, worse = (lower, higher) if smaller else (higher, lower)
    text = with_interval(row["mean"], row["low"], row["high"], digits) + unit
    return Cell(text, "better" if better else "worse" if worse else "")


def metrics_table(values: pd.Series) -> TextTable:
    """All metrics at the last round: the difference to Random in per cent of Random's value, paired."""
    last = values.xs(len(LABELLED), level="cycle")
    found = estimates(differences(last, RANDOM))
    base = last.xs(RANDOM, level="strategy").groupby(level="metric").mean()
    order = estimates(last.xs(MAIN, level="metric"))["mean"].sort_values().index.drop(RANDOM)
    rows = []
    for name in order:
        cells = [Cell(str(name))]
        for metric, (_, smaller) in METRICS.items():
            row = found.loc[(metric, name)] * (100 / base[metric])
            cells.append(interval(row, smaller, 0)._replace(text=number(row["mean"], 1, signed=True)))
        rows.append(tuple(cells))
    caption = (
        "Published (measured outcomes): all metrics after the last round, less Random's, per cent of Random's, paired "
        "by run. Bold: better than Random, italic: worse (the 95 % interval excludes 0)."
    )
    return TextTable("metrics", caption, ("strategy", *(words for words, _ in METRICS.values())), 1, (tuple(rows),))


def gains_table(values: pd.Series, simulated: Simulated) -> TextTable:
    """Gains over Random by round, of strategies that are in both."""
    own = values.xs(MAIN, level="metric")
    theirs = estimates(differences(own, RANDOM))
    base = own.xs(RANDOM, level="strategy").groupby(level="cycle").mean()
    curves, less = (simulated.of(table) for table in (simulated.summary.curves, simulated.summary.difference_curves))
    baseline = simulated.summary.baseline
    blocks = []
    for name, label in BOTH.items():
        if name == RANDOM or label not in less.index:
            continue
        published = [theirs.loc[(cycle, name)] * (100 / base[cycle]) for cycle in base.index]
        random = curves.loc[[baseline]].set_index("cycle")["mean"]
        ours = less.loc[[label]].set_index("cycle")[["mean", "low", "high"]]
        made = [row * (100 / random[cycle]) for cycle, row in ours.iterrows()]
        for kind, parts in (("published", published), ("SIMULATED", made)):
            steps = [interval(part, True, 1, " %") for part in parts]
            blocks.append((Cell(name), Cell(kind), *steps))
    rounds = max((len(row) - 2 for row in blocks), default=0)
    filled = tuple((*row, *[Cell("")] * (rounds - len(row) + 2)) for row in blocks)
    caption = (
        f"Published beside SIMULATED ({simulated.data}, {simulated.predictor}): MSE over the top 20 DE genes less "
        "Random's with the same seed, per cent of Random's, by round, with 95 % intervals."
    )
    return TextTable("gains", caption, ("strategy", "outcomes", *map(str, range(1, rounds + 1))), 2, (filled,))


def draw(axes: Axes, curves: dict[str, pd.DataFrame], baseline: str, looks: dict[str, int]) -> None:
    """Curves with columns size, mean, low, high; a band for the baseline, and for the rest a bar at the last round."""
    last = max(curve["size"].max() for curve in curves.values())
    step = 0.012 * (last - min(curve["size"].min() for curve in curves.values()))
    for place, (name, curve) in enumerate(sorted(curves.items(), key=lambda item: item[1]["mean"].iloc[-1])):
        if name == baseline:
            axes.fill_between(curve["size"], curve["low"], curve["high"], color=GREY, alpha=0.25, linewidth=0)
            axes.plot(curve["size"], curve["mean"], ":", color=GREY, linewidth=2.4, label=name)
            continue
        look = looks.setdefault(name.lower(), len(looks))
        colour, marker = COLOURS[look % len(COLOURS)], MARKERS[look % len(MARKERS)]
        dashes = "-" if look < len(COLOURS) else "--"
        axes.plot(curve["size"], curve["mean"], dashes, marker=marker, markersize=4, color=colour, label=name)
        end = curve.iloc[-1]
        axes.plot([last + step * (place + 2)] * 2, [end["low"], end["high"]], color=colour, linewidth=1.6)
    axes.set(xlabel="labelled perturbations", ylabel="MSE over the top 20 DE genes")
    axes.legend(title="best first", fontsize=8.5, title_fontsize=8.5)


def picture(values: pd.Series, simulated: Simulated | None) -> bytes:
    """Learning curves, published at the left and, if there are any, simulated at the right."""
    found = estimates(values.xs(MAIN, level="metric")).reset_index()
    found = found.assign(size=found["cycle"].map(dict(enumerate(LABELLED, 1))))
    published = {str(name): own for name, own in found.groupby("strategy")}
    title = "Mean over runs, 95 % intervals (band; bars)."
    looks: dict[str, int] = {}
    with canvas(title, (11.5 if simulated else 6.0, 5.0)) as (figure, output):
        panels = np.atleast_1d(figure.subplots(1, 2 if simulated else 1))
        draw(panels[0], published, RANDOM, looks)
        panels[0].set_title("Published: GEARS on Replogle K562 (IterPert's authors)")
        if simulated:
            own = simulated.of(simulated.summary.curves).reset_index()
            curves = {str(name): part for name, part in own.groupby("strategy")}
            draw(panels[1], curves, simulated.summary.baseline, looks)
            panels[1].set_title(f"SIMULATED outcomes: {simulated.data}, {simulated.predictor}")
    return output.getvalue()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("metrics", type=Path)
    options.add_argument("--simulated", type=Path)
    options.add_argument("--data")
    options.add_argument("--predictor")
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = options.parse_args()
    values = read_published(args.metrics)
    simulated = read_simulated(args.simulated, args.data, args.predictor) if args.simulated else None
    tables = [final_table(values), metrics_table(values)]
    if simulated:
        tables += [gains_table(values, simulated)]
    args.out.mkdir(parents=True, exist_ok=True)
    summary_table(values).to_csv(args.out / "published.csv", index=False)
    text = "\n".join(markdown(table) for table in tables)
    (args.out / "tables.md").write_text(text)
    (args.out / "curves.png").write_bytes(picture(values, simulated))
    print(text)


if __name__ == "__main__":
    main()
