"""Prove that the command line still writes the same files: store what it writes, change the code, compare.

::

    python scripts/stored_outputs.py store /tmp/stored/before --package /path/of/the/old/checkout
    python scripts/stored_outputs.py store /tmp/stored/after
    python scripts/stored_outputs.py compare /tmp/stored/before /tmp/stored/after --allow 'help-*/_stdout'

`store` runs every command of `CASES` in a process and a directory of its own, two at a time, on small inputs that it
makes itself, and keeps the files together with `_stdout`, `_stderr` and `_code`. It runs whichever package stands in
the directory that `--package` names, and needs the extra `experiment`.

`compare` reads text byte for byte, except for what two runs of the same code differ in: where they stand, versions,
seconds, elapsed times, ports. Of HDF5, NumPy and Parquet files it compares every array with its type, of PNG files the
pixels. `run` measures seconds, which `table` and `plot` show: these two read a copy of its results in which made-up
seconds stand.
"""

import argparse
import base64
import difflib
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import h5py
import matplotlib.image
import numpy as np
import pandas as pd

ENTRY = "from perturb_jax.cli import main; main()"
ABOUT = "_about.json"
GENES = [f"G{number}" for number in range(80)]
SYMBOLS = [
    "TP53", "MDM2", "GATA1", "MYC", "KLF1", "CEBPE", "SPI1", "JUN", "FOS", "ATF4", "ATF6", "DDIT3", "HSPA5", "XBP1",
    "ERN1", "EIF2AK3", "EIF2B2", "EIF2B3", "EIF2B4", "CREB1", "STAT1", "STAT3", "IRF1", "IRF7", "NFKB1", "RELA",
    "CDK1", "CDK2", "CCNB1", "AARS1", "QARS1", "EPRS1", "SOX2", "SOX9", "PAX6", "FOXO3", "SMAD3", "SMAD4", "NRF1",
    "MAX",
]  # fmt: skip

EXPERIMENT = """
name = "small"
cycles = 2
batch = 6
test = 4
seeds = 2
[data.sim]
simulation = { perturbations = 24, genes = 60, cells = 30, homophily = 0.9 }
[predictors.training-mean]
[predictors.graph-gp]
[predictors.graph-ridge]
[predictors.gears]
predictor = "gears-flax"
uncertainty = true
steps = 8
evaluate_every = 4
hidden_size = 4
[strategies.random]
[strategies.graphreach]
[strategies.graphdesign]
[strategies]
k-center = { predictors = ["training-mean"] }
top-degree = { predictors = ["training-mean"] }
maxspec = { predictors = ["training-mean"], hops = 2 }
uncertainty = { predictors = ["graph-gp", "gears"] }
acs-fw = { predictors = ["graph-gp"] }
typiclust = { predictors = ["graph-gp"] }
mixed = { strategy = "hybrid", first = "graphreach", cycles = 1, then = "typiclust", predictors = ["graph-gp"] }
"""
FAILING = """
name = "failing"
cycles = 1
batch = 4
test = 2
seeds = [3]
[data.cells]
screen = "../data-simulate/cells.h5ad"
[graph]
file = "edges.csv"
[predictors.training-mean]
[predictors.diverges]
predictor = "gears-flax"
learning_rate = 1e30
steps = 4
evaluate_every = 1
hidden_size = 4
[strategies.random]
"""
SHORT = {
    "PICK": "select --graph IN/edges.csv --candidates IN/genes.txt --budget 8 --out out",
    "ONGO": "select --universe IN/symbols.txt --candidates IN/few.txt --budget 6 --out out",
    "FIT": "train --screen CELLS --graph IN/edges.csv --test 3 --out out --predictor",
    "SIMULATE": "data simulate --graph IN/edges.csv --genes 60 --cells 12",
    "CELLS": "../data-simulate/cells.h5ad",
    "IN/": "../inputs/",
}
"""What stands for longer text in `CASES`, replaced in this order."""

