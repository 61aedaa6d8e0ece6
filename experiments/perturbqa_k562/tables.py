"""Tables for people, from what run.py stored; with --readme also into the marked places of a text.

    python experiments/perturbqa_k562/tables.py --results experiments/perturbqa_k562/results

A place is everything between `<!-- table NAME -->` and `<!-- end -->`.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from distance_summary import by_fifth, correlations
from layout import AT, MEASURE, cell, markdown, present, store
from option_tables import confirmation_table, options_table, sensitivity_table, shrinkage_table
from summary import (
    GO,
    MEASURES,
    OTHER,
    TERMS,
    arms_of,
    budgets_of,
    cautious,
    difference,
    equivalent,
    level,
    per_seed,
    predictors_of,
    read,
    show_count,
)

SHOWN = ("design variance", "design facility", "design soft", "design information", "graphreach in k=1", "k-center")


def main_table(table: pd.DataFrame) -> str:
    """Difference to Random of every arm, at two budgets, with three predictors."""
    values = per_seed(table, "main", MEASURE)
    names = predictors_of(table, (GO, TERMS, OTHER))
    places = [(name, budget) for budget in present(table, AT) for name in names]
    arms = sorted(arms_of(table, "main"), key=lambda arm: -difference(values, *_first(places, arm)).mean)
    rows = [[arm, *(cell(difference(values, name, arm, budget)) for name, budget in places)] for arm in arms]
    rows.append(["random, the level itself", *(f"{level(values, n, 'random', b).mean:.3f}" for n, b in places)])
    return markdown(["chosen by", *(f"{name}, {budget} picks" for name, budget in places)], rows)


def cautious_table(table: pd.DataFrame) -> str:
    """The main table with intervals that allow for the seeds' sharing perturbations."""
    values = per_seed(table, "main", MEASURE)
    places = [(n, b) for b in present(table, AT) for n in predictors_of(table, (GO, TERMS, OTHER))]
    rows = [[arm, *(cell(cautious(difference(values, n, arm, b))) for n, b in places)] for arm in SHOWN]
    return markdown(["chosen by", *(f"{name}, {budget} picks" for name, budget in places)], rows)


def measures_table(table: pd.DataFrame) -> str:
    """Every measure at 100 picks or the smallest budget: Random's level, and the differences of some arms."""
    budget = present(table, AT)[0]
    rows = []
    for name in predictors_of(table, (GO, OTHER)):
        for measure, words in MEASURES.items():
            values = per_seed(table, "main", measure)
            differences = [cell(difference(values, name, arm, budget)) for arm in SHOWN]
            rows.append([name, words, f"{level(values, name, 'random', budget).mean:.3f}", *differences])
    return f"At {budget} picks.\n\n" + markdown(["predictor", "measure", "random", *SHOWN], rows)


def predictors_table(table: pd.DataFrame) -> str:
    """The main measure for every predictor: Random's level, and the differences of some arms."""
    values = per_seed(table, "main", MEASURE)
    rows = [
        [name, budget, f"{level(values, name, 'random', budget).mean:.3f}"]
        + [cell(difference(values, name, arm, budget)) for arm in SHOWN]
        for name in table.loc[table["study"] == "main", "predictor"].unique()
        for budget in present(table, AT)
    ]
    return markdown(["predictor", "picks", "random", *SHOWN], rows)


def budgets_table(table: pd.DataFrame) -> str:
    """The main measure of every arm at every budget, with a GO predictor and one that is not."""
    values = per_seed(table, "main", MEASURE)
    budgets = budgets_of(table)
    rows = [
        [name, arm, *(cell(difference(values, name, arm, budget)) for budget in budgets)]
        for name in predictors_of(table, (GO, OTHER))
        for arm in arms_of(table, "main")
    ]
    return markdown(["predictor", "chosen by", *(f"{budget} picks" for budget in budgets)], rows)


