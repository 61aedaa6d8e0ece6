"""cell-gears' own model and losses on batches of cells, and what the Flax GEARS reads of the same cells."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import comb
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import perturb_jax as pj
from perturb_jax.genes.perturbations import nodes_of
from perturb_jax.graph.knowledge_graph import make_graph
from perturb_jax.graph.operator import Edges
from perturb_jax.predictors.gears_flax.batches import convolution_of, edges_of, perturbed_rows
from perturb_jax.predictors.gears_flax.model import Gears, Perturbed, Prediction, Rows
from perturb_jax.predictors.gears_flax.moments_loss import PairMoments, moments_loss
from perturb_jax.predictors.gears_reference import private as gears_private
from perturb_jax.predictors.gears_reference.data import edge_tensors, gears_name
from perturb_jax.screen.screen import Screen
from tests.screen_oracles import central_moments, moments_of
from tests.screens import small_screen

CONTROL = "ctrl"
WEIGHT = 0.7
"""Of the part of the loss that log-variances scale."""


class CellBatch(NamedTuple):
    """Cells of a batch.

    Attributes:
        names: condition of each, a perturbation or "ctrl".
        before: the control cell that it is predicted from, [cells, genes].
        after: its expression, [cells, genes].
        counted: of each perturbation, the genes that its loss is taken over.
    """

    names: list[str]
    before: np.ndarray
    after: np.ndarray
    counted: dict[str, np.ndarray]


class Graphs(NamedTuple):
    """Both graphs of a model."""

    knowledge: pj.KnowledgeGraph
    coexpression: pj.KnowledgeGraph

    @property
    def edges(self) -> tuple[Edges, Edges]:
        """Both operators."""
        return edges_of(convolution_of(self.knowledge)), edges_of(convolution_of(self.coexpression))


def weighted_graph(genes: Sequence[str], num_edges: int, seed: int) -> pj.KnowledgeGraph:
    """Distinct random edges with random weights, one self-loop at least; some genes may have none."""
    rng = np.random.default_rng(seed)
    count = len(genes)
    places = np.union1d(rng.choice(count * count, num_edges, replace=False), [0])
    return make_graph(*np.divmod(places, count), rng.uniform(0.1, 1, len(places)), genes)


def random_batch(names: Sequence[str], num_genes: int, seed: int) -> CellBatch:
    """Cells with zeros; control cells are predicted from themselves. Values are exact in float32."""
    rng = np.random.default_rng(seed)
    shape = len(names), num_genes
    before, after = (np.round(4 * rng.gamma(2.0, 0.5, shape)) / 4 * (rng.random(shape) < 0.8) for _ in range(2))
    before = np.where((np.array(names) == CONTROL)[:, None], after, before)
    counted = {name: rng.random(num_genes) < 0.7 for name in sorted(set(names) - {CONTROL})}
    return CellBatch(list(names), before, after, counted)


def reference_model(
    graphs: Graphs, hidden: int, layers: int, uncertainty: bool, cells: int | None = None, seed: int = 0
) -> Any:
    """`GEARS_Model` with its own random weights.

    Args:
        graphs: to convolve over.
        hidden: width.
        layers: of both convolutions.
        uncertainty: whether it predicts log-variances.
        cells: None: co-expression as cell-gears has it; else every cell of batches of so many gets its edges.
        seed: of the weights.
    """
    import torch

    gears_private.import_gears()
    from gears.model import GEARS_Model

    knowledge = edge_tensors(graphs.knowledge)
    edges, weights = edge_tensors(graphs.coexpression)
    genes = graphs.coexpression.num_nodes
    if cells is not None:
        edges = torch.cat([edges + genes * cell for cell in range(cells)], 1)
        weights = weights.repeat(cells)
    with gears_private.torch_seed(seed):
        return GEARS_Model(
            {
                "num_genes": genes, "num_perts": graphs.knowledge.num_nodes, "hidden_size": hidden,
                "uncertainty": uncertainty, "num_go_gnn_layers": layers, "num_gene_gnn_layers": layers,
                "decoder_hidden_size": 16, "no_perturb": False, "device": "cpu", "G_go": knowledge[0],
                "G_go_weight": knowledge[1], "G_coexpress": edges, "G_coexpress_weight": weights,
            }
        )  # fmt: skip


def disturb(network: Any, seed: int = 0) -> None:
    """Scales, biases and running statistics as no fresh model has them; embeddings longer and shorter than 1."""
    import torch

    with gears_private.torch_seed(seed), torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif name.endswith("running_mean") or name.split(".")[0].startswith("bn_") or ".network." in name:
                value.add_(0.3 * torch.randn(value.shape)) if value.ndim else value.fill_(5)
            elif "emb.weight" in name or name == "emb_pos.weight":
                length = torch.empty(len(value), 1).uniform_(0.3, 1.7)
                value.mul_(length / value.norm(dim=1, keepdim=True))


def in_double(network: Any) -> Any:
    """The same model in float64, the graphs' weights too."""
    network.G_sim_weight, network.G_coexpress_weight = (
        weight.double() for weight in (network.G_sim_weight, network.G_coexpress_weight)
    )
    return network.double()


