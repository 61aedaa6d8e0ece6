"""Names of conditions in a screen: which genes were perturbed."""

CONTROL_NAMES = frozenset({"ctrl", "control", "non-targeting", "nontargeting", "non_targeting", "negctrl", "nt"})
"""How screens call unperturbed cells, in lower case."""


def perturbed_genes(condition: str) -> tuple[str, ...]:
    """The genes of a condition: none for a control, and controls within a combination do not count.

    Example:
        >>> perturbed_genes("KLF1+ctrl"), perturbed_genes("ctrl"), perturbed_genes("KLF1+MAP2K6")
        (('KLF1',), (), ('KLF1', 'MAP2K6'))
    """
    return tuple(part for part in condition.split("+") if part.strip().lower() not in CONTROL_NAMES)
