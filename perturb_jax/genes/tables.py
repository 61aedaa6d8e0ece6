"""Tables of text as people keep them: read by what is in a file, whatever it is called.

    table = read_table("hits.xlsx", sheet="Round 1")
    table.cells[find_column(table.cells.columns, "gene")]

A table is text: its cells are read by whoever knows what they mean, names with `is_missing`, numbers with
`Table.numbers`.
"""

import bz2
import csv
import gzip
import io
import lzma
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from perturb_jax.support.checks import listed
from perturb_jax.support.errors import InputError

MISSING = frozenset(
    {
        "", "na", "n/a", "n.a.", "#na", "#n/a", "#n/a n/a", "nan", "-nan", "none", "null", "nil", "<na>", "<null>",
        "-", "--", "?", ".", "#ref!", "#value!", "#name?", "#div/0!", "#null!", "#num!", "1.#ind", "-1.#ind",
    }
)  # fmt: skip
"""Words for a value that is not there, in lower case: pandas', R's, SQL's, and what Excel shows for errors."""

HEADINGS = frozenset(
    {
        "gene", "genes", "symbol", "genesymbol", "genename", "name", "hgnc", "hgncsymbol", "condition", "conditions",
        "perturbation", "perturbations", "target", "targets", "targetgene", "source", "importance", "weight", "cost",
        "score", "cycle", "ensembl", "ensemblid", "geneid", "entrez", "entrezid", "entrezgene", "ncbigeneid", "guide",
        "sgrna", "cells", "pvalue", "padj", "fdr", "logfc", "log2fc", "comment", "comments", "note", "notes",
        "description",
    }
)  # fmt: skip
"""Words that head columns and are no gene, as `folded` writes them."""

_SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "bars"}
_SHEET = ".xlsx"
_SAMPLED = 500  # rows from which separator and decimal comma are recognised
_PREAMBLE = 10  # rows within which a line of headings is looked for
_OTHER_FILES = {
    b"\x89HDF": "an HDF5 file (.h5ad, .h5)",
    b"%PDF": "a PDF; copy the table into a text file",
    b"\xd0\xcf\x11\xe0": "an old Excel file (.xls), or one with a password; save it as .xlsx or .csv without one",
    b"PAR1": "a Parquet file; write it as .csv",
    b"{\\rtf": "a Rich Text file; save it as plain text",
    b"\x89PNG": "a picture",
    b"SQLite": "a database; export the table as .csv",
}
_UNPACK: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress,
}  # fmt: skip
_LETTERS = str.maketrans(
    dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", "")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | dict.fromkeys("\u2018\u2019\u2032", "'")
    | dict.fromkeys("\u201c\u201d\u201e", '"')
)
_NAME = re.compile(r"[A-Z][A-Z0-9]*(orf[0-9]+)?([-.@_+][A-Z0-9]+)*")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)*|[.,]\d+)([eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")  # 1,234.5
_SWAP = str.maketrans(",.", ".,")


class Text(NamedTuple):
    """The text of a file, its lines ended by newlines, and how it was written, as far as it is not plain UTF-8."""

    text: str
    written: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it was read.

    Attributes:
        origin: the file, and the sheet where it has several; messages begin with it.
        cells: text, blanks and quotes around it removed; columns by their headings ("" where a column has none), or
            "1", "2", ... where the table has no line of headings. Missing values are as they were written: see
            `is_missing`.
        lines: the number of each row's line in the file, from 1.
        headed: whether a line of headings was found.
        presumed: the line of headings where nothing but its position says that it is one; else none.
        separator: what separates columns; "" where there is one, or in a sheet.
        decimal_commas: whether numbers are written as 0,5.
        format: all of this in words, for people.
    """

    origin: str
    cells: pd.DataFrame
    lines: Int[np.ndarray, " rows"]
    headed: bool
    presumed: tuple[str, ...]
    separator: str
    decimal_commas: bool
    format: str

    def numbers(self, column: str) -> Float[np.ndarray, " rows"]:
        """The numbers in a column: NaN where none is given.

        Raises:
            InputError: cells that are no number; all of them.
        """
        texts = self.cells[column].tolist()
        values = to_numbers(texts, self.decimal_commas)
        wrong = [i for i, text in enumerate(texts) if np.isnan(values[i]) and not is_missing(text)]
        if wrong:
            said = listed([f"line {self.lines[i]}: {texts[i]!r}" for i in wrong])
            raise InputError(f"{self.origin}: expected numbers in column {column}, got others in {said}")
        return values


def is_missing(text: str) -> bool:
    """Whether a cell says that its value is missing.

    Examples:
        >>> [is_missing(text) for text in ("NA", " nan", "", "#N/A", "NAT1")]
        [True, True, True, True, False]
    """
    return text.strip().lower() in MISSING


def folded(heading: str) -> str:
    """A heading without regard to case, blanks, underscores, hyphens and a leading '#'.

    Examples:
        >>> folded("# Gene Symbol"), folded("gene_symbol")
        ('genesymbol', 'genesymbol')
    """
    return re.sub(r"[\s_.\-]+", "", heading).lstrip("#").casefold()


def find_column(columns: Iterable[str], *wanted: str) -> str | None:
    """The column that is called like one of some names, without regard to case and blanks (see `folded`).

    An exact match goes before others; earlier names go before later ones.

    Raises:
        InputError: two columns that are called alike, or the same.

    Examples:
        >>> find_column(["Gene Symbol", "Weight "], "weight")
        'Weight '
        >>> find_column(["gene"], "weight") is None
        True
    """
    columns = list(map(str, columns))
    for name in wanted:
        found = matching_columns(columns, [name])
        exact = [column for column in found if column == name]
        if len(exact or found) > 1:
            raise InputError(f"the columns {', '.join(map(repr, found))} may all be {name}; keep one, or rename them")
        if found:
            return (exact or found)[0]
    return None


def matching_columns(columns: Iterable[str], wanted: Collection[str]) -> list[str]:
    """All columns that are called like one of some names, without regard to case and blanks, in their order."""
    words = {folded(name) for name in wanted}
    return [column for column in map(str, columns) if folded(column) in words]


def to_numbers(texts: Sequence[str], decimal_commas: bool = False) -> Float[np.ndarray, " texts"]:
    """Numbers that texts say; NaN where a value is missing or the text is no number.

    With decimal commas "1.234,5" is 1234.5; without them "1,234.5" is.

    Examples:
        >>> to_numbers(["0,5", "NA", "x"], decimal_commas=True).tolist()
        [0.5, nan, nan]
    """
    plain = [_plain(text, decimal_commas) for text in texts]
    return pd.to_numeric(pd.Series(plain, dtype=object), errors="coerce").to_numpy(np.float64)


def _plain(text: str, decimal_commas: bool) -> str:
    """A number as Python writes it."""
    if decimal_commas:
        text = text.translate(_SWAP)
    text = re.sub(r"(?<=\d)[ '](?=\d{3})", "", text)
    return text.replace(",", "") if _GROUPED.fullmatch(text) else text


def read_text(path: str | Path) -> Text:
    """The text in a file: compressed or not, in any usual encoding, with any line ends.

    UTF-8, UTF-16 and UTF-32 (with a byte-order mark, and UTF-16 without), else Windows-1252; gzip, bzip2 and xz.

    Raises:
        InputError: a file that is not there, cannot be read, or holds no text; with what it holds, where that shows.
    """
    path = Path(path)
    return _decoded(path, _content(path))


def read_table(
    path: str | Path,
    sheet: str | None = None,
    is_name: Callable[[str], bool] | None = None,
    headings: Collection[str] = (),
) -> Table:
    """Read a table of text, whatever the file is called.

    Separator (comma, semicolon, tab, bar), encoding, compression, line ends, decimal commas, a line of headings, rows
    and columns that are blank, a first column without a heading, lines of comments (#) or titles above the table: all
    are recognised by the content. An Excel workbook (.xlsx) is read by its sheet. A date in a sheet is text as ISO
    8601 has it ("2026-09-02"), a whole number has no decimal point.

    A first line is of headings if one of its words heads columns usually (`HEADINGS`), or if it has text where the
    lines below have numbers; and it is not, if it is numeric as they are, or has a name where they have names.

    Args:
        path: the file; read once, so it may be a pipe.
        sheet: of a workbook, the sheet's name, without regard to case; None: the only one that holds anything.
        is_name: whether a word is a name as the rows hold them (a gene, say), which tells a row from headings. None: by
            its letters.
        headings: further words that head columns.

    Raises:
        InputError: a file that is not there, cannot be read, is no table or has no row; rows with more cells than the
            headings; several sheets, or none of that name.

    Complexity: O(cells), all of them in memory as text.
    """
    path = Path(path)
    content = _content(path)
    if content[:4] == b"PK\x03\x04":
        origin, numbered, written = _sheet(path, content, sheet)
        return _table(origin, numbered, written, "", is_name, headings, True)
    if sheet is not None:
        raise InputError(f"{path}: sheet {sheet!r} is wanted of a file that is no Excel workbook (.xlsx); omit it")
    text, written = _decoded(path, content)
    numbered, separator = _rows(path, text)
    if separator:
        written = (f"separated by {_SEPARATORS[separator]}", *written)
    return _table(str(path), numbered, written, separator, is_name, headings, _is_called_table(path))


def _is_called_table(path: Path) -> bool:
    return any(suffix.lower() in (".csv", ".tsv", ".tab") for suffix in path.suffixes)


def _content(path: Path) -> bytes:
    """What is in a file, unpacked."""
    try:
        content = path.read_bytes()
        for magic, unpacked in _UNPACK.items():
            if content.startswith(magic):
                return unpacked(content)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the path of a list or a table") from None
    except IsADirectoryError:
        raise InputError(f"{path}: a directory; expected a file") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}); expected a list or a table") from None
    return content


def _decoded(path: Path, content: bytes) -> Text:
    for magic, what in _OTHER_FILES.items():
        if content.startswith(magic):
            raise InputError(f"{path}: not a text file but {what}")
    text, encoding = _text_of(content)
    if re.search("[\0-\x08\x0e-\x1a\x1c-\x1f]", text):
        raise InputError(f"{path}: not a text file; expected a list or a table")
    if re.match(r"\s*<(!doctype|html|\?xml)", text, re.IGNORECASE):
        raise InputError(f"{path}: not a list or table but a web page (or XML); save the table itself")
    return Text(text.replace("\r\n", "\n").replace("\r", "\n"), (encoding,) if encoding else ())


def _text_of(content: bytes) -> tuple[str, str]:
    """The text, and its encoding where that is not UTF-8."""
    marks = (
        (b"\xff\xfe\0\0", "utf-32", "UTF-32"), (b"\0\0\xfe\xff", "utf-32", "UTF-32"),
        (b"\xff\xfe", "utf-16", "UTF-16"), (b"\xfe\xff", "utf-16", "UTF-16"),
    )  # fmt: skip
    halves = content[: 2 * _SAMPLED]
    tries = [(codec, name) for mark, codec, name in marks if content.startswith(mark)][:1]
    if halves and not tries:
        zeros = [halves[start::2].count(0) / (len(halves) / 2) for start in (0, 1)]
        if max(zeros) > 0.7 and min(zeros) < 0.1:
            tries.append(("utf-16-be" if zeros[0] > zeros[1] else "utf-16-le", "UTF-16"))
    for codec, name in (*tries, ("utf-8-sig", ""), ("cp1252", "Windows-1252")):
        try:
            return content.decode(codec), name
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1"), "Latin-1"


def _rows(path: Path, text: str) -> tuple[list[tuple[int, list[str]]], str]:
    """The numbered rows of a text, and what separates their cells."""
    offset = 0
    if said := re.match(r'"?sep=(.)"?\n', text, re.IGNORECASE):  # what Excel writes to be told the separator
        separator, text, offset = said[1], text[said.end() :], 1
        if separator not in _SEPARATORS:
            raise InputError(
                f"{path}: expected columns separated by {', '.join(_SEPARATORS.values())}, got {said[0]!r}"
            )
    else:
        separator = _separator(text)
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):  # what has stray quotes was written by one who uses none
        try:
            rows = [(number + offset, row) for number, row in _parsed(text, separator, quoting)]
        except csv.Error as error:
            if quoting == csv.QUOTE_NONE:
                raise InputError(f"{path}: not a table ({error})") from None
        else:
            break
    return rows, separator


def _parsed(text: str, separator: str, quoting: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows with the numbers of their first lines."""
    # a file of one column may hold any of the usual separators
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=separator or "\x1f", quoting=quoting, strict=True)
    started = 1
    for row in reader:
        yield started, [_clean(cell) for cell in row]
        started = reader.line_num + 1


def _clean(cell: str) -> str:
    if not cell.isascii():
        cell = unicodedata.normalize("NFKC", cell).translate(_LETTERS)
    cell = cell.strip()
    while len(cell) > 1 and cell[0] == cell[-1] and cell[0] in "\"'":
        cell = cell[1:-1].strip()
    return cell


def _separator(text: str) -> str:
    """What separates most rows into equally many cells; "" if nothing does."""
    sample = text if len(text) <= 1 << 20 else text[: text.rfind("\n", 0, 1 << 20) + 1 or 1 << 20]
    found = []
    for order, separator in enumerate(_SEPARATORS):
        widths: Counter[int] = Counter()
        try:
            for _, row in islice(_parsed(sample, separator, csv.QUOTE_MINIMAL), _SAMPLED):
                if any(row) and not (row[0].startswith("#") and len(row) == 1):
                    widths[len(row)] += 1
        except csv.Error:
            widths = Counter(line.count(separator) + 1 for line in islice(sample.split("\n"), _SAMPLED) if line.strip())
        if widths:
            width, times = max(widths.items(), key=lambda one: (one[1], one[0]))
            if width > 1:
                found.append((times / widths.total(), -order, separator))
    even, _, separator = max(found, default=(0, 0, ""))
    return separator if even >= 0.5 else ""


def _sheet(path: Path, content: bytes, wanted: str | None) -> tuple[str, list[tuple[int, list[str]]], tuple[str, ...]]:
    """The rows of a workbook's sheet, with the origin and the format in words."""
    import openpyxl  # only needed here

    try:
        with ZipFile(io.BytesIO(content)) as archive:
            if "xl/workbook.xml" not in archive.namelist():
                raise InputError(
                    f"{path}: a ZIP archive that is no Excel workbook (.xlsx); unpack it, or save as .xlsx"
                )
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheets = {
            one.title: [(number, cells) for number, cells in enumerate(map(_texts, one.iter_rows(values_only=True)), 1)]
            for one in book.worksheets
        }
    except (BadZipFile, KeyError, ValueError, TypeError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable Excel workbook ({error}); save it again as .xlsx or .csv") from None
    filled = {title: rows for title, rows in sheets.items() if any(any(row) for _, row in rows)}
    if wanted is not None:
        match = [title for title in sheets if title == wanted] or [
            title for title in sheets if title.strip().casefold() == wanted.strip().casefold()
        ]
        if not match:
            raise InputError(f"{path}: no sheet {wanted!r}; found {', '.join(map(repr, sheets))}")
        title = match[0]
    elif len(filled) > 1:
        raise InputError(f"{path}: which sheet? Name it with sheet=...; found {', '.join(map(repr, filled))}")
    else:
        title = next(iter(filled or sheets), "")
        if title not in filled:
            raise InputError(f"{path}: the workbook is empty; expected a list or a table")
    origin = f"{path} (sheet {title!r})" if len(sheets) > 1 else str(path)
    return origin, sheets[title], (f"Excel sheet {title!r}",)


def _texts(row: Iterable[object]) -> list[str]:
    return [_clean(_in_words(value)) for value in row]


def _in_words(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).removesuffix("T00:00:00")
    return str(value)


def _table(
    origin: str,
    numbered: list[tuple[int, list[str]]],
    written: tuple[str, ...],
    separator: str,
    is_name: Callable[[str], bool] | None,
    headings: Collection[str],
    called_table: bool,
) -> Table:
    rows = [(number, row) for number, row in numbered if any(row)]
    if not rows:
        raise InputError(f"{origin}: the file is empty; expected a list or a table")
    single = max(len(row) for _, row in rows) == 1
    is_comment = [row[0].startswith("#") and not any(row[1:]) for _, row in rows]
    if all(is_comment):
        raise InputError(f"{origin}: only comments; expected at least one row")
    if not (single and called_table) and (single or all(is_comment[: sum(is_comment)])):  # a table may have a name "#1"
        rows = [row for row, comment in zip(rows, is_comment, strict=True) if not comment]
    words = HEADINGS | {folded(word) for word in headings}
    above = _lines_above(rows, words, is_name)
    rows = rows[above:]
    presumed: tuple[str, ...] = ()
    headed = any(folded(cell) in words for cell in rows[0][1])
    if not headed and (called_table or not single):
        headed = _looks_headed([row for _, row in rows[: _SAMPLED + 1]], is_name)
        presumed = tuple(cell for cell in rows[0][1] if cell) if headed else ()
    header = list(rows[0][1]) if headed else []
    body = rows[1:] if headed else rows
    if not body:
        raise InputError(f"{origin}: the file is empty but for a line of headings; expected at least one row")
    header = _fitted(origin, header, body, separator)
    width = len(header)
    columns = list(zip(*([*row, *[""] * width][:width] for _, row in body), strict=True))
    kept = [i for i, name in enumerate(header) if (headed and name) or any(columns[i])]
    cells = pd.DataFrame(dict(enumerate(columns[i] for i in kept)), dtype=object)
    cells.columns = pd.Index([header[i] for i in kept], dtype=object)
    commas = _has_decimal_commas(columns, separator)
    if above:
        written += (f"{above} line{'s' if above > 1 else ''} above the headings left out",)
    if commas:
        written += ("decimal commas",)
    if not headed:
        written += ("no line of headings",)
    size = "one column" if len(kept) == 1 else f"{len(kept)} columns"
    return Table(
        origin=origin,
        cells=cells,
        lines=np.array([number for number, _ in body], np.int64),
        headed=headed,
        presumed=presumed,
        separator=separator,
        decimal_commas=commas,
        format=", ".join((size, *written)),
    )


def _lines_above(
    rows: Sequence[tuple[int, list[str]]], words: Collection[str], is_name: Callable[[str], bool] | None
) -> int:
    """How many lines of titles stand above a line of headings."""
    for count, (_, row) in enumerate(rows[:_PREAMBLE]):
        filled = [cell for cell in row if cell]
        if any(folded(cell) in words for cell in filled):
            return count
        if len(filled) > 1 or (is_name or _NAME.fullmatch)(filled[0]):
            return 0
    return 0


def _looks_headed(rows: Sequence[Sequence[str]], is_name: Callable[[str], bool] | None) -> bool:
    """Whether the first row is of headings, where none of its words says so."""
    first, others = rows[0], rows[1:]
    if not others:
        return False
    heads, data = 0, 0
    named = None
    for i, cell in enumerate(first):
        below = [row[i] for row in others if i < len(row) and not is_missing(row[i])]
        numeric = _mostly(_is_number, below)
        if not below or is_missing(cell):
            heads += i == 0 and cell == "" and bool(below)
        elif _is_number(cell) != numeric:
            heads += 1
        elif numeric:
            data += 1
        elif named is None or named is False:
            named = _is_row(cell, below, is_name)
    if heads:
        return True
    if named is not None:
        return not named
    return not data


def _is_row(cell: str, below: Sequence[str], is_name: Callable[[str], bool] | None) -> bool:
    """Whether a word above others is one of their kind."""
    if cell in below:
        return True
    if is_name is not None and _mostly(is_name, below):
        return is_name(cell)
    return bool(_NAME.fullmatch(cell)) and _mostly(_NAME.fullmatch, below)


def _mostly(holds: Callable[[str], object], texts: Sequence[str]) -> bool:
    return 2 * sum(bool(holds(text)) for text in texts) > len(texts)


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _fitted(origin: str, header: list[str], body: Sequence[tuple[int, list[str]]], separator: str) -> list[str]:
    """The headings, one for each column: those of rows that begin with a name that has none are led by a blank one."""
    widths = [next(i for i in range(len(row), 0, -1) if row[i - 1]) for _, row in body]
    if not header:
        return [str(i + 1) for i in range(max(widths))]
    while len(header) > 1 and header[-1] == "" and max(widths) < len(header):
        header = header[:-1]
    longer = [i for i, width in enumerate(widths) if width > len(header)]
    if not longer:
        return header
    split = separator == "," and all(cell.isdigit() for _, row in body for cell in row[len(header) - 1 :] if cell)
    if len({len(row) for _, row in body}) == 1 and max(widths) == len(header) + 1 and not split:
        return ["", *header]
    row = body[longer[0]]
    advice = "write decimal points, or separate columns by semicolons" if split else "give every column a heading"
    raise InputError(
        f"{origin}: line {row[0]} has {len(row[1])} cells, the rows have more columns than the header "
        f"({len(header)}); {advice}"
    )


def _has_decimal_commas(columns: Sequence[Sequence[str]], separator: str) -> bool:
    """Whether numbers are written as 0,5: some must be, and none as 0.5 (but 1.234,5 may be one)."""
    sample = [cell for column in columns for cell in column[:_SAMPLED] if "," in cell or "." in cell]
    sample = [cell for cell in islice(sample, 100 * _SAMPLED) if _is_number(cell)]
    commas = [cell for cell in sample if "," in cell]
    readable = all("." not in cell or _GROUPED.fullmatch(cell.translate(_SWAP)) for cell in sample)
    return bool(commas) and readable and (separator == ";" or not all(map(_GROUPED.fullmatch, commas)))
