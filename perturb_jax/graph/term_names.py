"""What GO terms are called."""

import lzma
from collections.abc import Mapping
from functools import cache
from pathlib import Path

EMBEDDED_NAMES = Path(__file__).parent / "data" / "go_names.tsv.xz"


@cache
def term_names() -> Mapping[str, str]:
    """Names of 43,558 GO terms by id, from the table that ships with the package.

    From Bioconductor's GO.db 3.16.0 (GO of 2022-07-01, CC BY 4.0): the terms that were current then. Terms of other
    releases may be missing: `term_names().get(term, term)`.

    Examples:
        >>> term_names()["GO:0003700"]
        'DNA-binding transcription factor activity'
    """
    lines = lzma.decompress(EMBEDDED_NAMES.read_bytes()).decode().splitlines()
    return dict(line.split("\t") for line in lines)
