"""The report of a plan: what the page says, and, where Chromium is installed, what a browser makes of it."""

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from perturb_jax.plan.page import _named
from tests.cli.test_cli import run

BROWSER = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
ODD = "<b>&\"x'"
SORT_AND_MEASURE = """<script>
const button = document.querySelectorAll("#picks th button")[1];
const genes = () => Array.from(document.querySelectorAll("#picks td.gene"), cell => cell.textContent).join(",");
const seen = [genes()];
button.click(); seen.push(genes());
button.click(); seen.push(genes());
const page = document.documentElement;
const over = Array.from(document.querySelectorAll("body *")).filter(
  part => !part.closest("svg *") && part.getBoundingClientRect().right > innerWidth + 1).length;
document.title = JSON.stringify([innerWidth, page.scrollWidth, over, seen]);
</script>"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five picks of a ring of 12 genes, one with an HTML name; TWO was tested."""
    directory = tmp_path_factory.mktemp("report")
    genes = [ODD, "TWO", *(f"GENE{i}" for i in range(10))]
    ring = {"source": genes, "target": genes[1:] + genes[:1], "importance": 1.0}
    pd.DataFrame(ring).to_csv(directory / "edges.csv", index=False)
    (directory / "genes.txt").write_text("\n".join(genes[:9]) + "\n")
    (directory / "tested.txt").write_text("TWO\n")
    command = ["select", "--candidates", "genes.txt", "--graph", "edges.csv", "--already-tested", "tested.txt"]
    command += ["--budget", "5", "--out", "plan"]
    good, again, name, empty = run(
        directory, [*command, "--strategy", "graphreach", "--report", "page.html"],
        [*command, "--force", "--report", "page.html", "--quiet"],
        [*command[:-1], "other", "--report", "page.txt"], [*command[:-1], "other", "--report", ""],
    )  # fmt: skip
    assert good.code == 0, good
    assert again.code == 0, again
    for refused in (name, empty):
        assert refused.code == 2
        assert refused.err.startswith("perturb-jax: error: --report: expected the path of an .html file")
        assert refused.err.count("\n") == 1
    assert not (directory / "other").exists()
    return directory


def test_the_page_names_the_picks_escaped_and_no_address(plan: Path) -> None:
    page = (plan / "page.html").read_text()
    table = pd.read_csv(plan / "plan" / "picks.csv")
    assert "http" not in page.replace("data:image/png", "")
    assert ODD not in page
    shown = re.findall(r'<td class="gene">(.*?)</td>', page.split('id="picks"')[1].split("</table>")[0])
    assert [name.replace("&lt;b&gt;&amp;&quot;x&#x27;", ODD) for name in shown] == table["gene"].tolist()
    assert page.count('class="pick"') == len(table)
    assert page.count('class="tested"') == 1


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, pd.DataFrame]:
    """600 of the proteins that bind proteins: they reach more than 10,000 genes."""
    directory = tmp_path_factory.mktemp("whole")
    command = ["select", "--candidates-go", "GO:0005515", "--budget", "600", "--strategy", "graphreach"]
    (result,) = run(directory, [*command, "--quiet", "--out", "plan", "--report", "page.html"])
    assert result.code == 0, result.err
    return (directory / "page.html").read_text(), pd.read_csv(directory / "plan" / "picks.csv")


def test_terms_are_named_and_ten_thousand_genes_fit_into_three_megabytes(whole: tuple[str, pd.DataFrame]) -> None:
    page, table = whole
    assert table["covered"].iloc[-1] > 10_000
    assert len(page.encode()) < 3e6
    assert page.count('class="pick"') == len(table)
    assert '<span title="GO:0005515">protein binding</span>' in page


def test_an_existing_page_is_kept(plan: Path) -> None:
    command = ["select", "--candidates", "genes.txt", "--graph", "edges.csv", "--budget", "2", "--out", "new"]
    before = (plan / "page.html").read_bytes()
    (result,) = run(plan, [*command, "--report", "page.html"])
    assert result.code == 2
    assert "page.html" in result.err
    assert (plan / "page.html").read_bytes() == before
    assert not (plan / "new").exists()


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium (on Debian: apt-get install chromium-headless-shell)")
@pytest.mark.parametrize("width", [1280, 400])
def test_in_chromium_the_table_sorts_and_nothing_overflows(plan: Path, tmp_path: Path, width: int) -> None:
    assert BROWSER is not None
    page = tmp_path / "page.html"
    page.write_text((plan / "page.html").read_text().replace("</body>", SORT_AND_MEASURE + "</body>"))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--dump-dom"]
    dom = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, check=True, timeout=1200).stdout
    found = re.search(r"<title>\[(\d+),(\d+),(\d+),\[(.*)\]\]</title>", dom)
    assert found is not None, dom[:500]
    assert int(found[1]) == width
    assert int(found[2]) <= width
    assert int(found[3]) == 0
    given, up, down = (names.strip('"').split(",") for names in found[4].split('","'))
    assert sorted(given) == sorted(up)
    assert up != given
    assert up == down[::-1]


def test_a_term_without_a_name_is_shown_by_its_id() -> None:
    assert _named("GO:0000005") == "GO:0000005"
    assert _named("<b>") == "&lt;b&gt;"
