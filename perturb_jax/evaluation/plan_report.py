"""A plan as files: the ranked table, the record that makes it traceable, the picture."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturb_jax.evaluation.coverage_curves import RANDOM_DRAWS, CoverageCurves, baseline_curves
from perturb_jax.evaluation.figures import coverage_figure, spectral_figure
from perturb_jax.evaluation.provenance import checksums, graph_record, versions
from perturb_jax.evaluation.spectral_curves import SpectralCurves, spectral_baselines
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.strategies.plan import Plan, Request

FILES = ("picks.csv", "picks.json", "picks.png")

_DESCRIPTIONS = {"in": "genes it reads", "out": "genes that read it", "both": "either way"}


def plan_record(
    graph: KnowledgeGraph,
    request: Request,
    plan: Plan,
    inputs: Mapping[str, Path | None],
    curves: CoverageCurves,
    norms: SpectralCurves | None,
) -> dict[str, Any]:
    """Everything that made the plan, and what came of it: plain values for JSON.

    Args:
        graph: the knowledge graph.
        request: what was asked for.
        plan: what came of it.
        inputs: the files that were read, by the option that named them.
        curves: coverage of the baselines.
        norms: spectral norms of the baselines, where the plan is MaxSpec's.
    """
    covered, bound = int(plan.table["covered"].iloc[-1]), plan.table["bound"].iloc[-1]
    settings = {
        key: value
        for key, value in asdict(request).items()
        if key not in ("candidates", "must_include", "already_tested", "exclude")
    }
    result: dict[str, Any] = {}
    if norms is not None:
        result["sigma"] = {
            "picks": float(plan.table["sigma"].iloc[-1]),
            "random": norms.random[:, -1].tolist(),
            "top-degree": float(norms.top_degree[-1]),
        }
    random = curves.random[:, -1]
    starts = {str(layer): int(rank) for layer, rank in plan.table.groupby("layer")["rank"].min().items()}
    return {
        "settings": settings | {"cycles": int(plan.table["cycle"].max())},
        "graph": graph_record(graph),
        "inputs": checksums(inputs),
        "versions": versions(),
        "candidates": {
            "given": len(request.candidates),
            "chosen from": len(plan.pool),
            "must include": list(plan.must.labels),
            "already tested": list(plan.tested.labels),
            "renamed": plan.renamed,
            "dropped": plan.dropped,
        },
        "result": result
        | {
            "computed": plan.selections[-1].method,
            "covered before": curves.before,
            "covered": covered,
            "covered_fraction": covered / graph.num_nodes,
            "reachable from all candidates": curves.reachable,
            "bound": None if pd.isna(bound) else int(bound),
            "first rank of each cover layer": starts,
            "random": {
                "seeds": list(range(RANDOM_DRAWS)),
                "covered": random.tolist(),
                "mean": float(random.mean()),
            },
            "top-degree": int(curves.top_degree[-1]),
            "gains evaluated": sum(picks.evaluations for picks in plan.selections),
            "gains a naive greedy evaluates": sum(picks.naive_evaluations for picks in plan.selections),
        },
        "warnings": list(plan.warnings),
        "picks": json.loads(plan.table.to_json(orient="records")),
    }


def plan_curves(graph: KnowledgeGraph, request: Request, plan: Plan) -> tuple[CoverageCurves, SpectralCurves | None]:
    """The baselines under the plan's conditions: coverage, and for MaxSpec the spectral norms."""
    conditions = (graph, plan.must, plan.pool, plan.tested, request.budget, request.hops, request.direction)
    norms = spectral_baselines(*conditions, request.options) if "sigma" in plan.table else None
    return baseline_curves(*conditions), norms


def plan_files(
    graph: KnowledgeGraph,
    request: Request,
    plan: Plan,
    record: Mapping[str, Any],
    curves: CoverageCurves,
    norms: SpectralCurves | None,
) -> dict[str, bytes]:
    """The contents of `FILES`."""
    hops = f"{request.hops} hop{'s' if request.hops > 1 else ''}"
    title = (
        f"{request.budget} of {len(plan.must) + len(plan.pool):,} candidates on {graph.provenance.source} "
        f"({graph.num_nodes:,} genes), {hops}, {_DESCRIPTIONS[request.direction]}"
    )
    covered = np.concatenate([[curves.before], plan.table["covered"]])
    if norms is None:
        picture = coverage_figure(
            title,
            covered,
            plan.table["gain"].to_numpy(),
            plan.table["bound"].to_numpy(dtype=float, na_value=np.nan),
            plan.table["layer"].to_numpy(),
            curves,
            graph.num_nodes,
            request.strategy,
            "no more with the must-haves" if len(plan.must) else "no selection can reach more",
        )
    else:
        sigma = plan.table["sigma"].to_numpy()
        picture = spectral_figure(title, sigma, covered, norms, curves, graph.num_nodes, request.strategy)
    table = plan.table.to_csv(index=False, lineterminator="\n")
    return {
        "picks.csv": table.encode(),
        "picks.json": (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode(),
        "picks.png": picture,
    }
