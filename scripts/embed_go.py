"""Make the GO annotation table that ships inside the package.

The source is the Debian package ``r-bioc-org.hs.eg.db``: the Bioconductor annotation database of the human
genome, a SQLite file. R is not needed. Run on Debian or Ubuntu, or give the SQLite file of any
``org.Hs.eg.db`` release::

    python scripts/embed_go.py                        # apt-get download, unpack, read
    python scripts/embed_go.py --sqlite org.Hs.eg.sqlite --release 3.16.0

What is kept: direct annotations (no propagation to parent terms) of every current gene symbol, the namespace of
every term, the Entrez id of every annotated gene, and every alias that names at least one annotated gene and is not
itself a current symbol. The result is bit-identical for the same database.
"""

import argparse
import json
import sqlite3
import subprocess
import tempfile
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import numpy as np

from perturb_jax.graph.annotation import NAMESPACES
from perturb_jax.graph.embedded import EMBEDDED_TABLE

DEBIAN_PACKAGE = "r-bioc-org.hs.eg.db"


def download_sqlite(directory: Path) -> tuple[Path, str]:
    """Fetch and unpack the Debian package; return the database and the package's version."""
    subprocess.run(["apt-get", "download", DEBIAN_PACKAGE], cwd=directory, check=True)
    (deb,) = directory.glob(f"{DEBIAN_PACKAGE}_*.deb")
    subprocess.run(["dpkg-deb", "-x", deb, directory], check=True)
    (sqlite,) = directory.rglob("org.Hs.eg.sqlite")
    return sqlite, deb.name.split("_")[1].split("-")[0]


def read_database(sqlite: Path) -> dict[str, object]:
    """Read symbols, Entrez ids, (gene, term) pairs, namespaces, aliases and source dates."""
    database = sqlite3.connect(f"file:{sqlite}?mode=ro", uri=True)
    symbol_of = dict(database.execute("SELECT _id, symbol FROM gene_info"))
    entrez_of = {row: int(entrez) for row, entrez in database.execute("SELECT _id, gene_id FROM genes")}
    namespace_of, terms_of, entrez = {}, defaultdict(set), {}
    for code, namespace in enumerate(NAMESPACES):
        for row, term in database.execute(f"SELECT _id, go_id FROM go_{namespace.lower()}"):  # noqa: S608
            symbol, number = symbol_of[row], int(term.removeprefix("GO:"))
            namespace_of[number] = code
            terms_of[symbol].add(number)
            if entrez.setdefault(symbol, entrez_of[row]) != entrez_of[row]:
                raise SystemExit(f"{symbol} is the symbol of two annotated genes; the table holds one gene a symbol")
    current = set(symbol_of.values())
    symbols_of_alias = defaultdict(set)
    for row, alias in database.execute("SELECT _id, alias_symbol FROM alias"):
        symbols_of_alias[alias].add(symbol_of[row])
    aliases = {
        alias: sorted(symbols)
        for alias, symbols in symbols_of_alias.items()
        if alias not in current and symbols & terms_of.keys() and "\n" not in alias
    }
    dates = dict(database.execute("SELECT name, value FROM metadata"))
    return {
        "terms_of": terms_of,
        "namespace_of": namespace_of,
        "entrez": entrez,
        "aliases": aliases,
        "dates": dates,
    }


def pack(content: dict, release: str) -> dict[str, np.ndarray]:
    """Lay the annotation out as the small integer arrays that ``Annotation`` reads back."""
    symbols = sorted(content["terms_of"])
    terms = sorted(content["namespace_of"])
    position = {term: i for i, term in enumerate(terms)}
    rows = [sorted(position[term] for term in content["terms_of"][symbol]) for symbol in symbols]
    aliases = sorted(content["aliases"])
    targets = [content["aliases"][alias] for alias in aliases]
    unannotated = sorted({symbol for row in targets for symbol in row} - set(symbols))
    number = {symbol: i for i, symbol in enumerate(symbols + unannotated)}
    dates = content["dates"]
    metadata = {
        "name": "human GO, direct annotations",
        "source": f"Bioconductor org.Hs.eg.db {release}",
        "GO date": dates["GOSOURCEDATE"],
        "date": datetime.strptime(dates["GOEGSOURCEDATE"], "%Y-%b%d").date().isoformat(),
        "licence": "GO annotation CC BY 4.0; org.Hs.eg.db Artistic-2.0",
        "pairs": sum(map(len, rows)),
    }
    return {
        "metadata": text(json.dumps(metadata)),
        "symbols": text("\n".join(symbols)),
        "entrez": np.array([content["entrez"][symbol] for symbol in symbols], np.int32),
        "terms": np.array(terms, np.int32),
        "namespaces": np.array([content["namespace_of"][term] for term in terms], np.uint8),
        "row_lengths": np.array([len(row) for row in rows], np.uint16),
        "row_steps": np.concatenate([np.diff(row, prepend=0) for row in rows]).astype(np.uint16),
        "aliases": text("\n".join(aliases)),
        "alias_lengths": np.array([len(row) for row in targets], np.uint8),
        "alias_targets": np.array([number[symbol] for row in targets for symbol in row], np.uint16),
        "unannotated_symbols": text("\n".join(unannotated)),
    }


def text(string: str) -> np.ndarray:
    return np.frombuffer(string.encode("ascii"), np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sqlite", type=Path, help="org.Hs.eg.sqlite; without it, the Debian package is downloaded")
    parser.add_argument("--release", help="release of org.Hs.eg.db, with --sqlite")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        if arguments.sqlite is None:
            sqlite, release = download_sqlite(Path(directory))
        elif arguments.release is None:
            parser.error("--sqlite needs --release")
        else:
            sqlite, release = arguments.sqlite, arguments.release
        table = pack(read_database(sqlite), release)
    np.savez_compressed(EMBEDDED_TABLE, **table)
    print(f"{EMBEDDED_TABLE}: {EMBEDDED_TABLE.stat().st_size / 1e6:.2f} MB, {bytes(table['metadata']).decode()}")


if __name__ == "__main__":
    main()
