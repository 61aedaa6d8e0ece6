"""The documentation: it builds strictly, its shell blocks run, no page is wider than the screen."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BLOCKS = {
    str(page.relative_to(DOCS)): "\n".join(re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))
    for page in sorted(DOCS.rglob("*.md"))
}
BROWSER = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
MEASURE = "<script>document.title = JSON.stringify([innerWidth, document.documentElement.scrollWidth]);</script>"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(directory)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return directory


def test_it_builds_strictly_with_formulas_commands_and_docstrings(site: Path) -> None:
    assert (site / "method.html").read_text().count("<math") > 20
    assert "arithmatex" not in (site / "method.html").read_text()
    commands = (site / "commands.html").read_text()
    assert all(f"perturb-jax {name}" in commands for name in ("select", "train", "run", "data check"))
    assert "--candidates-go" in commands
    api = (site / "api.html").read_text()
    assert "Raises" in api and "&gt;&gt;&gt; " in api and "<blockquote>" not in api, "examples are code"


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"?(https?://[^\s\">]+)", page.read_text())
        assert [address for address in loaded if "canonical" not in address] == [], page


def test_links_within_the_site_lead_somewhere(site: Path) -> None:
    checked = 0
    for page in site.rglob("*.html"):
        for link in re.findall(r"(?:href|src)=\"?([^\"\s>#?]+)", page.read_text()):
            if not re.match(r"[a-z]+:|//", link):
                target = site / unquote(link).lstrip("/") if link.startswith("/") else page.parent / unquote(link)
                assert (target / "index.html" if target.is_dir() else target).is_file(), f"{page}: {link}"
                checked += 1
    assert checked > 1_000


@pytest.mark.parametrize("page", [page for page, block in BLOCKS.items() if block])
def test_shell_blocks_run(page: str, tmp_path: Path) -> None:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", BLOCKS[page]],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium (make browser)")
@pytest.mark.parametrize("width", [1280, 400])
def test_no_page_is_wider_than_the_screen(site: Path, width: int) -> None:
    assert BROWSER is not None
    for page in ("index", "method", "commands", "api", "other_tools", "experiments/index"):
        place = site / f"{page}-measured.html"
        place.write_text((site / f"{page}.html").read_text().replace("</body>", MEASURE + "</body>"))
        command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--dump-dom"]
        dom = subprocess.run(
            [*command, place.as_uri()], capture_output=True, text=True, check=True, timeout=1200
        ).stdout
        found = re.search(r"<title>\[(\d+),(\d+)\]</title>", dom)
        assert found is not None, page
        assert int(found[1]) == width
        assert int(found[2]) <= width, page
