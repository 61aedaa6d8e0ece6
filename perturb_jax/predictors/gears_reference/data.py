"""What the reference reads: cells as graphs, and the stand-in for its data object."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.screen.cells import CONTROL, Cells
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError


def check_cells(cells: Cells, screen: Screen, perturbations: Sequence[str]) -> None:
    """Refuse where there are not cells of every perturbation, and of control, or nothing that the losses divide by."""
    if cells.expression.shape != (len(cells.conditions), len(screen.readouts)):
        raise InputError(
            f"cells: expected {len(cells.conditions)} cells x {len(screen.readouts)} genes as the screen has, "
            f"got {cells.expression.shape}"
        )
    if screen.de_genes.shape[1] < 2:
        raise InputError(
            f"gears_reference: expected at least 2 differentially expressed genes, got {screen.de_genes.shape[1]}: "
            "cell-gears correlates over them; read the screen with a larger num_de"
        )
    rows = screen.index(tuple(perturbations))
    silent = [name for name, row in zip(perturbations, rows, strict=True) if not screen.nonzero[row].any()]
    if silent:
        raise InputError(
            f"gears_reference: no cell of {', '.join(silent[:5])} expresses any gene, and the loss divides by their "
            "number; leave such perturbations out"
        )
    absent = sorted({CONTROL, *perturbations} - set(cells.conditions.tolist()))
    if absent:
        raise InputError(
            f"cells: there is none of {', '.join(absent[:5])}{' and others' if len(absent) > 5 else ''}; "
            "has the file changed since the screen was read?"
        )


def gears_name(perturbation: str) -> str:
    """A condition as cell-gears writes it: 'KLF1+ctrl', 'KLF1+MAP2K6', 'ctrl'."""
    return perturbation if perturbation == CONTROL or "+" in perturbation else f"{perturbation}+{CONTROL}"


@dataclass(frozen=True, eq=False)
class CellGraphs:
    """A data set of cells as torch_geometric's `Data`, made when needed: memory stays that of the sparse cells.

    As in cell-gears a perturbed cell is predicted from one random control cell, fixed here by the seed, and a control
    cell from itself. `rows` are the cells that make up the data set, `partners` what each is predicted from, `nodes`
    and `de_genes` numbers of each perturbation's genes, and columns of its differentially expressed ones.
    """

    cells: Cells
    rows: Int[np.ndarray, " set"]
    partners: Int[np.ndarray, " set"]
    nodes: dict[str, list[int]]
    de_genes: dict[str, list[int]]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> Any:
        import torch
        from torch_geometric.data import Data

        condition = self._condition(item)
        return Data(
            x=torch.from_numpy(self._dense(int(self.partners[item])).reshape(-1, 1)),
            y=torch.from_numpy(self._dense(int(self.rows[item])).reshape(1, -1)),
            pert_idx=self.nodes[condition],
            de_idx=self.de_genes[condition],
            pert=self.pert(item),
        )

    def pert(self, item: int) -> str:
        """The condition of one cell, as cell-gears writes it."""
        return gears_name(self._condition(item))

    def _condition(self, item: int) -> str:
        return str(self.cells.conditions[self.rows[item]])

    def _dense(self, row: int) -> Float[np.ndarray, " genes"]:
        matrix = self.cells.expression
        inside = slice(matrix.indptr[row], matrix.indptr[row + 1])
        values = np.zeros(matrix.shape[1], np.float32)
        values[matrix.indices[inside]] = matrix.data[inside]
        return values


def cell_graphs(
    screen: Screen, cells: Cells, perturbations: Sequence[str], nodes: dict[str, list[int]], seed: int, control: bool
) -> CellGraphs:
    """The cells of some perturbations, and where wanted control cells, paired by the seed."""
    taken = np.isin(cells.conditions, [*perturbations, *([CONTROL] if control else [])])
    rows, controls = np.flatnonzero(taken), np.flatnonzero(cells.conditions == CONTROL)
    drawn = controls[np.random.default_rng(seed).integers(len(controls), size=len(rows))]
    partners = np.where(cells.conditions[rows] == CONTROL, rows, drawn)
    columns = screen.de_genes[screen.index(tuple(perturbations))]
    # cell-gears evaluates control cells on their last gene and leaves the result out; -1 is also its "no gene".
    de_genes = {CONTROL: [-1] * columns.shape[1]} | {
        name: sorted(genes) for name, genes in zip(perturbations, columns.tolist(), strict=True)
    }
    return CellGraphs(cells, rows, partners, {CONTROL: [-1], **nodes}, de_genes)


class ConditionTable:
    """Instead of the AnnData object that `GEARS` reads: mean expression, one row per condition.

    `GEARS` takes the control's mean, the names and the non-zero genes from it, and `predict` draws "cells" from its
    control rows, of which there is one: the control mean, so that a prediction has no sampling noise. `X` is dense
    because `GEARS` indexes it with a boolean Series, which SciPy's sparse matrices refuse since 1.15.
    """

    def __init__(self, expression: Float[np.ndarray, "conditions genes"], obs: pd.DataFrame, uns: dict[str, Any]):
        self.X, self.obs, self.uns = expression.view(_DenseMatrix), obs, uns

    def __len__(self) -> int:
        return len(self.obs)

    def __getitem__(self, rows: Any) -> "ConditionTable":
        if isinstance(rows, tuple):
            rows = rows[0]
        rows = np.asarray(rows)
        return ConditionTable(np.asarray(self.X)[rows], self.obs.iloc[np.arange(len(self))[rows]], self.uns)


class _DenseMatrix(np.ndarray):
    """A dense matrix with the one method of sparse ones that `GEARS.predict` calls."""

    def toarray(self) -> np.ndarray:
        return np.asarray(self)


def stand_in(
    screen: Screen, graph: KnowledgeGraph, perturbations: Sequence[str], loaders: dict[str, Any], directory: Path
) -> SimpleNamespace:
    """The attributes of `PertData` that `GEARS` reads, without its downloads, pickles and files."""
    rows, names = screen.index(tuple(perturbations)), [gears_name(name) for name in perturbations]
    obs = pd.DataFrame({"condition": [CONTROL, *names], "condition_name": [CONTROL, *names]})
    means = np.concatenate([screen.control_mean[None, :], screen.mean[rows]]).astype(np.float32)
    nonzero = {name: np.flatnonzero(screen.nonzero[row]) for name, row in zip(names, rows, strict=True)}
    return SimpleNamespace(
        dataloader=loaders,
        adata=ConditionTable(means, obs, {"non_zeros_gene_idx": nonzero}),
        node_map={gene: column for column, gene in enumerate(screen.readouts)},
        node_map_pert=graph.names.position,
        data_path=str(directory),
        dataset_name="screen",
        split="custom",
        seed=0,
        train_gene_set_size=0,
        set2conditions={},
        subgroup=None,
        gene_names=pd.Series(screen.readouts),
        pert_names=np.array(graph.genes),
        default_pert_graph=False,
    )


def edge_tensors(graph: KnowledgeGraph) -> tuple[Any, Any]:
    """Edge indices int64 [2, edges] and weights float32 [edges]."""
    import torch

    edges = np.stack([np.asarray(graph.senders, np.int64), np.asarray(graph.receivers, np.int64)])
    return torch.from_numpy(edges), torch.from_numpy(np.array(graph.weights, np.float32))
