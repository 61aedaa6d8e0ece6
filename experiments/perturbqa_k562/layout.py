"""How tables for people look."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from summary import Estimate, budgets_of

MEASURE = "gene_auroc"
AT = (100, 400)
"""Budgets shown where there is no room for all."""


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(found: Estimate) -> str:
    """A difference with its interval, or nothing."""
    return "" if np.isnan(found.mean) else str(found)


def present(table: pd.DataFrame, budgets: Sequence[int]) -> list[int]:
    """Those of some budgets that the table has; else its smallest."""
    every = budgets_of(table)
    return [budget for budget in budgets if budget in every] or every[:1]


def fill(text: str, tables: Mapping[str, str]) -> str:
    """Put tables into their places in a text."""
    for name, content in tables.items():
        place = re.compile(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = place.sub(lambda found, content=content: f"{found[1]}\n{content}\n\n{found[2]}", text)
    return text


def store(tables: Mapping[str, str], results: Path, readme: Path | None) -> None:
    """Every table as a file of its own; and into its place in a text, where one is given."""
    for name, content in tables.items():
        (results / f"{name}.md").write_text(content + "\n")
    if readme:
        readme.write_text(fill(readme.read_text(), tables))
