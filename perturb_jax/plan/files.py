"""A plan as files: the ranked table, the record that makes it traceable, the picture."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from perturb_jax.graph.knowledge_graph import graph_record
from perturb_jax.plan.plan import EVIDENCE, Plan
from perturb_jax.strategies.registry import STRATEGIES, identity_of
from perturb_jax.strategies.strategy import Strategy
from perturb_jax.support.files import checksums, json_bytes, versions

FILES = ("picks.csv", "picks.json", "picks.png")
"""What is written for every strategy."""

_DESCRIPTIONS = {"in": "genes it reads", "out": "genes that read it", "both": "either way"}


def plan_record(plan: Plan, inputs: Mapping[str, Path | None] = {}) -> dict[str, Any]:
    """Everything that made a plan, and what came of it: plain values for JSON."""
    question = plan.evidence
    infos = [picks.info for picks in plan.selections]
    return {
        "settings": _settings(plan),
        "graph": graph_record(question.graph),
        **({} if question.kernel is None else {"kernel": question.kernel.description()}),
        "inputs": checksums(inputs),
        "versions": versions(),
        "candidates": {
            "given": len(question.request.candidates),
            "chosen from": len(plan.pool),
            "must include": list(plan.must.labels),
            "already tested": list(plan.tested.labels),
            "renamed": plan.renamed,
            "dropped": plan.dropped,
        },
        "result": {
            **plan.evidence.record(plan),
            "computed": infos[-1].method,
            "gains evaluated": sum(info.evaluations for info in infos),
            "gains a naive greedy evaluates": sum(info.naive_evaluations for info in infos),
        },
        "warnings": list(plan.warnings),
        "picks": json.loads(plan.table.to_json(orient="records")),
    }


def _settings(plan: Plan) -> dict[str, Any]:
    """The request without its lists of names, which are recorded elsewhere or by their files' checksums."""
    question, request = plan.evidence, plan.evidence.request
    options = request.options if isinstance(request.strategy, str) else identity_of(request.strategy)["options"]
    elsewhere = ("hops", "direction", *plan.evidence.recorded_elsewhere)
    return {
        "budget": request.budget,
        "strategy": question.name,
        "hops": question.hops,
        "direction": question.direction,
        "cycles": int(plan.table["cycle"].max()),
        "seed": request.seed,
        "options": {key: value for key, value in options.items() if key not in elsewhere},
        "unknown": request.unknown,
        **plan.evidence.settings(),
    }


def plan_file_names(strategy: Any) -> tuple[str, ...]:
    """What `plan_files` will make for a strategy, given by name or as an instance or a class."""
    cls = STRATEGIES.get(strategy) if isinstance(strategy, str) else strategy
    kind = getattr(cls, "evidence", Strategy.evidence)
    return FILES + (tuple(EVIDENCE.get(kind).files) if isinstance(kind, str) else ())


def plan_files(plan: Plan, record: Mapping[str, Any]) -> dict[str, bytes]:
    """The contents of the files; `record` is `plan_record` of the plan."""
    question = plan.evidence
    hops = f"{question.hops} hop{'s' if question.hops > 1 else ''}"
    title = (
        f"{len(plan.picks)} of {len(plan.must) + len(plan.pool):,} candidates on {question.graph.provenance.source} "
        f"({question.graph.num_nodes:,} genes), {hops}, {_DESCRIPTIONS[question.direction]}"
    )
    contents = {
        "picks.csv": _csv(plan.table),
        "picks.json": json_bytes(record),
        "picks.png": plan.evidence.figure(plan, title),
    }
    return contents | {name: _csv(getattr(plan, attribute)) for name, attribute in plan.evidence.files.items()}


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()
