"""What labels of cells mean, in the ways that laboratories write them."""

import numpy as np
import pandas as pd
import pytest

import perturb_jax as pj
from perturb_jax.genes.conditions import read_conditions
from perturb_jax.genes.perturbations import control_kind, identity


def names_of(labels: list[str], **about: object) -> list[str | None]:
    return list(read_conditions(pd.DataFrame({"condition": labels}), **about).names)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "label",
    [
        "ctrl", "Control", "non-targeting", "Non-Targeting Control", "non-targeting_0001", "NTC", "NTC_12", "NT-1",
        "NT", "NegCtrl0", "negative control 3", "neg", "unperturbed", "safe-targeting", "*", "INTERGENIC393453",
        "scramble_2", "sgNT-1", "ctrl_g2",
    ],
)  # fmt: skip
def test_words_for_controls(label: str) -> None:
    assert control_kind(label)
    assert names_of([label, "KLF1"]) == ["", "KLF1"]


@pytest.mark.parametrize("gene", ["CTRL", "NT5E", "NT5", "NEGR1", "WT1", "SCR3", "CTRC", "NTS", "INTS1", "KLF1"])
def test_genes_that_are_called_nearly_so(gene: str) -> None:
    assert not control_kind(gene)
    assert names_of([gene, "ctrl"]) == [gene, ""]


def test_the_gene_ctrl_is_one_where_controls_are_called_otherwise() -> None:
    assert names_of(["ctrl", "CTRL+ctrl", "KLF1+ctrl"]) == ["", "CTRL", "KLF1"]
    assert names_of(["non-targeting", "CTRL", "KLF1"]) == ["", "CTRL", "KLF1"]
    assert names_of(["CTRL", "KLF1+CTRL", "MYC+CTRL"]) == ["", "KLF1", "MYC"]
    assert names_of(["CTRL", "ctrl", "KLF1"], control="CTRL") == ["", None, "KLF1"]
    assert names_of(["CTRL", "mine", "KLF1"], control="mine") == ["CTRL", "", "KLF1"]
    assert identity("CTRL") == {"CTRL"} and identity("CTRL+ctrl") == {"CTRL"}


@pytest.mark.parametrize("word", ["nan", "NaN", "NA", "None", "N/A", "#N/A", "<NA>", "null", "", " "])
def test_words_for_missing_values_are_missing(word: str) -> None:
    read = read_conditions(pd.DataFrame({"perturbation": ["ctrl", word, "KLF1", None]}))
    assert list(read.names) == ["", None, "KLF1", None]
    assert read.left_out == {"no condition": 2}


def test_a_control_may_be_called_by_such_a_word() -> None:
    assert names_of(["None", "KLF1"], control="None") == ["", "KLF1"]


@pytest.mark.parametrize("separator", ["_", "|", ";", "&", ",", "/", ":"])
def test_combinations_show_by_single_genes(separator: str) -> None:
    labels = ["ctrl", "KLF1", "GATA1", f"KLF1{separator}GATA1", f"ctrl{separator}MYC", f"GATA1{separator}BAK1"]
    read = read_conditions(pd.DataFrame({"condition": labels}))
    assert list(read.names) == ["", "KLF1", "GATA1", "GATA1+KLF1", "MYC", "BAK1+GATA1"]
    assert read.settings["separator"] == separator


