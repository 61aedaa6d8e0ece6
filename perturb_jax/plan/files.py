"""A plan as files: the ranked table, the record that makes it traceable, the picture."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from perturb_jax.graph.knowledge_graph import KnowledgeGraph, graph_record
from perturb_jax.plan.coverage import RANDOM_DRAWS, CoverageCurves
from perturb_jax.plan.evidence import EVIDENCE, Comparison
from perturb_jax.plan.plan import Plan, Request
from perturb_jax.strategies.registry import STRATEGIES
from perturb_jax.strategies.strategy import Strategy
from perturb_jax.support.options import changed_options
from perturb_jax.support.provenance import checksums, versions

FILES = ("picks.csv", "picks.json", "picks.png")
"""What is written for every strategy."""

_DESCRIPTIONS = {"in": "genes it reads", "out": "genes that read it", "both": "either way"}


def plan_curves(graph: KnowledgeGraph, request: Request, plan: Plan) -> Comparison:  # noqa: ARG001
    """What the plan is compared with."""
    return plan.comparison


def plan_record(
    graph: KnowledgeGraph, request: Request, plan: Plan, inputs: Mapping[str, Path | None], curves: Comparison
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
        "result": plan.evidence.record(plan) | _coverage_result(graph, plan, curves.coverage),
        "warnings": list(plan.warnings),
        "picks": json.loads(plan.table.to_json(orient="records")),
    }


def _settings(request: Request, plan: Plan) -> dict[str, Any]:
    """The request without its lists of names, which are recorded elsewhere or by their files' checksums."""
    asked = plan.evidence.question
    options = request.options if isinstance(request.strategy, str) else _changed(request.strategy)
    elsewhere = ("hops", "direction", *plan.evidence.recorded_elsewhere)
    return {
        "budget": request.budget,
        "strategy": asked.name,
        "hops": asked.hops,
        "direction": asked.direction,
        "cycles": int(plan.table["cycle"].max()),
        "seed": request.seed,
        "options": {key: value for key, value in options.items() if key not in elsewhere},
        "unknown": request.unknown,
        **plan.evidence.settings(),
    }


def _changed(strategy: Any) -> Mapping[str, object]:
    return changed_options(strategy) if hasattr(strategy, "__dataclass_fields__") else {}


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


def plan_file_names(strategy: Any) -> tuple[str, ...]:
    """What `plan_files` will make for a strategy, given by name or as an instance or a class."""
    cls = STRATEGIES.get(strategy) if isinstance(strategy, str) else strategy
    kind = getattr(cls, "evidence", Strategy.evidence)
    return FILES + (tuple(EVIDENCE.get(kind).files) if isinstance(kind, str) else ())


def plan_files(
    graph: KnowledgeGraph,  # noqa: ARG001
    request: Request,  # noqa: ARG001
    plan: Plan,
    record: Mapping[str, Any],
    curves: Comparison,  # noqa: ARG001
) -> dict[str, bytes]:
    """The contents of the files."""
    contents = {
        "picks.csv": _csv(plan.table),
        "picks.json": (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode(),
        "picks.png": plan.evidence.figure(plan, _title(plan)),
    }
    return contents | {name: _csv(getattr(plan, attribute)) for name, attribute in plan.evidence.files.items()}


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()


def _title(plan: Plan) -> str:
    asked = plan.evidence.question
    hops = f"{asked.hops} hop{'s' if asked.hops > 1 else ''}"
    return (
        f"{len(plan.table)} of {len(plan.must) + len(plan.pool):,} candidates on {asked.graph.provenance.source} "
        f"({asked.graph.num_nodes:,} genes), {hops}, {_DESCRIPTIONS[asked.direction]}"
    )
