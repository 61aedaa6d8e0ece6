"""A table of words and numbers as Markdown and as LaTeX."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

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
    """A table for people.

    Attributes:
        name: short, of letters and hyphens, for LaTeX's label.
        caption: what it shows.
        header: the columns' names.
        words: how many columns, from the left, are words and not numbers.
        blocks: rows, in groups that a rule divides.
    """

    name: str
    caption: str
    header: tuple[str, ...]
    words: int
    blocks: tuple[tuple[tuple[Cell, ...], ...], ...]


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
    command = {"": "", "better": r"\textbf", "worse": r"\textit"}[cell.mark]
    text = latex_text(cell.text)
    return f"{command}{{{text}}}" if command else text


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
