"""How much k hops reach, when cover layers begin, and how alike the selections are, on lists of real candidates.

    python experiments/hop_depth/reached.py --outcomes DE.csv.gz --library LIBRARY.txt

Writes reach.csv (a row per list, direction and k), coverage.csv (covered after each pick of GraphReach) and overlap.csv
(Jaccard index of each two selections of the same size). Nothing here is random or averaged over seeds.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).parents[1] / "perturbqa_k562"))

from data import read_graph, read_outcomes
from grid import DIRECTIONS, HOPS, SETTINGS, Setting
from outcomes import LEFT_OUT, RESULTS
from run import existing_file

import perturb_jax as pj

ADAMSON = Path(__file__).parents[1] / "adamson_targets.txt"
TRANSCRIPTION_FACTORS = "GO:0003700"


class Pool(NamedTuple):
    """A list of candidates.

    Attributes:
        name: of the list.
        graph: the graph they are in.
        candidates: their current names.
        compared: picks of the selections whose overlap is measured; 0: none are.
        targets: what GraphDesign is to learn about; None: the candidates.
    """

    name: str
    graph: pj.KnowledgeGraph
    candidates: tuple[str, ...]
    compared: int
    targets: tuple[str, ...] | None = None


def pools(outcomes: Path | None, library: Path | None, whole_genome: bool) -> Iterator[Pool]:
    """The lists; that of K562 only where its files are given."""
    if outcomes is not None and library is not None:
        graph = read_graph(library)
        names = read_outcomes(outcomes, graph).perturbations
        yield Pool("K562 knock-downs", graph, names, 50, names)
    if not whole_genome:
        return
    genome = pj.load_go_graph()
    lines = (line.split("#")[0].strip() for line in ADAMSON.read_text().splitlines())
    adamson = genome.names.resolve([line for line in lines if line], unknown="drop").genes
    yield Pool("Adamson's genes", genome, tuple(sorted(adamson)), 20)
    factors = genome.names.resolve(pj.human_annotation().genes_with(TRANSCRIPTION_FACTORS), unknown="drop").genes
    yield Pool("transcription factors", genome, tuple(sorted(factors)), 0)


def reach_rows(pool: Pool) -> tuple[list[dict[str, object]], pd.DataFrame]:
    """By direction and k: sizes of reach sets, picks until all is covered; and the coverage after each pick."""
    rows, curves = [], []
    for direction in DIRECTIONS:
        for hops in HOPS:
            alone = pj.score(pool.graph, pool.candidates, hops=hops, direction=direction).gains.ravel()
            picks = pj.graphreach(pool.graph, pool.candidates, len(pool.candidates), hops=hops, direction=direction)
            starts = picks.layer_starts
            saturated = starts.get(2)  # numbered from 0: so many picks came before
            row = {"list": pool.name, "candidates": len(pool.candidates), "nodes": pool.graph.num_nodes}
            row |= {"direction": direction, "k": hops, "mean_reach": round(float(np.mean(alone)), 2)}
            row |= {"reachable": int(picks.reachable), "picks_to_cover": saturated, "layers": int(picks.layers.max())}
            rows.append(row)
            first = len(picks) if saturated is None else saturated
            own = {"list": pool.name, "direction": direction, "k": hops, "pick": np.arange(1, first + 1)}
            curves.append(pd.DataFrame(own | {"covered": picks.values[:first].astype(int)}))
    return rows, pd.concat(curves)


def overlap_rows(pool: Pool) -> Iterator[dict[str, object]]:
    """The Jaccard index of each two settings' selections."""
    chosen: dict[Setting, set[str]] = {}
    for setting in (one for one in SETTINGS if one not in LEFT_OUT):
        chosen[setting] = {*setting.pick(pool.graph, pool.candidates, pool.targets, pool.compared).genes}
    for one, other in combinations(chosen, 2):
        common = len(chosen[one] & chosen[other])
        yield {
            "list": pool.name, "picks": pool.compared, "one": str(one), "other": str(other),
            "jaccard": round(common / len(chosen[one] | chosen[other]), 4),
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outcomes", type=existing_file, help="CSV with pert, gene, label")
    parser.add_argument("--library", type=existing_file, help="genes of the graph, one a line")
    parser.add_argument("--genome", action=argparse.BooleanOptionalAction, default=True, help="lists on its graph too")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    reaches, curves, overlaps = [], [], []
    for pool in pools(options.outcomes, options.library, options.genome):
        rows, curve = reach_rows(pool)
        reaches += rows
        curves.append(curve)
        pd.DataFrame(reaches).astype({"picks_to_cover": "Int64"}).to_csv(options.out / "reach.csv", index=False)
        pd.concat(curves).to_csv(options.out / "coverage.csv", index=False)
        if pool.compared:
            overlaps += overlap_rows(pool)
            pd.DataFrame(overlaps).to_csv(options.out / "overlap.csv", index=False)
        print(f"{pool.name}: done", flush=True)


if __name__ == "__main__":
    main()
