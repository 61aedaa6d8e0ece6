"""How gene names are understood: current, old, ambiguous, unknown, and names that are no names."""

import inspect
import os
import pickle
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.genes.symbols import GeneNames


@pytest.fixture(scope="module")
def human() -> GeneNames:
    annotation = pj.human_annotation()
    return GeneNames(annotation.genes, annotation.aliases, "the human annotation")


@pytest.fixture
def names() -> GeneNames:
    return GeneNames(["C", "A", "B"], {"OLDA": ("A",), "OLDB": ("B",), "AB": ("A", "B"), "GONE": ("Z",)}, "the toy")


def refusal(call: Callable[[], object]) -> str:
    """The one-line message of the `InputError` that the call raises."""
    with pytest.raises(pj.InputError) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_current_names_stand_for_themselves_in_the_order_given(names: GeneNames) -> None:
    resolution = names.resolve(["B", "C", "A"])
    assert resolution.given == resolution.genes == ("B", "C", "A")
    assert resolution.renamed == {}
    assert resolution.dropped == {}


def test_index_gives_positions_not_sorted_order(names: GeneNames) -> None:
    index = names.index(["B", "OLDA", "C"])
    assert index.dtype == np.int32
    assert index.tolist() == [2, 1, 0]


def test_old_symbols_are_resolved_and_reported(human: GeneNames) -> None:
    resolution = human.resolve(["TP53", "AARS", "MYC"])
    assert resolution.given == ("TP53", "AARS", "MYC")
    assert resolution.genes == ("TP53", "AARS1", "MYC")
    assert resolution.renamed == {"AARS": "AARS1"}


def test_a_graph_reports_renamed_genes_and_finds_them_by_either_name() -> None:
    graph = pj.load_go_graph(["TP53", "AARS", "MYC"])
    assert graph.genes == ("AARS1", "MYC", "TP53")
    assert graph.provenance.renamed == (("AARS", "AARS1"),)
    assert graph.index(["AARS"]).tolist() == graph.index(["AARS1"]).tolist() == [0]


def test_a_current_symbol_wins_over_an_alias_of_the_same_spelling() -> None:
    names = GeneNames(["A", "B"], {"A": ("B",)})
    assert names.resolve(["A"]).genes == ("A",)


def test_an_ambiguous_symbol_is_refused_with_its_choices(human: GeneNames) -> None:
    message = refusal(lambda: human.resolve(["TP53", "QARS"]))
    assert "QARS (now EPRS1 or QARS1)" in message
    assert "TP53" not in message


def test_an_ambiguous_symbol_is_dropped_with_its_choices() -> None:
    graph = pj.load_go_graph(["TP53", "QARS", "NOGENE", "MYC"], unknown="drop")
    assert graph.genes == ("MYC", "TP53")
    assert graph.provenance.dropped == (
        ("QARS", "ambiguous: EPRS1 or QARS1"),
        ("NOGENE", "not in the human GO, direct annotations"),
    )


def test_an_ambiguous_symbol_stays_ambiguous_when_one_choice_is_not_a_node() -> None:
    graph = pj.load_go_graph(["TP53", "QARS1"])
    assert "EPRS1 or QARS1" in refusal(lambda: graph.index(["QARS"]))


def test_dropped_names_keep_the_order_given_and_understood_ones_too(names: GeneNames) -> None:
    resolution = names.resolve(["GONE", "B", "AB", "OLDA", "XX"], unknown="drop")
    assert resolution.given == ("B", "OLDA")
    assert resolution.genes == ("B", "A")
    assert list(resolution.dropped.items()) == [
        ("GONE", "not in the toy"),
        ("AB", "ambiguous: A or B"),
        ("XX", "not in the toy"),
    ]


def test_an_alias_of_a_gene_outside_the_set_is_unknown(names: GeneNames) -> None:
    assert "1 gene not in the toy: 'GONE'" in refusal(lambda: names.resolve(["GONE"]))


def test_a_misspelt_name_gets_close_names(human: GeneNames) -> None:
    message = refusal(lambda: human.resolve(["GATTA1"]))
    assert "1 gene not in the human annotation: 'GATTA1' (did you mean GATA1" in message
    assert "unknown='drop'" in message


