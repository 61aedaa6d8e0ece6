"""The committed notebooks are what the code of today shows: each is executed from top to bottom."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST = 800_000
PLACES = ("/home", "/root", "/tmp", "site-packages")  # noqa: S108  (looked for, not used)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, nbformat.NO_CONVERT).cells if cell.cell_type == "code"]


def texts(cell: nbformat.NotebookNode) -> list[str]:
    """What a cell prints; digits of numbers like 1.2e-07 differ between processors."""
    shown = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return [re.sub(r"[\d.]+e[-+]\d+", "#", text) for text in shown if not text.startswith("<Figure")]


def kinds(cell: nbformat.NotebookNode) -> list[list[str]]:
    return [[output.output_type, *sorted(output.get("data", {}))] for output in cell.outputs]


@pytest.mark.gears  # one of them compares with cell-gears
@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_it_runs_and_shows_what_is_committed(path: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "notebooks" / "execute.py"), str(path), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for committed, fresh in zip(code_cells(path), code_cells(tmp_path / path.name), strict=True):
        assert committed.source == fresh.source
        assert kinds(committed) == kinds(fresh), committed.source
        assert texts(committed) == texts(fresh), committed.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_pictures_are_committed_and_no_paths_of_a_machine(path: Path) -> None:
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        pictures = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        assert len(pictures) >= cell.source.count("plt.show()")
        assert all(output.get("name") != "stderr" and output.output_type != "error" for output in cell.outputs)
        assert not any(place in text for place in PLACES for text in texts(cell))
    assert sum(cell.source.count("plt.show()") for cell in cells) and path.stat().st_size < LARGEST
    first = nbformat.read(path, nbformat.NO_CONVERT).cells[0].source
    assert re.search(r"\]\(\.\./docs/\w+\.md\)", first)
