"""Read a file of cells in a fresh process: `read_screen_child.py ours|scanpy FILE SMALL_FILE`; prints JSON."""

import json
import sys
import time
from pathlib import Path

from harness import peak_megabytes


def ours(path: Path) -> dict[str, list[str]]:
    """The top genes of each perturbation, by this package."""
    from perturb_jax.screen.read import read_screen

    screen = read_screen(path, progress=False)
    return {name: [screen.readouts[column] for column in screen.de_genes[row]]
            for row, name in enumerate(screen.perturbations)}  # fmt: skip


def peer(path: Path) -> dict[str, list[str]]:
    """The same by scanpy, which needs the whole file in memory."""
    import warnings

    import scanpy

    warnings.simplefilter("ignore")  # of the fragmented table of results, once per group
    cells = scanpy.read_h5ad(path)
    scanpy.tl.rank_genes_groups(
        cells, "condition", reference="ctrl", method="t-test", rankby_abs=True, use_raw=False, n_genes=20
    )
    names = cells.uns["rank_genes_groups"]["names"]
    return {group: list(names[group]) for group in names.dtype.names}


def main() -> None:
    """Run once on a small file, then once timed."""
    contender, path, small = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    function = {"ours": ours, "scanpy": peer}[contender]
    start = time.perf_counter()
    function(small)  # imports, and compiling where numba's cache is empty
    first = time.perf_counter() - start
    start, cpu = time.perf_counter(), time.process_time()
    top = function(path)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(json.dumps({"first": first, "seconds": seconds, "cpu": cpu, "peak_mb": peak_megabytes(), "top": top}))


if __name__ == "__main__":
    main()