CASES = (
    """
    run-small: run IN/small.toml --out out --workers 2
    data-simulate: SIMULATE --perturbations IN/perturbed.txt --out cells.h5ad
    graph-export: graph --universe IN/symbols.txt --candidates IN/few.txt --export --out out
    select-go: select --candidates-go GO:0003700 --budget 20 --out out --report out/page.html
    """,
    """
    table: table ../results
    table-json: table ../results --baseline graphreach --out out --json
    plot: plot ../results --out out
    run-failing: run IN/failing.toml --out out --workers 1 --quiet
    run-again: run IN/small.toml --out ../results --dry-run
    train-gears-flax: FIT gears-flax --set steps=8 --set evaluate-every=4 --set hidden-size=4 --set ensemble=2
    train-graph-gp: FIT graph-gp --set hops=1,2
    train-graph-ridge: FIT graph-ridge --seed 3 --json
    train-bilinear-ridge: FIT bilinear-ridge --quiet
    train-nearest: FIT nearest-neighbours
    train-training-mean: FIT training-mean
    train-control-mean: FIT control-mean --train IN/train.txt
    train-split: FIT graph-gp --test IN/split.json --set signal=0.5
    train-saved: train --screen ../screen.h5ad --test 5 --predictor graph-gp --out out
    check-saved: data check ../screen.h5ad --json
    train-pseudobulk: train --pseudobulk --screen IN/means.csv --graph IN/edges.csv --test 0.3 --out out
    train-normalize: train --pseudobulk --normalize --screen IN/counts.csv --graph IN/edges.csv --test 2 --out out
    train-go: train --screen IN/human.csv --pseudobulk --unknown drop --test IN/few.txt --train IN/rest.txt --out out
    select-go-reach: select --candidates-go GO:0003700 --budget 20 --strategy graphreach --hops 2 --out out
    select-go-maxspec: select --candidates-go GO:0003700 --budget 10 --strategy maxspec --out out --quiet
    select-edges: select --graph ../graph-export/out/edges.csv --candidates IN/few.txt --budget 6 --out out
    design-plain: ONGO --report out/page.html --already-tested IN/tested-symbols.txt
    design-variance: PICK --criterion variance --noise 0.5
    design-information: PICK --criterion information
    design-facility: PICK --criterion facility --unnormalized
    design-soft: PICK --criterion soft
    design-unweighted: PICK --unweighted --hops 2 --direction both --json
    design-targets: PICK --targets IN/worth.csv
    design-all: PICK --targets graph --seed 1
    design-costs: PICK --costs IN/costs.csv --targets IN/train.txt
    reach-plain: PICK --strategy graphreach
    reach-ties: PICK --strategy graphreach --ties first --hops 2 --direction out
    reach-seed: PICK --strategy graphreach --seed 5 --direction both --report out/page.html
    reach-robust: PICK --strategy graphreach --robust 10 --dropout 0.2 --dropout-seed 4
    maxspec-plain: PICK --strategy maxspec
    maxspec-subgraph: PICK --strategy maxspec --normalization subgraph --sense max --unweighted
    maxspec-symmetric: PICK --strategy maxspec --normalization graph --sense min --symmetric --hops 2
    k-center: PICK --strategy k-center --report out/page.html
    random: PICK --strategy random --seed 2
    top-degree: PICK --strategy top-degree --direction out
    lists: PICK --must-include IN/must.txt --already-tested IN/tested.txt --exclude IN/exclude.txt --cycles 3
    lists-reach: PICK --strategy graphreach --must-include IN/must.txt --already-tested IN/tested.txt --cycles 1
    pairs: PICK --candidates IN/pairs.txt --budget 5
    pairs-reach: PICK --candidates IN/pairs.txt --budget 5 --strategy graphreach
    pairs-maxspec: PICK --candidates IN/pairs.txt --budget 5 --strategy maxspec
    unknown-drop: PICK --candidates IN/unknown.txt --budget 2 --unknown drop
    column: PICK --candidates IN/table.csv --column name --budget 3
    from-cells: PICK --candidates CELLS --budget 4
    annotation-gmt: select --annotation IN/terms.gmt --candidates IN/few.txt --budget 3 --unknown drop --out out
    annotation-gaf: graph --annotation IN/terms.gaf --drop-evidence IEA --namespaces BP,MF --neighbors 5 --json
    graph-go: graph --min-jaccard 0.2 --out out
    graph-edges: graph --graph IN/edges.csv --candidates IN/unknown.txt --unknown drop
    check: data check CELLS
    check-json: data check CELLS --where cell_type=simulated --json
    check-means: data check IN/means.csv --pseudobulk --json
    split: data split --screen CELLS --test 3 --seed 1 --out out
    split-share: data split --screen IN/means.csv --pseudobulk --test 0.25 --out out --quiet
    simulate-drop: SIMULATE --perturbations IN/unknown.txt --unknown drop --homophily 0.9 --out x.h5ad
    simulate-drawn: SIMULATE --perturbations 4 --control-cells 30 --hops 2 --seed 7 --out a/x.h5ad --quiet
    data-list: data list --cache cache
    data-list-json: data list --cache cache --json
    version: --version
    bad-file: select --candidates none.txt --budget 2 --out out
    bad-unknown: PICK --candidates IN/unknown.txt --budget 2
    bad-budget: PICK --budget 800
    bad-budget-word: PICK --budget x
    bad-no-budget: select --candidates IN/genes.txt --out out
    bad-hops: PICK --hops 0
    bad-direction: PICK --direction up
    bad-strategy: PICK --strategy x
    bad-option: PICK --sense max
    bad-criterion: PICK --criterion x
    bad-costs: PICK --costs IN/genes.txt
    bad-edges: PICK --graph IN/few.txt
    bad-rules: PICK --neighbors 5
    bad-both: PICK --must-include IN/must.txt --exclude IN/must.txt
    bad-term: select --candidates-go GO:9 --budget 1 --out out
    bad-no-option: PICK --fast
    bad-command: choose
    bad-export: graph --export
    bad-out: PICK --out IN/genes.txt
    bad-force: SIMULATE --perturbations 4 --out CELLS
    bad-report: PICK --report IN/page.txt
    bad-robust: PICK --dropout 0.1
    bad-predictor: FIT x
    bad-setting: FIT graph-gp --set depth=2
    bad-leak: FIT graph-gp --train IN/train.txt --test IN/train.txt
    bad-graph: train --screen CELLS --out out
    bad-means: train --screen IN/means.csv --out out
    bad-column: data check CELLS --where batch=none
    bad-where: data check CELLS --where one
    bad-cells: data check IN/genes.txt
    bad-data: data fetch xyz
    bad-simulate: data simulate --out x.csv
    bad-split: data split --screen CELLS --test 99 --out out
    bad-toml: run IN/genes.txt
    bad-experiment: run IN/bad.toml
    bad-workers: run IN/small.toml --workers 2 --scheduler tcp://127.0.0.1:1
    bad-results: table .
    bad-baseline: table ../results --baseline x --out out
    bad-plot: plot nowhere
    nothing:
    help: --help
    help-select: select --help
    help-graph: graph --help
    help-train: train --help
    help-run: run --help
    help-table: table --help
    help-plot: plot --help
    help-data: data --help
    help-list: data list --help
    help-fetch: data fetch --help
    help-check: data check --help
    help-split: data split --help
    help-simulate: data simulate --help
    """,
)
"""Name and arguments of every command, in two stages: the second uses what the first has written."""


