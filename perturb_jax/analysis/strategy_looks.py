"""How strategies look in every figure of an experiment, and which panels there are."""

from collections.abc import Collection, Sequence
from typing import Any

from perturb_jax.analysis.run_means import Runs
from perturb_jax.support.figures import RANDOM

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


def families(runs: Runs, baseline: str, among: Collection[str] | None = None) -> dict[str, tuple[str, ...]]:
    """One-shot and model-based strategies, each without the baseline; a family without strategies is left out.

    `among`: the only ones that count; None: all do.
    """
    others = [name for name in runs.strategies if name != baseline and (among is None or name in among)]
    found = {
        "one-shot": tuple(name for name in others if name not in runs.model_based),
        "model-based": tuple(name for name in others if name in runs.model_based),
    }
    return {family: names for family, names in found.items() if names}


def looks(runs: Runs, baseline: str) -> dict[str, dict[str, Any]]:
    """Line properties by strategy: colour and marker tell strategies of a family apart, dashes the families."""
    found: dict[str, dict[str, Any]] = {
        baseline: {"color": RANDOM, "linestyle": ":", "marker": "", "linewidth": 2.2, "label": baseline}
    }
    for family, names in families(runs, baseline).items():
        for place, name in enumerate(names):
            found[name] = {
                "color": _COLORS[place % len(_COLORS)],
                "marker": _MARKERS[place % len(_MARKERS)],
                "linestyle": "-" if family == "one-shot" else (0, (5, 2)),
                "linewidth": 1.6,
                "markersize": 4.5,
                "label": name,
            }
    return found


def offsets(count: int, width: float) -> Sequence[float]:
    """Places beside each other, around 0."""
    return [width * (place - (count - 1) / 2) for place in range(count)]
