"""Hook of mkdocs: files of the repository outside of docs/ that pages link to become part of the site.

So a page can link to ``../experiments/README.md``: on the site it is a page too, with what it links to in turn. A
link to a file that does not exist stays as it is, and the strict build refuses it.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
_DOCS = "docs/"
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s:]+)((?:#[^)\s]*)?\))")
_CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Called by mkdocs with the files of docs/: add what they link to, and what that links to."""
    todo = [_DOCS + file.src_uri for file in files.documentation_pages()]
    known = set(todo) | {_DOCS + file.src_uri for file in files.media_files()}
    while todo:
        source = todo.pop()
        place = ROOT / source
        text = place.read_text(encoding="utf-8") if place.is_file() else ""  # a page that another hook makes
        for path in _linked(text, source):
            if path not in known:
                known.add(path)
                files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
                todo += [path] * path.endswith(".md")
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Called by mkdocs with a page's text: links between docs/ and the rest of the repository, as on the site."""
    source = page.file.src_uri
    own = source if page.file.generated_by else _DOCS + source

    def rewritten(found: re.Match[str]) -> str:
        before, link, after = found.groups()
        path = _in_repository(link, own)
        if path is None:
            return found[0]
        return before + os.path.relpath(path.removeprefix(_DOCS), os.path.dirname(source) or ".") + after  # noqa: PTH120

    parts = _CODE.split(markdown)
    parts[::2] = [_LINK.sub(rewritten, part) for part in parts[::2]]
    return "".join(parts)


def _linked(text: str, source: str) -> Iterator[str]:
    for part in _CODE.split(text)[::2]:
        for found in _LINK.finditer(part):
            path = _in_repository(found[2], source)
            if path is not None:
                yield path


def _in_repository(link: str, source: str) -> str | None:
    """The file that a link on a page means, from the repository's root; None: there is none."""
    path = os.path.normpath(os.path.join(os.path.dirname(source), link))  # noqa: PTH118, PTH120  (text, not files)
    return path if not path.startswith("..") and (ROOT / path).is_file() else None
