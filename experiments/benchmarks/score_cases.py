"""The graphs of the scoring benchmark: the whole genome at 2 hops, and a synthetic graph of a million nodes at 1."""

from coverage_cases import synthetic_graph

import perturb_jax as pj

CASES = ("genome, k=2", "1M nodes, k=1")


def graph_case(case: str, quick: bool) -> tuple[pj.KnowledgeGraph, int, int]:
    """Graph, hops and picks of a case."""
    if case == CASES[0]:
        graph = pj.load_go_graph(pj.human_annotation().genes[:1500] if quick else None)
        return graph, 2, 20 if quick else 200
    return synthetic_graph(5_000 if quick else 1_000_000, 0), 1, 20 if quick else 50
