r"""Hook of mkdocs: formulas between $ or $$ become MathML, which browsers draw without a script or a font."""

import html
import re

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(content: str, **_: object) -> str:
    """Called by mkdocs with a page's HTML, in which pymdownx.arithmatex has marked the formulas."""
    return _FORMULA.sub(_as_mathml, content)


def _as_mathml(found: re.Match[str]) -> str:
    tag, opening, formula = found.groups()
    display = "block" if opening == "[" else "inline"
    return f'<{tag} class="formula">{convert(html.unescape(formula).strip(), display=display)}</{tag}>'
