"""The pictures of plans. They only draw what is handed to them."""

from functools import partial

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from perturb_jax.plan.coverage_curves import CoverageCurves, band
from perturb_jax.plan.design_curves import Remaining
from perturb_jax.plan.spectral_curves import SpectralCurves
from perturb_jax.support.figures import BOUND, DEGREE, RANDOM, SELECTION, canvas

_OTHERS = (("#D55E00", "-."), ("#009E73", "--"), ("#CC79A7", "-"))


def coverage_figure(
    title: str,
    covered: Int[np.ndarray, " points"],
    gains: Int[np.ndarray, " picks"],
    bounds: np.ndarray,
    layers: Int[np.ndarray, " picks"],
    curves: CoverageCurves,
    num_nodes: int,
    label: str,
    bound_label: str = "no selection can reach more",
) -> bytes:
    """Coverage and marginal gains against the number of picks, as a PNG.

    Args:
        title: above both panels.
        covered: nodes covered after 0, 1, ... picks.
        gains: what each pick added in its cover layer.
        bounds: certificate of each pick; NaN where there is none.
        layers: cover layer of each pick.
        curves: the baselines.
        num_nodes: nodes of the graph, for the share on the right axis.
        label: the strategy's name in the legend.
        bound_label: what the certificate says, in the legend.
    """
    with canvas(title, (10.0, 4.4)) as (figure, output):
        left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
        _draw_coverage(left, covered, bounds, curves, num_nodes, label, bound_label)
        _draw_gains(right, gains, curves)
        for axes in (left, right):
            _mark_layers(axes, layers)
            for axis in (axes.xaxis, axes.yaxis):
                axis.get_major_locator().set_params(integer=True)
                axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    return output.getvalue()


def spectral_figure(
    title: str,
    sigma: Float[np.ndarray, " picks"],
    covered: Int[np.ndarray, " points"],
    norms: SpectralCurves,
    curves: CoverageCurves,
    num_nodes: int,
    label: str,
) -> bytes:
    """Spectral norm and coverage against the number of picks, as a PNG.

    Args:
        title: above both panels.
        sigma: the norm after 1, 2, ... picks.
        covered: nodes covered after 0, 1, ... picks.
        norms: norms of the baselines.
        curves: coverage of the baselines.
        num_nodes: nodes of the graph, for the share on the right axis.
        label: the strategy's name in the legend.
    """
    with canvas(title, (10.0, 4.4)) as (figure, output):
        left, right = figure.subplots(1, 2)
        picks = np.arange(1, len(sigma) + 1)
        mean, low, high = band(norms.random)
        left.fill_between(norms.picks, low, high, color=RANDOM, alpha=0.25, linewidth=0)
        left.plot(picks, sigma, color=SELECTION, linewidth=2.6, label=label)
        drawn = f"random (mean and range of {len(norms.random)} draws)"
        left.plot(norms.picks, mean, color=RANDOM, linestyle=":", label=drawn)
        left.plot(norms.picks, norms.top_degree, color=DEGREE, linestyle="-.", label="most connected (out-degree)")
        left.set(title="Spectral norm", xlabel="perturbations picked", ylabel="sigma of what is reached")
        left.set(xlim=(0, len(sigma)), ylim=(0, None))
        _draw_coverage(right, covered, np.full(len(sigma), np.nan), curves, num_nodes, label, "")
        for axes in (left, right):
            axes.xaxis.get_major_locator().set_params(integer=True)
        right.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return output.getvalue()


