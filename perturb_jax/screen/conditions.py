"""Names of conditions in a screen: which genes were perturbed."""

from collections.abc import Collection

from perturb_jax.errors import InputError

CONTROL_NAMES = frozenset({"ctrl", "control", "non-targeting", "nontargeting", "non_targeting", "negctrl", "nt"})
"""How screens call unperturbed cells, in lower case."""


def perturbed_genes(condition: str, controls: Collection[str] = CONTROL_NAMES) -> tuple[str, ...]:
    """The genes of a condition: none for a control, and controls within a combination do not count.

    Args:
        condition: genes and controls, joined by "+".
        controls: what is called a control, in lower case.

    Examples:
        >>> perturbed_genes("KLF1+ctrl"), perturbed_genes("ctrl"), perturbed_genes("KLF1+MAP2K6")
        (('KLF1',), (), ('KLF1', 'MAP2K6'))
    """
    parts = (part.strip() for part in condition.split("+"))
    return tuple(part for part in parts if part.lower() not in controls)


def condition_name(condition: str, controls: Collection[str] = CONTROL_NAMES) -> str:
    """One name for all the ways to write a condition: its genes in sorted order, each once; "" for a control.

    Args:
        condition: genes and controls, joined by "+".
        controls: what is called a control, in lower case.

    Raises:
        InputError: a blank part, as in "KLF1+".

    Examples:
        >>> [condition_name(name) for name in ("ctrl+KLF1", "KLF1", "MAP2K6+KLF1", "ctrl+ctrl")]
        ['KLF1', 'KLF1', 'KLF1+MAP2K6', '']
    """
    genes = perturbed_genes(condition, controls)
    if "" in genes:
        raise InputError(f"condition {condition!r}: a part is blank; expected gene names joined by '+', as in 'A+B'")
    return "+".join(sorted(set(genes)))
