"""The spectral norm as evidence: how it grows with the number of picks, for a plan and for what it is compared with."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.ticker import StrMethodFormatter

from perturb_jax.genes.perturbations import Perturbations
from perturb_jax.graph.operator import gcn_norm, message_passing
from perturb_jax.plan.coverage import Coverage, Curves, baseline_orders, draw_coverage, joined
from perturb_jax.plan.plan import Comparison, Found, Plan
from perturb_jax.selection.host.spectral import InducedMatrix
from perturb_jax.selection.selection import Selection
from perturb_jax.support.figures import SELECTION, canvas

_POINTS = 12


class Spectral(Coverage):
    """The norm after each pick beside the coverage; for strategies with MaxSpec's options."""

    def found(self, picks: Perturbations, selections: tuple[Selection, ...]) -> Found:
        """The norm after each pick."""
        coverage = super().found(picks, selections).columns
        return Found(coverage.assign(sigma=joined(selections, "values").round(6)))

    def compare(self, plan: Plan) -> Comparison:
        """The norms of random and most connected picks too, at up to 12 numbers of picks."""
        strategy = self.strategy
        renormalize = strategy.normalization == "subgraph"
        operator = message_passing(self.graph, strategy.weighted, strategy.symmetric)
        operator = operator if renormalize else gcn_norm(operator)
        sets, before, first = map(self.reach, (plan.pool, plan.tested, plan.must))
        picks = np.unique(np.linspace(len(plan.must) or 1, len(plan.picks), _POINTS).round().astype(int))

        def curve(order: Int[np.ndarray, " order"]) -> Float[np.ndarray, " points"]:
            matrix = InducedMatrix(operator, renormalize)
            matrix.extend(np.unique(np.concatenate([before.indices, first.indices])))
            norms = []
            for part in np.split(order, picks - len(plan.must))[:-1]:
                matrix.extend(np.unique(sets[part].indices))
                norms.append(matrix.norm)
            return np.array(norms)

        draws, by_degree = baseline_orders(plan)
        random = np.stack([curve(draw) for draw in draws])
        norms = Curves(picks, plan.table["sigma"].to_numpy()[picks - 1], random, {"top_degree": curve(by_degree)})
        return super().compare(plan)._replace(own=norms)

    def record(self, plan: Plan) -> dict[str, Any]:
        """The norms in the end."""
        norms: Curves = plan.comparison.own
        sigma = {
            "picks": float(plan.table["sigma"].iloc[-1]),
            "random": norms.random[:, -1].tolist(),
            "top-degree": float(norms.others["top_degree"][-1]),
        }
        return {"sigma": sigma} | super().record(plan)

    def lines(self, record: Mapping[str, Any]) -> list[str]:
        """The norms, too."""
        sigma, computed = record["result"]["sigma"], record["result"]["computed"]
        lines = super().lines(record)
        lines.insert(
            2,
            f"Spectral norm of what is reached: {sigma['picks']:.4f}; random picks {min(sigma['random']):.4f} to "
            f"{max(sigma['random']):.4f}, the most connected genes {sigma['top-degree']:.4f} ({computed}).",
        )
        return lines

    def figure(self, plan: Plan, title: str) -> bytes:
        """Spectral norm and coverage against the number of picks, as a PNG."""
        norms, sigma = plan.comparison.own, plan.table["sigma"].to_numpy()
        with canvas(title, (10.0, 4.4)) as (figure, output):
            left, right = figure.subplots(1, 2)
            left.plot(np.arange(1, len(sigma) + 1), sigma, color=SELECTION, linewidth=2.6, label=self.name)
            norms.draw_compared(left)
            left.set(title="Spectral norm", xlabel="perturbations picked", ylabel="sigma of what is reached")
            left.set(xlim=(0, len(sigma)), ylim=(0, None))
            draw_coverage(right, plan)
            for axes in (left, right):
                axes.xaxis.get_major_locator().set_params(integer=True)
            right.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
        return output.getvalue()
