"""A plan as files: the ranked table, the record that makes it traceable, the picture."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from perturb_jax.genes.perturbations import parse_perturbations
from perturb_jax.graph.knowledge_graph import KnowledgeGraph, graph_record
from perturb_jax.plan.coverage_curves import RANDOM_DRAWS, CoverageCurves, baseline_curves
from perturb_jax.plan.design_curves import Remaining, remaining_variance
from perturb_jax.plan.figures import coverage_figure, design_figure, spectral_figure
from perturb_jax.plan.plan import Plan, Request
from perturb_jax.plan.spectral_curves import SpectralCurves, spectral_baselines
from perturb_jax.support.provenance import checksums, versions

FILES = ("picks.csv", "picks.json", "picks.png")
TARGETS_FILE = "targets.csv"
"""Written beside `FILES` where the strategy is GraphDesign."""

LEAST_KNOWN = 10
"""Targets that the record names as least known."""

_DESCRIPTIONS = {"in": "genes it reads", "out": "genes that read it", "both": "either way"}


class Curves(NamedTuple):
    """The baselines under a plan's conditions: coverage, and by strategy spectral norms or remaining variance."""

    coverage: CoverageCurves
    norms: SpectralCurves | None
    remaining: Remaining | None


def plan_curves(graph: KnowledgeGraph, request: Request, plan: Plan) -> Curves:
    """What the plan is compared with."""
    picks = len(plan.table)
    walk = (request.hops, request.direction)
    conditions = (graph, plan.must, plan.pool, plan.tested, picks, *walk)
    norms = spectral_baselines(*conditions, request.options) if "sigma" in plan.table else None
    remaining = None
    if plan.design is not None:
        chosen = parse_perturbations(graph.names, plan.table["gene"])
        remaining = remaining_variance(
            graph, plan.design, chosen, plan.must, plan.pool, plan.tested, request.budget, *walk
        )
    return Curves(baseline_curves(*conditions), norms, remaining)


def plan_record(
    graph: KnowledgeGraph, request: Request, plan: Plan, inputs: Mapping[str, Path | None], curves: Curves
) -> dict[str, Any]:
    """Everything that made the plan, and what came of it: plain values for JSON.

    Args:
        graph: the knowledge graph.
        request: what was asked for.
        plan: what came of it.
        inputs: the files that were read, by the option that named them.
        curves: what the plan is compared with.
    """
    return {
        "settings": _settings(request, plan),
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
        "result": _strategy_result(plan, curves) | _coverage_result(graph, plan, curves.coverage),
        "warnings": list(plan.warnings),
        "picks": json.loads(plan.table.to_json(orient="records")),
    }


def _settings(request: Request, plan: Plan) -> dict[str, Any]:
    """The request without its lists of names, which are recorded elsewhere or by their files' checksums."""
    names = ("candidates", "must_include", "already_tested", "exclude")
    settings = {key: value for key, value in asdict(request).items() if key not in names}
    options = {key: value for key, value in request.options.items() if key not in ("targets", "costs")}
    if request.robust is None:
        del settings["robust"]
    else:
        settings["robust"] = request.robust._asdict()
    return settings | {"options": options, "cycles": int(plan.table["cycle"].max())}


def _strategy_result(plan: Plan, curves: Curves) -> dict[str, Any]:
    if curves.norms is not None:
        sigma = {
            "picks": float(plan.table["sigma"].iloc[-1]),
            "random": curves.norms.random[:, -1].tolist(),
            "top-degree": float(curves.norms.top_degree[-1]),
        }
        return {"sigma": sigma}
    if plan.robustness is not None:
        robust = plan.robustness
        mean, bound = float(robust.mean_covered[-1]), float(robust.bound[-1])
        bounded = {"bound": bound} if np.isfinite(bound) else {}
        return {"robust": {"mean covered": mean, "picks of the graph itself": robust.plain, **bounded}}
    if curves.remaining is None or plan.design is None or plan.targets is None:
        return {}
    problem, remaining = plan.design.problem, curves.remaining
    ends = {name: curve[np.isfinite(curve)] for name, curve in remaining.others.items()}
    design = {
        "targets": len(problem.targets),
        "noise variance": problem.noise,
        "objective": plan.selections[-1].objective,
        "remaining variance before": float(remaining.design[0]),
        "remaining variance": float(remaining.design[-1]),
        "random": remaining.random[:, -1].tolist(),
        **{name: {"spent": float(remaining.spent[len(end) - 1]), "remaining variance": float(end[-1])}
           for name, end in ends.items()},
        "cost": plan.design.cost(tuple(plan.table["gene"])),
        "least known": plan.targets["target"].head(LEAST_KNOWN).tolist(),
    }  # fmt: skip
    bound = plan.selections[-1].bounds[-1]
    if np.isfinite(bound):
        design |= {"value": float(plan.selections[-1].values[-1]), "bound": float(bound)}
    return {"design": design}


def _coverage_result(graph: KnowledgeGraph, plan: Plan, curves: CoverageCurves) -> dict[str, Any]:
    covered, bound = int(plan.table["covered"].iloc[-1]), plan.table["bound"].iloc[-1]
    random = curves.random[:, -1]
    starts = {str(layer): int(rank) for layer, rank in plan.table.groupby("layer")["rank"].min().items()}
    return {
        "computed": plan.selections[-1].info.method,
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
        "gains evaluated": sum(picks.info.evaluations for picks in plan.selections),
        "gains a naive greedy evaluates": sum(picks.info.naive_evaluations for picks in plan.selections),
    }


def plan_file_names(strategy: str) -> tuple[str, ...]:
    """What `plan_files` will make for a strategy."""
    return FILES + (TARGETS_FILE,) * (strategy == "graphdesign")


def plan_files(
    graph: KnowledgeGraph, request: Request, plan: Plan, record: Mapping[str, Any], curves: Curves
) -> dict[str, bytes]:
    """The contents of the files."""
    contents = {
        "picks.csv": _csv(plan.table),
        "picks.json": (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode(),
        "picks.png": _picture(graph, request, plan, curves),
    }
    if plan.targets is not None:
        contents[TARGETS_FILE] = _csv(plan.targets)
    return contents


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()


def _picture(graph: KnowledgeGraph, request: Request, plan: Plan, curves: Curves) -> bytes:
    hops = f"{request.hops} hop{'s' if request.hops > 1 else ''}"
    title = (
        f"{len(plan.table)} of {len(plan.must) + len(plan.pool):,} candidates on {graph.provenance.source} "
        f"({graph.num_nodes:,} genes), {hops}, {_DESCRIPTIONS[request.direction]}"
    )
    if curves.remaining is not None and plan.design is not None:
        targets = len(plan.design.problem.targets)
        unit = "perturbations picked" if plan.design.costs is None else "cost of the perturbations picked"
        return design_figure(f"{title}; {targets:,} targets", curves.remaining, request.strategy, unit)
    covered = np.concatenate([[curves.coverage.before], plan.table["covered"]])
    if curves.norms is not None:
        sigma = plan.table["sigma"].to_numpy()
        return spectral_figure(title, sigma, covered, curves.norms, curves.coverage, graph.num_nodes, request.strategy)
    return coverage_figure(
        title,
        covered,
        plan.table["gain"].to_numpy(),
        plan.table["bound"].to_numpy(dtype=float, na_value=np.nan),
        plan.table["layer"].to_numpy(),
        curves.coverage,
        graph.num_nodes,
        request.strategy,
        "no more with the must-haves" if len(plan.must) else "no selection can reach more",
    )