@pytest.mark.parametrize(("wrong", "right"), [("tp53", "TP53"), ("C1ORF112", "C1orf112"), ("Gata1", "GATA1")])
def test_the_wrong_case_is_not_accepted_but_suggested(human: GeneNames, wrong: str, right: str) -> None:
    assert f"'{wrong}' (did you mean {right}?)" in refusal(lambda: human.resolve([wrong]))
    assert human.close_to(wrong) == [right]


def test_a_name_like_no_other_gets_no_suggestion(human: GeneNames) -> None:
    message = refusal(lambda: human.resolve(["00000000"]))
    assert "'00000000';" in message
    assert "did you mean" not in message


def test_many_unknown_names_are_counted_and_the_first_shown(names: GeneNames) -> None:
    unknown = [f"00{i}" for i in range(10, 18)]
    message = refusal(lambda: names.resolve(["A", *unknown]))
    assert "8 genes not in the toy: '0010', '0011', '0012', '0013', '0014' and 3 more;" in message


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_name_is_refused_with_its_position(names: GeneNames, blank: str) -> None:
    assert "position 2 is blank" in refusal(lambda: names.resolve(["A", blank], unknown="drop"))


@pytest.mark.parametrize("padded", [" A", "A ", "A\n", "A\r"])
def test_a_padded_name_is_refused(names: GeneNames, padded: str) -> None:
    message = refusal(lambda: names.resolve([padded], unknown="drop"))
    assert f"{padded!r} has spaces around it" in message


def test_a_repeated_name_is_refused(names: GeneNames) -> None:
    message = refusal(lambda: names.resolve(["A", "B", "A", "XX", "XX"], unknown="drop"))
    assert "2 genes given more than once: A, XX" in message


@pytest.mark.parametrize("given", [["A", "OLDA"], ["OLDA", "A"]])
def test_two_names_of_one_gene_are_refused(names: GeneNames, given: list[str]) -> None:
    message = refusal(lambda: names.resolve(given))
    assert f"{given[0]!r} and {given[1]!r} are names of one gene, A" in message


def test_two_names_of_one_gene_are_allowed_on_request(names: GeneNames) -> None:
    assert names.resolve(["A", "OLDA"], distinct=False).genes == ("A", "A")


@pytest.mark.parametrize("other", [1, None, 2.5, float("nan"), b"A"])
def test_a_name_that_is_not_text_is_refused_with_its_position(names: GeneNames, other: object) -> None:
    given: list[object] = ["A", other]
    message = refusal(lambda: names.resolve(iter(given)))  # type: ignore[arg-type]
    assert message == f"gene names: expected text, got {other!r} at position 2"


def test_a_single_name_is_one_gene_not_its_letters(names: GeneNames) -> None:
    assert names.resolve("A").genes == ("A",)
    assert "'CAB'" in refusal(lambda: names.resolve("CAB"))


def test_numpy_text_is_a_name(names: GeneNames) -> None:
    assert names.index(np.array(["B", "OLDA"])).tolist() == [2, 1]


def test_no_names_resolve_to_nothing(names: GeneNames) -> None:
    assert names.index([]).shape == (0,)
    assert names.resolve([]).genes == ()


def test_a_wrong_word_for_unknown_is_refused(names: GeneNames) -> None:
    resolve = inspect.unwrap(GeneNames.resolve)
    message = refusal(lambda: resolve(names, ["A"], unknown="ignore"))
    assert message == "unknown: expected 'error' or 'drop', got 'ignore'"


def test_name_sets_are_equal_when_their_names_are() -> None:
    names = GeneNames(["A", "B"])
    same = GeneNames(("A", "B"), {"OLD": ("A",)})
    assert names == same
    assert hash(names) == hash(same)
    assert names != GeneNames(["B", "A"])
    assert names != GeneNames(["A"])
    assert names != ("A", "B")
    assert len(names) == 2


def test_names_sent_to_another_process_are_found_there() -> None:
    names = GeneNames(["KLF1", "GATA1"], {"ERYF1": ("GATA1",)}, "the list")
    hash(names)
    code = "import pickle, sys; from perturb_jax.genes.symbols import GeneNames as N; "
    code += "got = pickle.load(sys.stdin.buffer); sys.exit(not ({N(['KLF1', 'GATA1']): 1}.get(got) and got.aliases))"
    sent = {"input": pickle.dumps(names), "env": os.environ | {"PYTHONHASHSEED": "1"}}
    assert subprocess.run([sys.executable, "-c", code], check=False, **sent).returncode == 0  # type: ignore[call-overload]