def test_combinations_show_by_measured_genes_or_by_their_number() -> None:
    pairs = ["control", "KLF1_MAP2K6", "CEBPA_SGK1"]
    assert names_of(pairs, known={"KLF1", "MAP2K6"}) == ["", "KLF1+MAP2K6", "CEBPA+SGK1"]
    table = pd.DataFrame({"perturbation": [*pairs, "ZAP70_1"], "nperts": [0, 2, 2, 2]})
    assert list(read_conditions(table).names) == ["", "KLF1+MAP2K6", "CEBPA+SGK1", "ZAP70"]
    assert names_of(["ctrl", "AB1_X2", "AB1"], known={"AB1_X2", "X2"}) == ["", "AB1_X2", "AB1"]
    assert names_of(["ctrl", "A-B", "C-D"], separator="-") == ["", "A+B", "C+D"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["NegCtrl0_NegCtrl0__NegCtrl0_NegCtrl0", "KLF1_NegCtrl0__KLF1_NegCtrl0", "KLF1_MAP2K6__KLF1_MAP2K6"],
         ["", "KLF1", "KLF1+MAP2K6"]),
        (["p-INTERGENIC393453", "p-sgELK1-1", "p-sgELK1-2;p-sgGABPA-1", "p-sgELK1-2"],
         ["", "ELK1", "ELK1+GABPA", "ELK1"]),
        (["11_non-targeting_non-targeting_non-targeting", "10005_ZBTB4_P1P2_ENSG00000174282"], ["", "ZBTB4"]),
        (["non-targeting", "A1BG_+_58858617.23-P1|A1BG_-_58858788.23-P1"], ["", "A1BG"]),
        (["Gal4-4(mod)_pBA582", "IER3IP1_pDS002"], ["", "IER3IP1"]),
        (["non-targeting", "KLF1_1", "KLF1_2", "HLA-A_1"], ["", "KLF1", "KLF1", "HLA-A"]),
        (["ctrl", "NKX2-1", "HLA-A", "C3orf72", "AC004.1"], ["", "NKX2-1", "HLA-A", "C3orf72", "AC004.1"]),
        (["ctrl", "sgKLF1", "sgMYC_2"], ["", "KLF1", "MYC"]),
        (["non-targeting|non-targeting", "KLF1|non-targeting", "KLF1|GATA1"], ["", "KLF1", "GATA1+KLF1"]),
    ],
)  # fmt: skip
def test_conventions_of_laboratories(labels: list[str], expected: list[str]) -> None:
    assert names_of(labels) == expected


def test_what_was_understood_is_said() -> None:
    read = read_conditions(pd.DataFrame({"guide_id": ["NegCtrl0_NegCtrl0__NegCtrl0_NegCtrl0", "A_B__A_B"]}))
    assert read.settings == {"condition": "guide_id", "conventions": ["guide pairs: A_B__A_B is A+B"]}


def test_several_controls_add_up_and_others_are_left_out() -> None:
    labels = ["ctrl_1", "ctrl_2", "safe-targeting", "KLF1"]
    assert names_of(labels, control=["ctrl_1", "ctrl_2"]) == ["", "", None, "KLF1"]
    assert names_of(labels, control=["ctrl_2"]) == [None, "", None, "KLF1"]
    assert names_of(labels, control="ctrl") == ["", "", None, "KLF1"]
    assert names_of(["mock 1", "other", "KLF1+Mock 1"], control=["MOCK 1", "other"]) == ["", "", "KLF1"]
    with pytest.raises(pj.InputError, match=r"several kinds of control \(ctrl_1, ctrl_2, safe-targeting\)"):
        names_of(labels)


def test_where_no_control_is_found_the_likely_ones_are_shown() -> None:
    labels = ["BRCA1"] * 4 + ["AURKA"] * 9 + ["vehicle"] * 5 + ["odd"] * 2
    with pytest.raises(pj.InputError, match=r"most likely of 4 labels: vehicle \(5 cells\), odd \(2 cells\)$"):
        names_of(labels)
    with pytest.raises(pj.InputError, match=r"most likely of 2 labels: AURKA \(9 cells\), BRCA1 \(4 cells\)$"):
        names_of(labels[:13])


def test_columns_that_group_alike_are_one() -> None:
    labels = ["ctrl", "KLF1+ctrl", "MYC+ctrl", "ctrl"]
    table = pd.DataFrame({
        "gene": ["neg_x", "ENSG1", "ENSG2", "neg_x"], "condition": labels,
        "perturbation": ["ctrl", "KLF1", "MYC", "ctrl"],
    })  # fmt: skip
    read = read_conditions(table, known={"KLF1"})
    assert read.settings["condition"] == "condition" and list(read.names) == ["", "KLF1", "MYC", ""]
    table["gene"] = ["ENSG1", "ENSG1", "ENSG2", "ENSG1"]
    with pytest.raises(pj.InputError, match=r"the columns gene, condition, perturbation differ; choose one"):
        read_conditions(table)


def test_columns_are_found_without_regard_to_case_and_blanks() -> None:
    table = pd.DataFrame({" Target Gene ": ["non-targeting", "KLF1"]})
    assert read_conditions(table).settings["condition"] == " Target Gene "
    assert list(read_conditions(table, "target_gene").names) == ["", "KLF1"]
    with pytest.raises(pj.InputError, match="condition: no column 'pert'; found  Target Gene"):
        read_conditions(table, "pert")


def test_categories_and_numbers_are_labels_too() -> None:
    table = pd.DataFrame({"condition": pd.Categorical(["ctrl", "KLF1", np.nan, "KLF1"])})
    assert list(read_conditions(table).names) == ["", "KLF1", None, "KLF1"]