def arrays_of(network: Any) -> dict[str, np.ndarray]:
    """A copy of the model's state."""
    return {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}


def gears_forward(network: Any, batch: CellBatch, graph: pj.KnowledgeGraph) -> tuple[Any, Any]:
    """Predicted expression of the batch's cells and log-variances (None without), by `GEARS_Model.forward`."""
    import torch
    from torch_geometric.data import Batch, Data

    real = network.indv_b1.dtype
    perturbed = [name for name in batch.names if name != CONTROL]
    members = iter(nodes_of(graph.names, perturbed).members)
    cells = [
        Data(
            x=torch.from_numpy(before)[:, None].to(real),
            pert_idx=[-1] if name == CONTROL else [int(node) for node in next(members) if node >= 0],
        )
        for name, before in zip(batch.names, batch.before, strict=True)
    ]
    output = network(Batch.from_data_list(cells))
    return output if network.uncertainty else (output, None)


def gears_loss(
    expression: Any, log_variance: Any, batch: CellBatch, control: np.ndarray, direction: float = 0.0
) -> Any:
    """`loss_fct`, or with log-variances `uncertainty_loss_fct`, of cell-gears, in the precision of the prediction.

    Args:
        expression: predicted, of every cell.
        log_variance: predicted, or None.
        batch: the cells.
        control: mean expression in control cells, for the term on signs.
        direction: the weight of that term.
    """
    import torch

    module = gears_private.import_gears()

    def zero(value: float, requires_grad: bool) -> Any:
        return torch.tensor(value, requires_grad=requires_grad, dtype=expression.dtype).clone()

    double = SimpleNamespace(tensor=zero, sum=torch.sum, exp=torch.exp, sign=torch.sign, nn=torch.nn)
    after, mean = (torch.from_numpy(part).to(expression.dtype) for part in (batch.after, control))
    options = {
        "ctrl": mean,
        "direction_lambda": direction,
        "dict_filter": {gears_name(name): np.flatnonzero(genes) for name, genes in batch.counted.items()},
    }
    names = [gears_name(name) for name in batch.names]
    if log_variance is None:
        return gears_private.private_copy(module.loss_fct, torch=double)(expression, after, names, **options)
    loss = gears_private.private_copy(module.uncertainty_loss_fct, torch=double)
    return loss(expression, log_variance, after, names, reg=WEIGHT, **options)


class FlaxBatch(NamedTuple):
    """The same as rows of the Flax model."""

    perturbed: Perturbed
    rows: Rows
    moments: PairMoments
    loss_weights: jax.Array


def rows_of_cells(batch: CellBatch, graph: pj.KnowledgeGraph) -> FlaxBatch:
    """A row for every cell."""
    cells = len(batch.names)
    difference = batch.after - batch.before
    nothing = np.zeros_like(difference)
    counted = np.array([batch.counted.get(name, np.ones(len(difference[0]), bool)) for name in batch.names])
    repeats = np.array([batch.names.count(name) for name in batch.names])
    return FlaxBatch(
        _perturbed(batch.names, graph),
        Rows(_real(np.full(cells, 1 / cells)), float(cells)),
        _moments((difference, nothing, nothing, nothing), counted),
        _real(1 / repeats / len(set(batch.names))),
    )


