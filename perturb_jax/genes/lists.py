"""Reading gene names from the files that people have: text, tables, cells."""

import zlib
from pathlib import Path
from typing import Literal

import pandas as pd

from perturb_jax.genes.conditions import read_conditions, symbols_of
from perturb_jax.genes.perturbations import control_kind, perturbed_genes
from perturb_jax.support.cell_files import SCREEN_KEY, is_cell_file, open_cell_file, read_cell_table
from perturb_jax.support.errors import InputError

NAME_COLUMNS = (
    "gene", "symbol", "gene_symbol", "gene_name", "condition", "perturbation", "target", "target_gene",
)  # fmt: skip
"""Columns that hold gene names or conditions, in lower case."""

_TABLES = (".csv", ".tsv", ".tab")


def read_names(path: str | Path, column: str | None = None) -> list[str]:
    """Read gene names or combinations, in the order of the file.

    * ``.csv``, ``.tsv`` (``.gz`` allowed): one column, named or recognised.
    * ``.h5ad``: the perturbations of a screen, each once, in sorted order, controls left out; the cells are not read.
    * anything else: text, one name per line; lines that start with ``#`` are comments.

    In each, "A+ctrl" is "A". Without a `column` the names are in the one that is called like `NAME_COLUMNS`.
    """
    path = Path(path)
    if is_cell_file(path):
        return _names_of_cells(path, column)
    is_table = _is_table(path)
    if is_table:
        table = read_csv(path)
        names = table[_choose_column(path, table, column)].astype(str).str.strip().tolist()
    else:
        if column is not None:
            raise InputError(f"{path}: a text file has no columns; omit column=... or give a .csv file")
        names = _lines(path)
    if not names:
        raise InputError(f"{path}: the file is empty; expected at least one gene name")
    if "" in names:
        line = names.index("") + (2 if is_table else 1)
        raise InputError(f"{path}: line {line} is blank; remove it or write the gene's name")
    return [_without_control(name) for name in names if is_table or not name.startswith("#")]


def read_numbers(path: str | Path, column: str, default: float | None = None) -> dict[str, float]:
    """Read the number in a column for each of the names that `read_names` finds in a table (``.csv``, ``.tsv``).

    Where there is no such column, or no table at all, every name gets the default; None: the column is needed.
    """
    names = read_names(path)
    table = read_csv(Path(path)) if _is_table(Path(path)) else pd.DataFrame()
    if column not in table:
        if default is None:
            raise InputError(f"{path}: expected a table (.csv, .tsv) with the columns gene and {column}")
        return dict.fromkeys(names, default)
    numbers = pd.to_numeric(table[column], errors="coerce")
    if numbers.isna().any():
        row = int(numbers.isna().to_numpy().argmax())
        raise InputError(f"{path}: line {row + 2}: expected a number in column {column}, got {table[column][row]!r}")
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise InputError(f"{path}: {twice} is listed twice; give each gene one {column}")
    return dict(zip(names, numbers.astype(float).tolist(), strict=True))


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV or TSV table of text, with one clear message where that fails."""
    separator = "\t" if {".tsv", ".tab"} & set(path.suffixes) else ","
    compression: Literal["gzip"] | None = "gzip" if path.suffix == ".gz" else None
    try:
        table = pd.read_csv(path, sep=separator, compression=compression, keep_default_na=False, dtype=str)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the path of a CSV file") from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: the file is empty; expected a CSV table with a header line") from None
    except (UnicodeDecodeError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path}: not a readable text file ({error}); expected a CSV table") from None
    except pd.errors.ParserError as error:
        raise InputError(f"{path}: not a CSV table ({str(error).strip()})") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the surplus first columns for an index
        raise InputError(f"{path}: the rows have more columns than the header; give every column a name")
    return table


def _is_table(path: Path) -> bool:
    return any(suffix.lower() in _TABLES for suffix in path.suffixes)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a file with one gene name per line") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file; expected one gene name per line") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a file with gene names") from None
    if "\0" in text:
        raise InputError(f"{path}: not a text file; expected one gene name per line")
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if lines and all(line.startswith("#") for line in lines):
        raise InputError(f"{path}: only comments; expected at least one gene name")
    for number, line in enumerate(lines, start=1):
        if not line.startswith("#") and ("," in line or "\t" in line):
            raise InputError(
                f"{path}: line {number} has several fields ({line[:40]!r}); expected one gene name per line, or a "
                "table in a file called .csv or .tsv"
            )
    return lines


def _without_control(name: str) -> str:
    """What "A+ctrl" means, how some screens write it: "A"; a control alone stays what it is."""
    if "+" not in name or not any(map(control_kind, name.split("+"))):
        return name
    return "+".join(perturbed_genes(name)) or name


def _choose_column(path: Path, table: pd.DataFrame, column: str | None) -> str:
    columns = list(map(str, table.columns))
    found = ", ".join(columns[:8])
    if column is not None:
        if column not in columns:
            raise InputError(f"{path}: no column {column!r}; found {found:.200}")
        return column
    known = [name for name in columns if name.strip().lower() in NAME_COLUMNS]
    if not known and len(columns) == 1:
        known = columns
    if not known:
        raise InputError(f"{path}: which column holds the gene names? Name it with column=...; found {found:.200}")
    if any(not table[name].astype(str).equals(table[known[0]].astype(str)) for name in known):
        raise InputError(f"{path}: the columns {', '.join(known)} differ; choose one with column=...")
    return known[0]


def _names_of_cells(path: Path, column: str | None) -> list[str]:
    """The perturbations of a screen: of cells, or a saved one."""
    with open_cell_file(path) as file:
        cells = read_cell_table(file, "obs")
        if "uns" in file and SCREEN_KEY in file["uns"]:
            if column is not None:
                raise InputError("a saved screen has its perturbations in one place; omit column=...")
            return sorted(map(str, cells.index))
        genes = read_cell_table(file, "var") if "var" in file else None
        try:
            read = read_conditions(cells, column, known=() if genes is None else symbols_of(genes), needs_control=False)
        except InputError as error:
            raise InputError(
                str(error).replace("condition=...", "column=...").replace("condition: ", "column: ")
            ) from None
        names = sorted({name for name in read.names if name})
        if not names:
            raise InputError(f"no perturbation among its {len(cells)} cells, only controls; choose another file")
    return names
