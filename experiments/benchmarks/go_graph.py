"""Building the gene-ontology graph: time per gene pair against cell-gears, and the whole genome's time and memory.

Counted for cell-gears: `gears.utils.get_GO_edge_list` for every one of 1,000 genes, in one process, from gene2go as a
dict of sets. Not counted: what `make_GO` and `get_similarity_network` do afterwards (concatenating lists, keeping each
target's largest). Counted for us: the whole of `load_go_graph`, names to finished graph, on all cores as always, and
once more on one core.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from harness import (
    Report,
    Run,
    Table,
    arguments,
    child,
    interleave,
    one_core,
    seconds_of,
    show_ratio,
    show_seconds,
    timed,
)

ABOUT = """The gene-ontology graph by GEARS' rule, from the same annotation. Medians of rounds in which the contenders
take turns in one process; "x cell-gears" compares the time per ordered gene pair, which both have to consider."""
FASTER, WHOLE_GENOME_SECONDS = 100, 5.0
GENES, SEED = 1000, 0
GEARS = "cell-gears get_GO_edge_list"
Triple = tuple[str, str, float]


def sample_of_genes(count: int) -> list[str]:
    """A seeded random sample of the annotated genes, sorted."""
    import perturb_jax as pj

    chosen = np.random.default_rng(SEED).choice(pj.human_annotation().genes, count, replace=False)
    return sorted(chosen.tolist())


def gene2go(genes: list[str]) -> dict[str, set[str]]:
    """The embedded annotation in the form that cell-gears takes."""
    import perturb_jax as pj

    annotation = pj.human_annotation()
    position = {gene: number for number, gene in enumerate(annotation.genes)}
    starts, stops = annotation.indptr[:-1], annotation.indptr[1:]

    def terms(row: int) -> set[str]:
        return {annotation.terms[term] for term in annotation.indices[starts[row] : stops[row]]}

    return {gene: terms(position[gene]) for gene in genes}


def by_gears(terms_of: dict[str, set[str]]) -> Run:
    """Every gene's edges by the reference's function."""
    from gears.utils import get_GO_edge_list

    return timed("edges", lambda: [edge for gene in terms_of for edge in get_GO_edge_list((gene, terms_of))])


def by_us(genes: list[str] | None, pinned: bool = False) -> Run:
    """`load_go_graph`, with the annotation in memory."""
    import perturb_jax as pj

    if pinned:
        with one_core():
            return by_us(genes)
    return timed("graph", lambda: pj.load_go_graph(genes))


def same_edges(edges: list[Triple], graph: "pj.KnowledgeGraph", keep: int = 21) -> bool:  # noqa: F821
    """Whether the graph is what GEARS makes of the reference's edges: each target's `keep` largest, earliest first."""
    by_target: dict[str, list[Triple]] = {}
    for edge in edges:
        by_target.setdefault(edge[1], []).append(edge)
    wanted = {
        (source, target, np.float32(score))
        for found in by_target.values()
        for source, target, score in sorted(found, key=lambda edge: (-edge[2], edge[0]))[:keep]
    }
    ends = zip(graph.senders, graph.receivers, graph.weights, strict=True)
    return wanted == {(graph.genes[source], graph.genes[target], weight) for source, target, weight in ends}


def contenders(genes: list[str]) -> dict[str, Callable[[], Run]]:
    """Who takes turns."""
    return {
        GEARS: partial(by_gears, gene2go(genes)),
        "perturb_jax, the same genes": partial(by_us, genes),
        "perturb_jax, the same genes, one core": partial(by_us, genes, True),
        "perturb_jax, whole genome": partial(by_us, None),
        "perturb_jax, whole genome, one core": partial(by_us, None, True),
    }


def measure(report: Report, genes: list[str], repeats: int) -> None:
    """Time per gene pair, and the edges compared."""
    runs = interleave(contenders(genes), repeats)
    report.add_runs("GO graph", runs)
    same = same_edges(runs[GEARS][-1].result, runs["perturb_jax, the same genes"][-1].result)
    whole = runs["perturb_jax, whole genome"][-1].result
    per_pair, rows = {}, []
    for name in runs:
        num_genes = whole.num_nodes if "whole" in name else len(genes)
        per_pair[name] = seconds_of(runs[name]) / num_genes**2
        rows.append(
            {
                "contender": name,
                "genes": f"{num_genes:,}",
                "time": show_seconds(seconds_of(runs[name])),
                "per gene pair": show_seconds(per_pair[name]),
                "x cell-gears": show_ratio(per_pair[GEARS] / per_pair[name]),
            }
        )
        if name != GEARS and "one core" not in name:
            ratio = per_pair[GEARS] / per_pair[name]
            wanted = f"time per gene pair: at least {FASTER}x faster than cell-gears"
            report.target(name, wanted, show_ratio(ratio), ratio >= FASTER)
    note = f"Edges of the {len(genes):,} genes equal to what GEARS keeps of the reference's: {'yes' if same else 'NO'}."
    report.tables.append(Table("Time", note, rows))
    alone = show_seconds(per_pair[GEARS] * whole.num_nodes**2)
    report.notes.append(f"At its time per pair cell-gears would need {alone} for the whole genome, in one process.")


def measure_fresh(report: Report, repeats: int) -> None:
    """The whole genome in fresh processes: nothing in memory yet, numba's disk cache warm."""
    answers = [child(Path(__file__).with_name("go_graph_child.py")) for _ in range(1 + repeats)][1:]
    stages = list(answers[0]["stages"])
    for stage in stages:
        report.add("fresh process", "perturb_jax, whole genome", stage, "s", *(a["stages"][stage] for a in answers))
    for stage in answers[0]["peaks"]:
        values = [answer["peaks"][stage] for answer in answers]
        report.add("fresh process", "perturb_jax, whole genome", f"peak memory, {stage}", "MB", *values)
    medians = {stage: float(np.median([answer["stages"][stage] for answer in answers])) for stage in stages}
    peaks = {stage: np.median([answer["peaks"][stage] for answer in answers]) for stage in answers[0]["peaks"]}
    rows = [
        {"after": stage, "time of this stage": show_seconds(medians[stage]), "peak MB so far": f"{peaks[stage]:,.0f}"}
        for stage in stages
    ]
    report.tables.append(Table("Whole genome in a fresh process", "", rows))
    total = medians["annotation"] + medians["graph"]
    wanted, measured = f"under {WHOLE_GENOME_SECONDS:g} s", show_seconds(total)
    report.target("whole genome, first call of a process", wanted, measured, total < WHOLE_GENOME_SECONDS)


def main() -> None:
    """Measure and write the report."""
    options = arguments(__doc__).parse_args()
    genes = sample_of_genes(100 if options.quick else GENES)
    settings = {"quick": options.quick, "genes": len(genes), "seed of the sample": SEED}
    report = Report("go_graph", ABOUT, settings)
    measure(report, genes, 1 if options.quick else 7)
    measure_fresh(report, 1 if options.quick else 5)
    report.write(options.out)


if __name__ == "__main__":
    main()