def rows_of_conditions(batch: CellBatch, graph: pj.KnowledgeGraph, size: int) -> FlaxBatch:
    """A row for every condition, weighted by its cells, with the moments of these; then rows that count 0."""
    names = sorted(set(batch.names))
    padding = size - len(names)
    of_each = [np.array(batch.names) == name for name in names]
    moments = np.stack([central_moments((batch.after - batch.before)[own]) for own in of_each], 1)
    genes = batch.after.shape[1]
    counted = np.array([batch.counted.get(name, np.ones(genes, bool)) for name in names])
    weights = np.pad([own.mean() for own in of_each], (0, padding))
    filled = np.pad(moments, ((0, 0), (0, padding), (0, 0)), constant_values=3.0)
    return FlaxBatch(
        _perturbed([*names, *graph.genes[-1:] * padding], graph),
        Rows(_real(weights), float(len(batch.names))),
        _moments(filled, np.pad(counted, ((0, padding), (0, 0)))),
        _real((weights > 0) / len(names)),
    )


def _perturbed(names: Sequence[str], graph: pj.KnowledgeGraph) -> Perturbed:
    alone = perturbed_rows(convolution_of(graph), graph, [name for name in names if name != CONTROL])
    row = np.cumsum([name != CONTROL for name in names]) - 1
    here = np.array([name != CONTROL for name in names])
    reads, genes = (np.asarray(part)[np.maximum(row, 0)] for part in alone)
    return Perturbed(_real(reads * here[:, None]), _real(genes * here))


def _moments(parts: Iterable[np.ndarray], counted: np.ndarray) -> PairMoments:
    mean, variance, third, fourth = map(_real, parts)
    return PairMoments(mean, variance, third, fourth, jnp.asarray(counted))


def _real(values: np.ndarray) -> jax.Array:
    return jnp.asarray(values, jnp.result_type(float))


@partial(jax.jit, static_argnums=0)
def evaluated(model: Gears, variables: Any, batch: FlaxBatch, edges: tuple[Edges, Edges]) -> Prediction:
    """The model's prediction in evaluation mode."""
    output: Any = model.apply(variables, batch.perturbed, batch.rows, *edges, False)
    return output


class Trained(NamedTuple):
    """A pass in training mode."""

    loss: jax.Array
    prediction: Prediction
    batch_stats: Any
    gradient: Any


@partial(jax.jit, static_argnums=0)
def trained(model: Gears, variables: Any, batch: FlaxBatch, edges: tuple[Edges, Edges]) -> Trained:
    """Loss, prediction, moved statistics and gradient."""

    def loss(params: Any) -> tuple[jax.Array, tuple[Prediction, Any]]:
        given = {"params": params, "batch_stats": variables["batch_stats"]}
        prediction, moved = model.apply(given, batch.perturbed, batch.rows, *edges, True, mutable=["batch_stats"])
        losses = moments_loss(prediction.effect, batch.moments, prediction.log_variance, WEIGHT)
        return batch.loss_weights @ losses, (prediction, moved["batch_stats"])

    (value, (prediction, stats)), gradient = jax.value_and_grad(loss, has_aux=True)(variables["params"])
    return Trained(value, prediction, stats, gradient)


def screen_of_cells(cells: Mapping[str, np.ndarray], control: np.ndarray) -> Screen:
    """A screen with the moments of some cells, in float64."""
    names = tuple(sorted(cells))
    plain = small_screen(names, [f"g{i}" for i in range(control.shape[1])], de_genes=1)
    return replace(
        plain,
        perturbed=moments_of(*(cells[name] for name in names)),
        control=moments_of(control).of(0),
        nonzero=np.array([(cells[name] != 0).any(0) for name in names]),
    )


def weights_by_counting(counts: Sequence[int], batch_size: int) -> np.ndarray:
    """E[1{condition in the batch} / conditions in the batch], over all batches of so many cells, by counting them.

    A batch is a choice of cells without replacement; those with d conditions are counted by the product over conditions
    of 1 + t ((1 + z)^cells - 1): coefficients of z^batch_size t^d.
    """

    def times(table: np.ndarray, cells: int) -> np.ndarray:
        result = table.copy()
        for taken in range(1, min(cells, batch_size) + 1):
            result[taken:, 1:] += comb(cells, taken) * table[: batch_size + 1 - taken, :-1]
        return result

    weights = []
    for condition, cells in enumerate(counts):
        others = np.zeros((batch_size + 1, len(counts) + 1))
        others[0, 0] = 1
        for number, count in enumerate(counts):
            if number != condition:
                others = times(others, count)
        here = times(others, cells) - others
        weights.append((here[batch_size, 1:] / np.arange(1, len(counts) + 1)).sum())
    return np.array(weights) / comb(sum(counts), batch_size)
