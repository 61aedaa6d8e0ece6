"""Tables as offices, spreadsheets and programs write them: what is read is the same, whatever the file is like."""

import bz2
import gzip
import lzma
from datetime import datetime
from pathlib import Path

import numpy as np
import openpyxl
import pytest

import perturb_jax as pj
from perturb_jax.genes.tables import find_column, is_missing, read_table, read_text, to_numbers

ROWS = [["gene", "score"], ["KLF1", "0.5"], ["GATA1", "2"]]


def made(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def text(separator: str = ",", end: str = "\n") -> str:
    return "".join(separator.join(row) + end for row in ROWS)


@pytest.mark.parametrize(
    "content",
    [
        text().encode(),
        text(";").encode(),
        text("\t").encode(),
        text("|").encode(),
        text(end="\r\n").encode(),
        text(end="\r").encode(),
        text().encode("utf-8-sig"),
        text(";").encode("utf-16"),
        text("\t").encode("utf-16-le"),
        text().encode("utf-16-be"),
        text().encode("utf-32"),
        gzip.compress(text().encode(), mtime=0),
        bz2.compress(text().encode()),
        lzma.compress(text().encode()),
        b"gene;score\r\nKLF1;0,5\r\nGATA1;2\r\n;\r\n;\r\n",
        b'"gene";"score"\n"KLF1";"0,5"\n"GATA1";"2"\n',
        b'gene,score\nKLF1,"0,5"\nGATA1,2\n',
        b"sep=;\ngene;score\nKLF1;0,5\nGATA1;2\n",
        b"gene;score;\nKLF1;0,5;\nGATA1;2;\n",
        b"gene,score\nKLF1,0.5,\nGATA1,2,\n",
        b" gene , score \n KLF1 , 0.5 \n\n GATA1 , 2 \n\n",
        b"# made by hand\n# twice\ngene,score\nKLF1,0.5\nGATA1,2\n",
        b"Hits of the screen\n\ngene,score\nKLF1,0.5\nGATA1,2\n",
        "gene\u00a0,score\n\u200bKLF1,0.5\nGATA1\u00a0,2\n".encode(),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "T.TXT", "table"])
def test_the_same_table_in_many_files(tmp_path: Path, name: str, content: bytes) -> None:
    table = read_table(made(tmp_path / name, content))
    assert list(table.cells.columns) == ["gene", "score"]
    assert table.cells["gene"].tolist() == ["KLF1", "GATA1"]
    assert table.numbers("score").tolist() == [0.5, 2]
    assert table.headed
    assert not table.presumed


def workbook(path: Path, **sheets: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_sheets_by_name(tmp_path: Path) -> None:
    gene: list[list[object]] = [
        ["gene", "id", "when"],
        ["KLF1", 10661.0, datetime(2026, 9, 2)],
        [None, None, None],
        ["GATA1 ", 2623, None],
    ]
    path = workbook(tmp_path / "Book.XLSX", Notes=[["nothing here"], ["KLF1"]], Genes=gene, Empty=[])
    with pytest.raises(pj.InputError, match=r"which sheet\? Name it with sheet=...; found 'Notes', 'Genes'"):
        read_table(path)
    with pytest.raises(pj.InputError, match="no sheet 'Hits'; found 'Notes', 'Genes', 'Empty'"):
        read_table(path, "Hits")
    table = read_table(path, "genes")
    assert table.cells["gene"].tolist() == ["KLF1", "GATA1"]
    assert table.cells["id"].tolist() == ["10661", "2623"]
    assert table.cells["when"].tolist() == ["2026-09-02", ""]
    assert table.lines.tolist() == [2, 4]
    assert table.origin.endswith("(sheet 'Genes')")
    alone = read_table(workbook(tmp_path / "one.txt", Sheet1=[["gene"], ["KLF1"]], Sheet2=[]))
    assert alone.cells["gene"].tolist() == ["KLF1"]
    with pytest.raises(pj.InputError, match=r"sheet 'x' is wanted of a file that is no Excel workbook"):
        read_table(made(tmp_path / "t.csv", "gene\nA\n"), "x")


@pytest.mark.parametrize(
    ("content", "headed", "first"),
    [
        ("KLF1\nGATA1\nMYC\n", False, "KLF1"),
        ("gene\nKLF1\n", True, "KLF1"),
        ("Gene Symbol\nKLF1\n", True, "KLF1"),
        ("hits\nKLF1\nGATA1\n", True, "KLF1"),
        ("KLF1,0.5\nGATA1,2\n", False, "KLF1"),
        ("KLF1;0,5\nGATA1;2,5\n", False, "KLF1"),
        ("hits,n\nKLF1,1\nGATA1,2\n", True, "KLF1"),
        ("KLF1,GATA1,0.5\nGATA1,MYC,0.7\n", False, "KLF1"),
        ("x,0,1\nKLF1,0.5,0.6\nGATA1,2,3\n", True, "KLF1"),
        (",0\n0,KLF1\n1,GATA1\n", True, "0"),
        ("0\nKLF1\nGATA1\n", True, "KLF1"),
        ("KLF1\nKLF1\n", False, "KLF1"),
        ("KLF1\n", False, "KLF1"),
        ("ctrl,KLF1,MYC\n1.5,0.5,1\n2.5,2.1,1\n", True, "1.5"),
    ],
)
def test_lines_of_headings(tmp_path: Path, content: str, headed: bool, first: str) -> None:
    table = read_table(made(tmp_path / "t.csv", content))
    assert (table.headed, table.cells.iloc[0, 0]) == (headed, first)


def test_who_knows_the_names_knows_the_headings(tmp_path: Path) -> None:
    known = {"Klf1", "Gata1", "Myc"}.__contains__
    assert not read_table(made(tmp_path / "a.csv", "Klf1\nGata1\nMyc\n"), is_name=known).headed
    assert read_table(made(tmp_path / "b.csv", "HITS\nGata1\nMyc\n"), is_name=known).presumed == ("HITS",)
    own = {"A1", "B1"}.__contains__  # names that it does not know are judged by their letters
    assert not read_table(made(tmp_path / "c.csv", "GATA1\nKLF1\nMYC\n"), is_name=own).headed


def test_text_of_one_column_has_headings_only_by_name(tmp_path: Path) -> None:
    assert read_table(made(tmp_path / "a.txt", "gene\nKLF1\n")).cells["gene"].tolist() == ["KLF1"]
    assert read_table(made(tmp_path / "b.txt", "hits\nKLF1\n#no\n")).cells["1"].tolist() == ["hits", "KLF1"]


@pytest.mark.parametrize("content", ["x\ty\nKLF1\tg\t1\nMYC\tg\t2\n", "x y\n"])
def test_row_names_of_r_have_no_heading(tmp_path: Path, content: str) -> None:
    table = read_table(made(tmp_path / "t.tsv", content))
    assert list(table.cells.columns) == (["", "x", "y"] if "\t" in content else ["1"])


def test_numbers_in_words() -> None:
    assert to_numbers(["1.5", "1,234.5", "2e-3", "-1"]).tolist() == [1.5, 1234.5, 0.002, -1]
    assert to_numbers(["0,5", "1.234,5", "1.234", "1 234"], decimal_commas=True).tolist() == [0.5, 1234.5, 1234, 1234]
    assert np.isnan(to_numbers(["0,5", "12,34", "NA", "", "x"])).all()


def test_decimal_commas_are_seen_per_table(tmp_path: Path) -> None:
    table = read_table(made(tmp_path / "t.csv", "gene;a;b\nKLF1;0,5;1.234\nMYC;1.234,5;7\n"))
    assert table.numbers("a").tolist() == [0.5, 1234.5]
    assert table.numbers("b").tolist() == [1234, 7]
    table = read_table(made(tmp_path / "u.csv", "gene;a;b\nKLF1;0,5;0.5\nMYC;NA;7\n"))
    with pytest.raises(pj.InputError, match=r"expected numbers in column a, got others in line 2: '0,5'"):
        table.numbers("a")
    assert "decimal commas" in read_table(made(tmp_path / "v.csv", "gene;a\nKLF1;0,5\n")).format


@pytest.mark.parametrize("word", ["NA", "NaN", "nan", "N/A", "None", "#N/A", "", " ", "null", "#REF!", "-"])
def test_words_for_missing_values(word: str) -> None:
    assert is_missing(word)


def test_columns_without_regard_to_case_and_blanks() -> None:
    assert find_column(["id", " Gene_Symbol"], "gene symbol") == " Gene_Symbol"
    assert find_column(["weight", "Weight"], "Weight") == "Weight"
    assert find_column(["x"], "Weight", "X") == "x"
    assert find_column(["x"], "y") is None
    with pytest.raises(pj.InputError, match="the columns 'Weight', 'WEIGHT' may all be weight"):
        find_column(["Weight", "WEIGHT"], "weight")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf\r\n\r\n", "the file is empty"),
        (b"gene\n", "empty but for a line of headings"),
        (b"# a\n# b\n", "only comments"),
        (b"a\0b\n", "not a text file"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"%PDF-1.4", "a PDF"),
        (b"\xd0\xcf\x11\xe0xx", r"save it as \.xlsx or \.csv"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"PK\x03\x04broken", "not a readable Excel workbook"),
        (b"\x1f\x8bbroken", "cannot be read"),
        (b"gene,score\nKLF1,0,5\nMYC,1,5\n", "line 2 has 3 cells.*write decimal points"),
        (b"gene,score\nKLF1,1\nMYC,1,x,y\n", r"line 3 has 4 cells, the rows have more columns than the header"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, content: bytes, message: str) -> None:
    path = made(tmp_path / "t.csv", content)
    with pytest.raises(pj.InputError, match=message) as error:
        read_table(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_encodings_are_named(tmp_path: Path) -> None:
    assert read_text(made(tmp_path / "a", "naïve\n".encode("latin-1"))) == ("naïve\n", ("Windows-1252",))
    assert read_text(made(tmp_path / "b", "naïve\r\n".encode("utf-16"))) == ("naïve\n", ("UTF-16",))
    assert read_text(made(tmp_path / "c", "naïve\n".encode())) == ("naïve\n", ())


def test_a_quote_that_stands_for_itself_and_hyphens_of_word_processors(tmp_path: Path) -> None:
    table = read_table(made(tmp_path / "t.tsv", 'gene\tname\nKLF1\t"5\'-end" of it\nMYC\t3" long\n'))
    assert table.cells["gene"].tolist() == ["KLF1", "MYC"]
    table = read_table(made(tmp_path / "t.csv", "gene\nHLA\u2011A\n".encode()))
    assert table.cells["gene"].tolist() == ["HLA-A"]


def test_large_tables_are_quick(tmp_path: Path) -> None:
    path = made(tmp_path / "t.csv", "gene,x,y\n" + "".join(f"G{i},{i},{i / 7}\n" for i in range(50_000)))
    assert read_table(path).numbers("y")[-1] == pytest.approx(49_999 / 7)
