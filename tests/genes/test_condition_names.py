"""The ways to write a condition."""

import pytest
from hypothesis import given, strategies as st

import perturb_jax as pj
from perturb_jax.genes.perturbations import condition_name, perturbed_genes


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("KLF1+ctrl", "KLF1"),
        ("ctrl+KLF1", "KLF1"),
        ("KLF1", "KLF1"),
        ("ctrl", ""),
        ("Control", ""),
        ("ctrl+ctrl", ""),
        ("non-targeting", ""),
        ("B+A", "A+B"),
        (" B + A ", "A+B"),
        ("C+A+B", "A+B+C"),
        ("C+ctrl+A", "A+C"),
        ("A+A", "A"),
        ("HLA-A", "HLA-A"),
    ],
)
def test_a_condition_has_one_name(written: str, name: str) -> None:
    assert condition_name(written) == name


@given(st.lists(st.sampled_from(["KLF1", "MAP2K6", "ctrl", "SET", "control"]), min_size=1), st.randoms())
def test_order_does_not_matter(parts: list[str], random: object) -> None:
    shuffled = sorted(parts, key=lambda part: (hash((part, str(random))), part))
    name = condition_name("+".join(parts))
    assert condition_name("+".join(shuffled)) == name
    assert set(perturbed_genes(name)) - {""} == set(parts) - {"ctrl", "control"}


def test_other_names_of_controls_can_be_given() -> None:
    assert condition_name("KLF1+NT-1", {"nt-1"}) == "KLF1"
    assert condition_name("NT-1", {"nt-1"}) == ""


def test_a_blank_part_is_refused() -> None:
    with pytest.raises(pj.InputError, match="a part is blank"):
        condition_name("KLF1+")