def least_table(table: pd.DataFrame) -> str:
    """Whether the least number of positives and negatives of the genes averaged matters."""
    budget = present(table, AT)[0]
    rows = []
    for name in predictors_of(table, (GO, OTHER)):
        for measure, least in (("gene_auroc_least_3", 3), (MEASURE, 5), ("gene_auroc_least_10", 10)):
            values = per_seed(table, "main", measure)
            rows.append([name, least, *(cell(difference(values, name, arm, budget)) for arm in SHOWN)])
    return f"At {budget} picks.\n\n" + markdown(["predictor", "at least", *SHOWN], rows)


def equivalence_table(table: pd.DataFrame) -> str:
    """How many random experiments a design is worth."""
    values = per_seed(table, "main", MEASURE)
    largest = int(table.loc[table["arm"] == "random", "budget"].max())
    rows = []
    for name in predictors_of(table, (GO, TERMS, OTHER)):
        for arm in SHOWN:
            for budget in present(table, (50, 100, 200)):
                found = equivalent(values, name, arm, budget)
                low, high = (show_count(value, largest) for value in (found.low, found.high))
                rows.append([name, arm, budget, show_count(found.random, largest), f"{low} to {high}"])
    return markdown(["predictor", "chosen by", "experiments", "equal random ones", "95 % of resampled seeds"], rows)


def headline(table: pd.DataFrame) -> str:
    """What designed experiments are worth, in sentences."""
    values = per_seed(table, "main", MEASURE)
    largest = int(table.loc[table["arm"] == "random", "budget"].max())
    lines = []
    for arm in ("design variance", "design facility", "graphreach in k=1"):
        for budget in present(table, (50, 100, 200)):
            words = []
            for name in predictors_of(table, (GO, TERMS, OTHER)):
                found = equivalent(values, name, arm, budget)
                low, high = (show_count(value, largest) for value in (found.low, found.high))
                words.append(f"{show_count(found.random, largest)} with {name} ({low} to {high})")
            lines.append(f"- {budget} by {arm} = random ones: {', '.join(words)}")
    return "\n".join(lines)


def seconds_table(table: pd.DataFrame) -> str:
    """How long each choice took, on the machine of the record."""
    taken = table[(table["study"] == "main") & table["seconds"].notna()].groupby("arm", sort=False)["seconds"].median()
    return markdown(["chosen by", "seconds, median"], [[arm, f"{value:.2f}"] for arm, value in taken.items()])


def genes_line(table: pd.DataFrame, record: dict) -> str:
    """What the averages are over."""
    genes = table.groupby("seed")["genes_averaged"].first()
    return (
        f"{record['perturbations']:,} perturbations and {record['genes']:,} measured genes, "
        f"{record['labelled_pairs']:,} labelled pairs, {100 * record['positive_share']:.1f} % positive; "
        f"{len(record['dropped_perturbations'])} perturbations left out because the graph does not know them; "
        f"{record['seeds']} seeds; {genes.min()} to {genes.max()} genes averaged over, depending on the seed."
    )


def _first(places: Sequence[tuple[str, int]], arm: str) -> tuple[str, str, int]:
    return places[0][0], arm, places[0][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--readme", type=Path, help="a text whose marked places are filled")
    options = parser.parse_args()
    table = read(options.results)
    record = json.loads((options.results / "record.json").read_text())
    makers: dict[str, Callable[[pd.DataFrame], str]] = {
        "main": main_table, "cautious": cautious_table, "measures": measures_table, "predictors": predictors_table,
        "budgets": budgets_table,
        "least": least_table, "equivalence": equivalence_table, "sensitivity": sensitivity_table,
        "confirmation": confirmation_table, "options": options_table, "shrinkage": shrinkage_table,
        "headline": headline, "seconds": seconds_table,
    }  # fmt: skip
    tables = {name: make(table) for name, make in makers.items()}
    far = pd.read_csv(options.results / "distance.csv.gz")
    tables |= {"distance": by_fifth(far, markdown), "correlations": correlations(far, markdown)}
    tables["data"] = genes_line(table, record)
    store(tables, options.results, options.readme)


if __name__ == "__main__":
    main()
