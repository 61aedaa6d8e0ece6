"""One step of training GEARS on 32 distinct perturbations: ours on moments, cell-gears' on one cell of each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import perturb_jax as pj
from perturb_jax.genes.perturbations import nodes_of
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.predictors.gears_flax.batches import conditions_of, convolution_of, edges_of, member_of
from perturb_jax.predictors.gears_flax.model import Gears
from perturb_jax.predictors.gears_flax.training import Graphs, Plan, start, train_steps
from perturb_jax.predictors.gears_reference import private as gears_private
from perturb_jax.predictors.gears_reference.data import edge_tensors, gears_name
from perturb_jax.screen.screen import Screen

BATCH = 32
HIDDEN = 64
PLAN = Plan(800, 5e-3, 5e-4, BATCH, 1.0, 20, 800)


def screen_of(perturbations: int, genes: int, cells: int = 150, seed: int = 0) -> tuple[Screen, KnowledgeGraph]:
    """A simulated screen, known by the expectation of its moments, and the graph of its measured genes."""
    genome = pj.load_go_graph()
    screen = pj.simulate_screen(genome, perturbations, genes, cells, seed=seed, moments="expected")
    return screen, pj.load_go_graph(list(screen.readouts), unknown="drop")


def flax_steps(screen: Screen, graph: KnowledgeGraph, names: list[str], steps: int) -> tuple[Callable[[], None], Any]:
    """Some steps of ours, one after the other in one call, compiled; each has the batch and a row for control.

    Returns:
        what takes them, and the compiled program.
    """
    convolution, rows = convolution_of(graph), np.sort(screen.index(tuple(names)))
    graphs = Graphs(edges_of(convolution), edges_of(convolution_of(screen.coexpression)))
    conditions = conditions_of(screen, convolution, rows)
    member = member_of(screen, rows, rows, BATCH, len(rows))
    model = Gears(len(screen.readouts), graph.num_nodes, HIDDEN)
    key = jax.random.key_data(jax.random.key(0))
    state = jax.jit(start, static_argnums=(0, 1))(model, PLAN, conditions, graphs, key)
    run = jax.jit(train_steps, static_argnums=(0, 1, 6))
    program = run.lower(model, PLAN, graphs, conditions, member, state, steps).compile()

    def take() -> None:
        jax.block_until_ready(program(graphs, conditions, member, state))

    return take, program


def torch_steps(screen: Screen, graph: KnowledgeGraph, names: list[str], steps: int) -> Callable[[], None]:
    """As many of cell-gears': its model and loss, Adam, gradients clipped; the batch is there already, without loading.

    One step is `GEARS.train`'s: forward, loss, backward, clip, update.
    """
    import torch

    module = gears_private.import_gears()
    from gears.model import GEARS_Model
    from torch_geometric.data import Batch, Data

    (go, go_weights), (edges, weights) = (
        edge_tensors(graph),
        edge_tensors(screen.coexpression),
    )
    network = GEARS_Model(
        {
            "num_genes": len(screen.readouts), "num_perts": graph.num_nodes, "hidden_size": HIDDEN,
            "uncertainty": False, "num_go_gnn_layers": 1, "num_gene_gnn_layers": 1, "decoder_hidden_size": 16,
            "no_perturb": False, "device": "cpu", "G_go": go, "G_go_weight": go_weights,
            "G_coexpress": edges, "G_coexpress_weight": weights,
        }
    )  # fmt: skip
    control = torch.tensor(screen.control_mean, dtype=torch.float32)
    rows = screen.index(tuple(names))
    cells = [
        Data(
            x=control[:, None],
            y=torch.tensor(screen.mean[row], dtype=torch.float32)[None],
            pert_idx=[int(node) for node in members if node >= 0],
        )
        for row, members in zip(rows, nodes_of(graph.names, names).members, strict=True)
    ]
    batch = Batch.from_data_list(cells)
    labels = [gears_name(name) for name in names]
    counted = {label: np.flatnonzero(screen.nonzero[row]) for label, row in zip(labels, rows, strict=True)}
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=PLAN.weight_decay)
    network.train()

    def take() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = module.loss_fct(
                network(batch), batch.y, labels, ctrl=control, dict_filter=counted, direction_lambda=0.1
            )
            loss.backward()
            torch.nn.utils.clip_grad_value_(network.parameters(), 1.0)
            optimizer.step()

    return take


def products(rows: int, genes: int) -> dict[str, tuple[Callable[[], None], float]]:
    """The matrix products of the largest MLP of a step, alone: what takes each, and its floating-point operations.

    Forward [rows x genes, 64] x [64, 128] and [., 128] x [128, 64]; backward the same sizes for inputs and weights.
    """
    wide, narrow = 2 * HIDDEN, HIDDEN
    key = jax.random.key(0)
    x, h = (jax.random.normal(key, (rows * genes, size)) for size in (narrow, wide))
    up, down = jax.random.normal(key, (narrow, wide)), jax.random.normal(key, (wide, narrow))
    work = 2.0 * rows * genes * wide * narrow
    multiply = jax.jit(jnp.matmul)
    across = jax.jit(lambda a, b: a.T @ b)

    def of(function: Callable[..., Any], *factors: jax.Array) -> tuple[Callable[[], None], float]:
        jax.block_until_ready(function(*factors))
        return lambda: jax.block_until_ready(function(*factors)), work

    return {
        "forward 64 to 128": of(multiply, x, up), "forward 128 to 64": of(multiply, h, down),
        "gradient of inputs, 64 to 128": of(multiply, x, up), "gradient of inputs, 128 to 64": of(multiply, h, down),
        "gradient of weights, first layer": of(across, x, h), "gradient of weights, second layer": of(across, x, h),
    }  # fmt: skip


def copying(megabytes: int = 256) -> tuple[Callable[[], None], float]:
    """A pass over an array larger than the caches, and the bytes that it reads and writes."""
    array = jnp.ones(megabytes * 250_000)
    add = jax.jit(lambda values: values + 1)
    jax.block_until_ready(add(array))
    return lambda: jax.block_until_ready(add(array)), 2.0 * array.nbytes


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """PyTorch with so many threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)