def store(directory: Path, package: Path) -> None:
    """Run all commands with the package in `package` and keep what they write below `directory`."""
    directory.mkdir(parents=True)
    root, package = directory.resolve(), package.resolve()
    found = subprocess.run(
        [sys.executable, "-c", "import perturb_jax; print(perturb_jax.__file__)"],
        cwd=root, env=_environment(package), capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    if not Path(found).is_relative_to(package):
        raise SystemExit(f"expected perturb_jax of {package}, got {found}")
    (root / ABOUT).write_text(json.dumps({"root": str(root), "package": str(package)}) + "\n")
    make_inputs(root / "inputs")
    begin = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        for stage, text in enumerate(CASES):
            lines = [line.strip().split(":", 1) for line in text.strip().splitlines()]
            for told in pool.map(lambda line: run_case(root / line[0], line[1], package), lines):
                print(told, flush=True)
            if stage == 0:
                with_made_up_seconds(root / "run-small" / "out", root / "results")
                shutil.copy(sorted(root.glob("results/data/*/screen.h5ad"))[0], root / "screen.h5ad")
    print(f"{sum(text.strip().count(chr(10)) + 1 for text in CASES)} commands, {time.monotonic() - begin:.0f} s")


def _environment(package: Path) -> dict[str, str]:
    """A small environment, the same for all: no terminal, no colours, compiled programs shared by all stores."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    compiled = os.environ.get("PERTURB_JAX_COMPILATION_CACHE", "/tmp/stored_outputs_compiled")  # noqa: S108
    fixed = {"COLUMNS": "100", "LANG": "C.UTF-8", "NO_COLOR": "1", "TERM": "dumb", "JAX_PLATFORMS": "cpu"}
    return kept | fixed | {"PYTHONPATH": str(package), "PERTURB_JAX_COMPILATION_CACHE": compiled}


def run_case(place: Path, text: str, package: Path) -> str:
    """Run a command in a new directory and keep what it prints; returns a line about it."""
    for short, long in SHORT.items():
        text = text.replace(short, long)
    place.mkdir()
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", ENTRY, *shlex.split(text)],
        cwd=place, env=_environment(package), stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=900,
    )  # fmt: skip
    code = f"{done.returncode}\n".encode()
    for name, content in (("_stdout", done.stdout), ("_stderr", done.stderr), ("_code", code)):
        (place / name).write_bytes(content)
    return f"{time.monotonic() - begin:6.1f} s  exit code {done.returncode}  {place.name}"


def make_inputs(directory: Path) -> None:
    """Write the files that the commands read."""
    directory.mkdir()
    rng = np.random.default_rng(0)
    pairs = [(str(one), gene) for gene in GENES for one in rng.choice(GENES, 6, replace=False) if one != gene]
    edges = [(*pair, rng.integers(1, 1000) / 1000) for pair in pairs]
    perturbed = [*GENES[:14], "G3+G40", "G7+G41"]
    names = {
        "genes": GENES[:40], "symbols": SYMBOLS, "few": SYMBOLS[:12], "rest": SYMBOLS[12:30], "perturbed": perturbed,
        "train": GENES[2:10], "must": ["G5", "G17"], "tested": ["G8", "G60"], "tested-symbols": ["STAT1", "JUN"],
        "exclude": ["G1", "G2"], "unknown": ["G4", "G9", "XYZ", "G11"],
        "pairs": [*GENES[:8], "G1+G20", "G30+G2", "G9+G5"],
    }  # fmt: skip
    for name, lines in names.items():
        (directory / f"{name}.txt").write_text("\n".join(lines) + "\n")
    tables: dict[str, list[tuple[object, ...]]] = {
        "edges": [("source", "target", "importance"), *edges], "table": [("id", "name"), *enumerate(GENES[20:30])],
        "costs": [("gene", "cost"), *((gene, 0.5 + place % 3) for place, gene in enumerate(GENES[:30]))],
        "worth": [("gene", "weight"), *((gene, 1 + place / 4) for place, gene in enumerate(GENES[30:50]))],
    }  # fmt: skip
    means = {"means": (perturbed, GENES[:60]), "counts": (perturbed, GENES[:60]), "human": (SYMBOLS[:30], SYMBOLS)}
    for name, (conditions, genes) in means.items():
        values = rng.gamma(2, 0.4, (len(conditions) + 1, len(genes))).round(3) * (50 if name == "counts" else 1)
        rows = zip(["ctrl", *conditions], values.round(3).tolist(), strict=True)
        tables[name] = [("condition", *genes), *((condition, *row) for condition, row in rows)]
    for name, content in tables.items():
        (directory / f"{name}.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in content))
    terms = [(f"GO:{place:07d}", rng.choice(SYMBOLS, 6, replace=False)) for place in range(1, 31)]
    gmt = "".join("\t".join([f"GOBP_{term[3:]}", "none", *genes]) + "\n" for term, genes in terms)
    (directory / "terms.gmt").write_text(gmt)
    gaf = "!gaf-version: 2.1\n"
    for place, (term, annotated) in enumerate(terms):
        kind = "PFC"[place % 3]
        for gene in annotated:
            code = ("IDA", "IEA")[len(gene) % 2]
            row = ["UniProtKB", "P1", gene, "", term, "PMID:1", code, "", kind, "", "", "protein", "taxon:9606"]
            gaf += "\t".join([*row, "20220101", "x"]) + "\n"
    (directory / "terms.gaf").write_text(gaf)
    split = {"train": GENES[:8], "validation": GENES[8:9], "test": GENES[9:14], "seed": 0}
    (directory / "split.json").write_text(json.dumps(split))
    for name, text in (("small", EXPERIMENT), ("failing", FAILING), ("bad", EXPERIMENT.replace("= 2", "= 0", 1))):
        (directory / f"{name}.toml").write_text(text)


SECONDS = re.compile(r'("(?:seconds|seconds_first|loading|training|evaluation|view|storing)": )[\d.e+-]+')


def with_made_up_seconds(source: Path, target: Path) -> None:
    """Copy the results of an experiment; what was measured becomes a function of the file's name."""
    shutil.copytree(source, target)
    for path in sorted(target.glob("*/*/*.json")):
        seconds = 1 + int(hashlib.sha256(path.parent.name.encode()).hexdigest()[:4], 16) / 1e4
        path.write_text(SECONDS.sub(rf"\g<1>{seconds}", path.read_text()))
        sums = path.with_name("SHA256SUMS")
        made = f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"
        sums.write_text(re.sub(rf"^\w+  {re.escape(path.name)}$", made, sums.read_text(), flags=re.MULTILINE))


def compare(one: Path, other: Path, allowed: list[str]) -> int:
    """Print every file that differs and how; 1 where one differs that no pattern allows."""
    (files, paths), (others, other_paths) = _files(one), _files(other)
    different, excused = 0, 0
    for name in sorted({*files, *others}):
        if name in files and name in others:
            told = difference(files[name], others[name], paths, other_paths)
        else:
            told = f"only in {one if name in files else other}"
        if told and any(fnmatch(name, pattern) for pattern in allowed):
            excused += 1
        elif told:
            different += 1
            print(f"{name}: {told}")
    print(f"{len({*files, *others})} files: {different} differ, {excused} more differ as allowed")
    return 1 if different else 0


def _files(directory: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """The files below a directory, and what its paths are called."""
    about = json.loads((directory / ABOUT).read_text())
    found = (path for path in directory.rglob("*") if path.is_file() and path.name != ABOUT)
    return {str(path.relative_to(directory)): path for path in found}, {
        about["root"]: "<ROOT>", about["package"]: "<PACKAGE>"
    }  # fmt: skip


def difference(one: Path, other: Path, paths: Mapping[str, str], other_paths: Mapping[str, str]) -> str:
    """How two files differ; empty where they do not."""
    a, b = one.read_bytes(), other.read_bytes()
    if a == b:
        return ""
    if one.suffix in READERS:
        read = READERS[one.suffix]
        return _difference_of_arrays(_with_settled(read(one), paths), _with_settled(read(other), other_paths))
    try:
        before, after = settled(a.decode(), paths).split("\n"), settled(b.decode(), other_paths).split("\n")
    except UnicodeDecodeError:
        return f"{len(a)} and {len(b)} bytes, which differ"
    lines = [line[:200] for line in difflib.unified_diff(before, after, n=0, lineterm="")][2:]
    more = [f"... {len(lines) - 12} more lines"] if len(lines) > 12 else []
    return "".join(f"\n    {line}" for line in [*lines[:12], *more])


def settled(text: str, paths: Mapping[str, str]) -> str:
    """A text less what differs between two runs of the same code."""
    for path, called in sorted(paths.items(), key=lambda item: -len(item[0])):
        text = text.replace(path, called)
    for pattern, instead in VARYING:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text


def _pixels(match: re.Match[str]) -> str:
    image = matplotlib.image.imread(io.BytesIO(base64.b64decode(match[1])), format="png")
    return f"<image {image.shape} {hashlib.sha256(image.tobytes()).hexdigest()}>"


VARYING: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (SECONDS.pattern, r"\1<SECONDS>"),
    (r'"seconds": \[[^\]]*\]', '"seconds": [<SECONDS>]'),
    (r'"versions": \{[^}]*\}', lambda match: re.sub(r'": "[^"]*"', '": <VERSION>', match[0])),
    (r"^perturb-jax \d[\w.+]*$", "perturb-jax <VERSION>"),
    (r"(<dt>[\w-]+</dt><dd>)\d+\.\d+[\w.+]*(?=</dd>)", r"\1<VERSION>"),
    (r'"traceback": "(?:[^"\\]|\\.)*"', '"traceback": <TRACEBACK>'),
    (r"^[0-9a-f]{64}(?=  (?:\w+\.json|history\.parquet|screen\.h5ad)$)", "<SHA256>"),  # of files with seconds or paths
    (r"\b\d+:\d\d:\d\d\b", "<CLOCK>"),
    (r"127\.0\.0\.1:\d+", "<ADDRESS>"),
    (r"^[\d-]+ [\d:,.]+ - distributed.*\n", ""),  # dask, where the machine is busy
    (r"data:image/png;base64,([\w+/=]+)", _pixels),
)
"""Patterns of what differs between two runs of the same code, and what stands for it."""


def _with_settled(arrays: dict[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """Arrays, of which those of texts are settled."""
    made = dict(arrays)
    for name, values in arrays.items():
        if values.dtype == object:
            texts = [part.decode() if isinstance(part, bytes) else str(part) for part in values.ravel()]
            made[name] = np.array([settled(text, paths) for text in texts], dtype=object).reshape(values.shape)
    return made


def _difference_of_arrays(one: dict[str, Any], other: dict[str, Any]) -> str:
    told = []
    for name in sorted({*one, *other}):
        a, b = one.get(name), other.get(name)
        if a is None or b is None or (a.dtype, a.shape) != (b.dtype, b.shape):
            kinds = ("none" if part is None else f"{part.dtype} {part.shape}" for part in (a, b))
            told.append(f"{name}: {' and '.join(kinds)}")
        elif (a.tolist() != b.tolist()) if a.dtype == object else (a.tobytes() != b.tobytes()):
            size = f", by up to {np.nanmax(np.abs(a.astype(float) - b)):.3g}" if a.dtype.kind in "fiu" else ""
            told.append(f"{name}: {np.sum(a != b)} of {a.size} values differ{size}")
    return "".join(f"\n    {line}" for line in told[:12])


def _hdf5(path: Path) -> dict[str, Any]:
    """Every dataset and attribute."""
    with h5py.File(path) as file:
        return dict(_parts(file))


def _parts(item: Any) -> Iterator[tuple[str, Any]]:
    yield from ((f"{item.name}@{key}", np.asarray(value)) for key, value in item.attrs.items())
    if isinstance(item, h5py.Dataset):
        value = item[()]
        yield item.name, np.asarray(value, dtype=object if isinstance(value, bytes) else None)
    else:
        yield f"{item.name} holds", np.asarray(sorted(item), dtype=object)
        for name in item:
            yield from _parts(item[name])


def _npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return {"names": np.asarray(file.files, dtype=object)} | {name: file[name] for name in file.files}


def _parquet(path: Path) -> dict[str, Any]:
    table = pd.read_parquet(path)
    if "seconds" in table:
        table["seconds"] = 0.0
    return {"columns": np.asarray(table.columns, dtype=object)} | {str(name): table[name].to_numpy() for name in table}


def _png(path: Path) -> dict[str, Any]:
    return {"pixels": matplotlib.image.imread(path)}


READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".h5ad": _hdf5, ".npz": _npz, ".parquet": _parquet, ".png": _png
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    storing = commands.add_parser("store", help="run all commands and keep what they write")
    storing.add_argument("directory", type=Path, help="does not exist yet")
    storing.add_argument("--package", type=Path, default=Path(__file__).parents[1], help="directory of perturb_jax/")
    storing.set_defaults(do=lambda given: store(given.directory, given.package))
    comparing = commands.add_parser("compare", help="list the files that differ")
    comparing.add_argument("one", type=Path)
    comparing.add_argument("other", type=Path)
    comparing.add_argument("--allow", action="append", default=[], metavar="PATTERN", help="of files that may differ")
    comparing.set_defaults(do=lambda given: compare(given.one, given.other, given.allow))
    given = parser.parse_args()
    return given.do(given) or 0


if __name__ == "__main__":
    sys.exit(main())
