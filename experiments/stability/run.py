"""How much selections change when the graph is noisy: GraphReach on 100 copies of the GO graph that lack edges.

    python experiments/stability/run.py [--quick]

Chooses 100 of the 440 human transcription factors on the graph, on each noisy copy, and for the mean coverage over all
copies ("robust"). Both selections are judged on 100 other copies, drawn with another seed. Writes results/picked.csv
(on what share of the copies each gene is picked) and results/stability.md; --quick prints a small run, writes nothing.
"""

import argparse
import os
import time
from pathlib import Path

import jax
import numpy as np
import pandas as pd

import perturb_jax as pj
from perturb_jax.genes.perturbations import parse_perturbations
from perturb_jax.graph.knowledge_graph import GraphBatch
from perturb_jax.graph.reach import reach_sets

RESULTS = Path(__file__).with_name("results")
TERM = "GO:0003700"
RATES = (0.05, 0.1, 0.2, 0.4)
HOPS = (1, 2)
ABOUT = """# Stability of GraphReach under graph noise

Written by `python experiments/stability/run.py`. {budget} of {candidates} human transcription factors, the whole
genome's GO graph ({nodes:,} genes), direction in, {copies} noisy copies: each edge is missing from each copy with
the probability `dropout`. Greedy coverage on the graph ("plain") and of the mean coverage over the copies ("robust",
`--robust {copies}`).

- `kept`: share of the plain picks that GraphReach, asked alone on a copy, picks too; mean over the copies. Random
  selections of this size would share {random:.0%}.
- `always`: candidates picked on at least 95 % of the copies; `ever`: on at least one.
- `plain`, `robust`: genes covered on {copies} other copies (another seed), mean. `gain`: robust - plain, in per cent,
  from the differences on the same copies; the interval is 1.96 standard errors.
- `plain, random ties`: the same for plain picks whose ties are decided at random (seed 0), not by rarity.
- `seconds`: all {copies} selections, and the robust one; on two cores shared with other work (load {load:.0f}).

{table}

`picked.csv` has every candidate's share of the copies.
"""


def covered(graphs: GraphBatch, genes: tuple[str, ...], hops: int) -> np.ndarray:
    """Genes that a selection reaches on each graph."""
    nodes = graphs.graph.num_nodes
    columns = np.unique(reach_sets(graphs, parse_perturbations(graphs.graph.names, genes).members, hops, "in").indices)
    return np.bincount(columns // nodes, minlength=len(graphs))


def study(
    graph: pj.KnowledgeGraph, factors: tuple[str, ...], budget: int, copies: int, rate: float, hops: int
) -> tuple[dict[str, object], pd.DataFrame]:
    """A row of the table, and each candidate's share of the copies."""
    noisy, others = (pj.edge_dropout(graph, rate, copies, jax.random.key(seed)) for seed in (0, 1))
    plain = pj.graphreach(graph, factors, budget, hops)
    random = pj.graphreach(graph, factors, budget, hops, seed=0)
    start = time.perf_counter()
    each = pj.pick_counts(noisy, factors, budget, hops)
    middle = time.perf_counter()
    robust = pj.graphreach(noisy, factors, budget, hops)
    end = time.perf_counter()
    share = pd.Series(each.counts / copies, each.candidates)
    there = covered(others, plain.genes, hops)
    difference = (covered(others, robust.genes, hops) - there) / there.mean()
    error = 1.96 * difference.std(ddof=1) / np.sqrt(copies)
    row = {
        "dropout": rate, "hops": hops, "kept": f"{share[list(plain.genes)].mean():.0%}",
        "always": int((share >= 0.95).sum()), "ever": int((share > 0).sum()),
        "robust picks in plain": len(set(plain.genes) & set(robust.genes)),
        "plain, random ties": f"{covered(others, random.genes, hops).mean():,.1f}",
        "plain": f"{there.mean():,.1f}", "robust": f"{there.mean() * (1 + difference.mean()):,.1f}",
        "gain": f"{difference.mean():+.2%} ± {error:.2%}", "seconds": f"{middle - start:.1f}, {end - middle:.1f}",
    }  # fmt: skip
    picked = pd.DataFrame({"dropout": rate, "hops": hops, "gene": share.index, "share": share.to_numpy()})
    picked["plain rank"] = picked["gene"].map({gene: i + 1 for i, gene in enumerate(plain.genes)}).astype("Int64")
    picked["robust rank"] = picked["gene"].map({gene: i + 1 for i, gene in enumerate(robust.genes)}).astype("Int64")
    return row, picked.sort_values(["share", "gene"], ascending=[False, True])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    copies, budget = (5, 20) if quick else (100, 100)
    graph = pj.load_go_graph()
    factors = tuple(pj.human_annotation().genes_with(TERM))
    cases = [(rate, hops) for hops in HOPS for rate in RATES]
    studies = [study(graph, factors, budget, copies, *case) for case in cases[: 1 if quick else None]]
    rows = [row for row, _ in studies]
    names = list(rows[0])
    lines = [" | ".join(names), " | ".join("---" for _ in names), *(" | ".join(map(str, row.values())) for row in rows)]
    text = ABOUT.format(
        budget=budget, candidates=len(factors), nodes=graph.num_nodes, copies=copies, random=budget / len(factors),
        load=os.getloadavg()[0], table="\n".join(f"| {line} |" for line in lines),
    )  # fmt: skip
    print(text)
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "stability.md").write_text(text, encoding="utf-8")
        pd.concat([picked for _, picked in studies]).to_csv(RESULTS / "picked.csv", index=False)


if __name__ == "__main__":
    main()
