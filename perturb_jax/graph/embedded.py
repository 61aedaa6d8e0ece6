"""The annotation that ships with the package: where it is, and what it is, said without loading it."""

import json
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from perturb_jax.support.files import sha256_of

EMBEDDED_TABLE = Path(__file__).parent / "data" / "human_go.npz"


def about_embedded() -> dict[str, Any]:
    """Name, source, dates, licence and checksum, and how many genes, terms and pairs; NumPy is not needed."""
    with ZipFile(EMBEDDED_TABLE) as table:
        _, metadata = _parts(table.read("metadata.npy"))
        sizes = {what: _parts(table.read(f"{name}.npy"))[0] for what, name in (("genes", "entrez"), ("terms", "terms"))}
    return json.loads(metadata) | sizes | {"sha256": sha256_of(EMBEDDED_TABLE)}


def _parts(array: bytes) -> tuple[int, bytes]:
    """The length that the header of a .npy file says, and what follows its header, which is one line."""
    header, _, values = array.partition(b"\n")
    length = re.search(rb"'shape': \((\d+),", header)
    assert length is not None
    return int(length[1]), values