def design_figure(title: str, remaining: Remaining, label: str, unit: str) -> bytes:
    """What stays unknown: in total against the number of picks, and of each target in the end, as a PNG.

    Args:
        title: above both panels.
        remaining: the curves.
        label: the strategy's name in the legend.
        unit: what is spent: perturbations, or money.
    """
    with canvas(title, (10.0, 4.4)) as (figure, output):
        left, right = figure.subplots(1, 2, width_ratios=[1.2, 1])
        mean, low, high = (100 * part for part in band(remaining.random))
        left.fill_between(remaining.spent, low, high, color=RANDOM, alpha=0.25, linewidth=0)
        left.plot(remaining.spent, 100 * remaining.design, color=SELECTION, linewidth=2.6, label=label)
        drawn = f"random (mean and range of {len(remaining.random)} draws)"
        left.plot(remaining.spent, mean, color=RANDOM, linestyle=":", label=drawn)
        for (name, curve), (color, line) in zip(remaining.others.items(), _OTHERS, strict=False):
            left.plot(remaining.spent, 100 * curve, color=color, linestyle=line, label=name)
        left.set(title="Expected remaining variance", xlabel=unit, ylabel="per cent of the prior variance")
        left.set(xlim=(0, remaining.spent[-1]))
        of_plan, of_random = (100 * np.sort(part)[::-1] for part in remaining.per_target)
        targets = np.arange(1, len(of_plan) + 1)
        right.plot(targets, of_random, color=RANDOM, linestyle=":")
        right.plot(targets, of_plan, color=SELECTION, linewidth=2.6)
        right.set(title="Of each target after the last pick", xlabel="targets, least known first", ylim=(0, 102))
        right.set(ylabel="per cent of its prior variance", xlim=(0, len(targets)))
        right.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    return output.getvalue()


def _draw_coverage(
    axes: Axes,
    covered: np.ndarray,
    bounds: np.ndarray,
    curves: CoverageCurves,
    num_nodes: int,
    label: str,
    bound_label: str,
) -> None:
    picks = np.arange(len(covered))
    mean, low, high = band(curves.random)
    axes.fill_between(picks, low, high, color=RANDOM, alpha=0.25, linewidth=0)
    axes.plot(picks, covered, color=SELECTION, linewidth=2.6, label=label)  # below the thin lines, which stay visible
    axes.plot(picks, mean, color=RANDOM, linestyle=":", label=f"random (mean and range of {len(curves.random)} draws)")
    axes.plot(picks, curves.top_degree, color=DEGREE, linestyle="-.", label="most connected (out-degree)")
    if np.isfinite(bounds).any():
        marker = "_" if np.isfinite(bounds).sum() == 1 else ""
        axes.plot(picks[1:], bounds, color=BOUND, linestyle="--", linewidth=1, marker=marker, label=bound_label)
    axes.set(title="Genes reached", xlabel="perturbations picked", ylabel="genes of the graph", xlim=(0, picks[-1]))
    axes.set_ylim(bottom=0)
    share = axes.secondary_yaxis(
        "right", functions=(partial(np.multiply, 100 / num_nodes), partial(np.multiply, num_nodes / 100))
    )
    share.set_ylabel("per cent of the graph")


def _draw_gains(axes: Axes, gains: np.ndarray, curves: CoverageCurves) -> None:
    picks = np.arange(1, len(gains) + 1)
    edges = np.arange(len(gains) + 1) + 0.5
    axes.stairs(gains, edges, baseline=None, color=SELECTION, linewidth=2.2)
    axes.plot(picks, np.diff(curves.random.mean(0)), color=RANDOM, linestyle=":", marker="." if len(gains) == 1 else "")
    axes.set(
        title="What each pick adds", xlabel="pick", ylabel="genes newly reached in the layer", xlim=(0, len(gains) + 1)
    )
    axes.set_ylim(bottom=0)


def _mark_layers(axes: Axes, layers: np.ndarray) -> None:
    for start in np.flatnonzero(np.diff(layers)):
        axes.axvline(start + 1.5, color="#BBBBBB", linewidth=0.8, zorder=0)
        axes.annotate(
            f"layer {layers[start + 1]}", (start + 1.5, 0.02), xycoords=("data", "axes fraction"), rotation=90,
            fontsize=7, color="#777777", ha="right", va="bottom",
        )  # fmt: skip
