"""Make the table of GO term names that ships inside the package.

The source is the Debian package ``r-bioc-go.db``: the Bioconductor database of the Gene Ontology, a SQLite file, of the
same release as the annotation that `embed_go.py` reads. R is not needed::

    python scripts/embed_go_names.py                        # apt-get download, unpack, read
    python scripts/embed_go_names.py --sqlite GO.sqlite

What is kept: the name of every current term, as lines ``GO:0003700<tab>name`` in the order of ids, compressed. The
result is bit-identical for the same database.
"""

import argparse
import hashlib
import lzma
import sqlite3
import subprocess
import tempfile
from pathlib import Path

from perturb_jax.graph.annotation import EMBEDDED_NAMES

DEBIAN_PACKAGE = "r-bioc-go.db"


def download_sqlite(directory: Path) -> Path:
    """Fetch and unpack the Debian package."""
    subprocess.run(["apt-get", "download", DEBIAN_PACKAGE], cwd=directory, check=True)
    (deb,) = directory.glob(f"{DEBIAN_PACKAGE}_*.deb")
    subprocess.run(["dpkg-deb", "-x", deb, directory], check=True)
    return next(directory.rglob("GO.sqlite"))


def read_names(sqlite: Path) -> dict[str, str]:
    """Names of current terms by id, in order."""
    database = sqlite3.connect(f"file:{sqlite}?mode=ro", uri=True)
    rows = database.execute("SELECT go_id, term FROM go_term WHERE go_id LIKE 'GO:%' ORDER BY go_id")
    return {term: " ".join(name.split()) for term, name in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sqlite", type=Path, help="GO.sqlite; without it, the Debian package is downloaded")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        names = read_names(arguments.sqlite or download_sqlite(Path(directory)))
    lines = "".join(f"{term}\t{name}\n" for term, name in names.items())
    EMBEDDED_NAMES.write_bytes(lzma.compress(lines.encode(), preset=9 | lzma.PRESET_EXTREME))
    size, digest = EMBEDDED_NAMES.stat().st_size / 1e6, hashlib.sha256(lines.encode()).hexdigest()
    print(f"{EMBEDDED_NAMES}: {len(names):,} names, {size:.2f} MB, SHA-256 of the text {digest}")


if __name__ == "__main__":
    main()
