"""Strategies of a user's own, from outside the package: in a file or as an instance, in Python and in plans."""

import pickle
from pathlib import Path

import pytest

import perturb_jax as pj
from perturb_jax.genes.symbols import GeneNames
from perturb_jax.plan.files import plan_file_names, plan_files, plan_record
from perturb_jax.strategies.registry import identity_of, strategy_of
from perturb_jax.strategies.strategy import Ask
from perturb_jax.support.figures import SELECTION
from tests.graphs import graph_of
from tests.pictures import colours

GRAPH = graph_of(8, [(0, 1), (0, 2), (0, 3), (4, 5), (4, 0), (6, 7)])
NAMES = list(GRAPH.genes)
SOURCE = """
from dataclasses import dataclass
import perturb_jax as pj

@dataclass(frozen=True)
class Last(pj.Strategy):
    step: int = pj.option(1, "Every so many.", at_least=1)
    backwards: bool = pj.option(True, "From the end.")

    def choose(self, ask):
        names = list(ask.candidates)[:: -1 if self.backwards else 1]
        return names[:: self.step][: ask.budget]

class Plain:
    def choose(self, ask):
        return list(ask.candidates)[: ask.budget]

class Wrong:
    def choose(self, ask):
        return list(ask.candidates)[:1]
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    file = tmp_path / "mine.py"
    file.write_text(SOURCE)
    return str(file)


def test_a_class_in_a_file_is_used_with_its_options_and_travels_with_its_source(mine: str) -> None:
    strategy = strategy_of(f"{mine}:Last", {"step": 2})
    assert pj.choose(strategy, Ask.of(GRAPH, NAMES, 3)).genes == ("G7", "G5", "G3")
    sent = pickle.dumps(strategy)
    Path(mine).unlink()
    assert pj.choose(pickle.loads(sent), Ask.of(GRAPH, NAMES, 3)).genes == ("G7", "G5", "G3")  # noqa: S301
    identity = identity_of(strategy)
    assert identity["options"] == {"step": 2}
    assert len(identity["source"]) == 64


def test_nothing_but_a_method_choose_is_needed(mine: str) -> None:
    strategy = strategy_of(f"{mine}:Plain")
    assert pj.choose(strategy, Ask.of(GRAPH, NAMES, 2, selected=["G0"])).genes == ("G1", "G2")
    assert pickle.loads(pickle.dumps(strategy)).choose(Ask.of(GRAPH, NAMES, 1)) == ["G0"]  # noqa: S301


def test_its_plan_has_coverage_baselines_and_a_picture(mine: str) -> None:
    request = pj.Request(NAMES, 3, f"{mine}:Last", must_include=["G2"], hops=2, options={"backwards": False})
    plan = pj.make_plan(GRAPH, request)
    assert plan.table["gene"].tolist() == ["G2", "G0", "G1"]
    assert {"covered", "gain", "layer", "bound"} <= set(plan.table)
    assert plan.table["covered"].iloc[-1] == plan.curve["covered"].iloc[-1]
    record = plan_record(plan)
    assert record["settings"]["options"] == {"backwards": False}
    files = plan_files(plan, record)
    assert tuple(files) == plan_file_names(f"{mine}:Last") == ("picks.csv", "picks.json", "picks.png")
    assert colours(files["picks.png"])[SELECTION] > 100


def test_what_a_file_or_its_answer_gets_wrong_is_named(mine: str) -> None:
    with pytest.raises(pj.InputError, match="expected 2 different candidates from choose"):
        pj.choose(strategy_of(f"{mine}:Wrong"), Ask.of(GRAPH, NAMES, 2))
    with pytest.raises(pj.InputError, match="step: expected a whole number of at least 1, got 0"):
        strategy_of(f"{mine}:Last", {"step": 0})
    with pytest.raises(pj.InputError, match="defines no 'First'"):
        strategy_of(f"{mine}:First")
    with pytest.raises(pj.InputError, match="uncertainty reads a fitted predictor"):
        pj.make_plan(GRAPH, pj.Request(NAMES, 2, "uncertainty"))


def test_names_are_understood_once_per_list(monkeypatch: pytest.MonkeyPatch) -> None:
    understood, resolve = list[int](), GeneNames.resolve

    def counted(self: GeneNames, names: object, *others: object, **more: object) -> object:
        listed = list(names)  # type: ignore[call-overload]
        if listed:
            understood.append(len(listed))
        return resolve(self, listed, *others, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(GeneNames, "resolve", counted)
    request = pj.Request(NAMES, 3, must_include=["G2"], already_tested=["G7"], exclude=["G5"])
    plan = pj.make_plan(GRAPH, request)
    plan_files(plan, plan_record(plan))
    assert understood == [8, 1, 1, 1]
