"""How tables for people look."""

from collections.abc import Sequence

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
