"""The Flax GEARS against cell-gears' own model: predictions, statistics, losses and gradients, on the same weights."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import perturb_jax as pj
from perturb_jax.predictors.gears_flax.checkpoint import from_torch, to_torch
from perturb_jax.predictors.gears_flax.model import Gears, within_unit_norm
from perturb_jax.predictors.gears_reference import private as gears_private
from perturb_jax.predictors.gears_reference.data import CellGraphs, cell_graphs
from perturb_jax.screen.cells import Cells, read_cells
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError
from tests.flax_oracles import (
    CONTROL,
    CellBatch,
    FlaxBatch,
    Graphs,
    Trained,
    arrays_of,
    disturb,
    evaluated,
    gears_forward,
    gears_loss,
    in_double,
    random_batch,
    reference_model,
    rows_of_cells,
    rows_of_conditions,
    trained,
    weighted_graph,
)
from tests.graphs import compilations

pytestmark = pytest.mark.gears
pytest.importorskip("torch")

GENES = [f"g{i}" for i in range(14)]
NODES = list("ABCDEFGHI")
HIDDEN, CELLS = 8, 8
BATCHES = {
    "repeats, combinations and control": ["A", "B+C", "B+C", CONTROL, "D", CONTROL, "A+E", "A"],
    "control first": [CONTROL, "A", "A", "A", "F+G", "H", CONTROL, CONTROL],
    "without control": ["B", "A", "A+B", "C", "I", "C", "D+F", "C"],
    "one perturbed cell": [CONTROL, CONTROL, "B+C", *[CONTROL] * 5],
}
MIXED = "repeats, combinations and control"
NOTHING = 1e-9
"""What fraction of the model's largest gradient is rounding in float64."""
UNREAD = {f"{module}.{what}" for module in ("pert_w", "bn_pert_base_trans") for what in ("weight", "bias")}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small only wait for other threads."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small_graphs() -> Graphs:
    return Graphs(weighted_graph(NODES, 25, 0), weighted_graph(GENES, 50, 1))


def flax_model(network: Any, first_row_only: bool) -> Gears:
    return Gears(
        network.num_genes, network.num_perts, network.gene_emb.embedding_dim, network.num_layers,
        network.num_layers_gene_pos, network.uncertainty, first_row_only,
    )  # fmt: skip


def random_weights(model: Gears, rows: FlaxBatch, graphs: Graphs) -> dict[str, Any]:
    """Of the shapes of a new model, from no reference; variances positive."""
    start = partial(model.init, jax.random.key(0), rows.perturbed, rows.rows, *graphs.edges, True)
    rng = np.random.default_rng(0)

    def fill(path: Any, leaf: Any) -> jax.Array:
        values = rng.normal(size=leaf.shape) * 0.3
        return jnp.asarray(np.exp(values) if path[-1].key == "var" else values, leaf.dtype)

    return jax.tree_util.tree_map_with_path(fill, jax.eval_shape(start))


def variables_of(network: Any) -> dict[str, Any]:
    """As after a forward pass, which shortens embeddings in place."""
    variables = from_torch(arrays_of(network))
    return {"params": within_unit_norm(variables["params"]), "batch_stats": variables["batch_stats"]}


def without_gradient(network: Any, names: list[str]) -> set[str]:
    """Parameters with gradient 0: above all biases that the mean of a batch takes away again."""
    layers = {"emb_trans_v2": 2, "pert_fuse": 2, "recovery_w": 2, "cross_gene_state": 2}
    if network.uncertainty:
        layers["uncertainty_w"] = 3
    biases = {f"{name}.network.{3 * layer}.bias" for name, count in layers.items() for layer in range(count)}
    biases |= {"emb_trans_v2.network.4.bias", f"layers_emb_pos.{network.num_layers_gene_pos - 1}.lin.bias"}
    if CONTROL not in names:
        biases.add("pert_fuse.network.4.bias")
    if sum(name != CONTROL for name in names) > 1:
        return biases
    # A single perturbed cell is normalised with its own copy, to 0.
    modules = {name: name.split(".")[0] for name, _ in network.named_parameters()}
    alone = {name for name, module in modules.items() if module in ("pert_fuse", "pert_emb", "sim_layers")}
    return biases | alone - {"pert_fuse.network.4.bias"}


def worst_gradient(ours: Trained, network: Any, vanishing: set[str]) -> float:
    """Largest difference relative to the largest entry of the parameter's gradient, or of the model's if that is 0."""
    gradients = to_torch({"params": ours.gradient, "batch_stats": ours.batch_stats})
    expected = {name: parameter.grad for name, parameter in network.named_parameters()}
    assert {name for name, gradient in expected.items() if gradient is None} == UNREAD
    read = {name: gradient.numpy() for name, gradient in expected.items() if gradient is not None}
    largest = max(np.abs(gradient).max() for gradient in read.values())
    for name in read:
        assert gradients[name].shape == read[name].shape
    own = {name: np.abs(gradient).max() / largest for name, gradient in read.items()}
    if ours.loss.dtype == np.float64:
        assert {name for name, size in own.items() if size < NOTHING} == vanishing
    scales = {name: largest * (1 if name in vanishing else size) for name, size in own.items()}
    return max(float(np.abs(gradients[name] - gradient).max() / scales[name]) for name, gradient in read.items())


def worst_statistic(ours: Trained, network: Any) -> float:
    """Largest difference of a running mean or variance."""
    moved = to_torch({"params": ours.gradient, "batch_stats": ours.batch_stats})
    running = {name: value for name, value in arrays_of(network).items() if ".running_" in name}
    read = {name: value for name, value in running.items() if not name.startswith("bn_pert_base_trans")}
    assert len(read) == len(running) - 2 == len(jax.tree.leaves(ours.batch_stats))
    return max(float(np.abs(moved[name] - value).max()) for name, value in read.items())


def compare_training(
    network: Any, first_row_only: bool, batch: CellBatch, rows: FlaxBatch, graphs: Graphs
) -> dict[str, float]:
    """Largest differences of a forward and backward pass in training mode.

    The reference's effect is what it predicts less the control cell. With rows of conditions that is left out.
    """
    variables, state = variables_of(network), {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    network.zero_grad(set_to_none=True)
    expression, log_variance = gears_forward(network, batch, graphs.knowledge)
    control = batch.before.mean(0)
    gears_loss(expression, log_variance, batch, control, direction=0.1).backward()
    value = float(gears_loss(expression, log_variance, batch, control).detach())
    ours = trained(flax_model(network, first_row_only), variables, rows, graphs.edges)
    result = {
        "loss": abs(float(ours.loss) - value) / value,
        "gradient": worst_gradient(ours, network, without_gradient(network, batch.names)),
        "statistics": worst_statistic(ours, network),
    }
    network.load_state_dict(state)
    if len(ours.prediction.effect) == len(batch.names) and rows.rows.weights.min() > 0:
        result["effect"] = float(np.abs(ours.prediction.effect - (expression.detach().numpy() - batch.before)).max())
        if log_variance is not None:
            assert ours.prediction.log_variance is not None
            result["log-variance"] = float(np.abs(ours.prediction.log_variance - log_variance.detach().numpy()).max())
    return result


class Case(NamedTuple):
    """A model of the reference.

    Attributes:
        layers: of both convolutions.
        uncertainty: whether it predicts log-variances.
        first_row_only: as cell-gears is; else its co-expression edges are repeated for every cell of a batch.
    """

    layers: int
    uncertainty: bool
    first_row_only: bool


AS_IT_IS = [Case(1, False, True), Case(2, True, True)]
SHIFTED = [Case(1, True, False), Case(2, False, False)]


@pytest.fixture(scope="module")
def network(request: pytest.FixtureRequest) -> Any:
    """A model of the reference; who moves its statistics puts them back."""
    case: Case = request.param
    network = reference_model(
        small_graphs(), HIDDEN, case.layers, case.uncertainty, None if case.first_row_only else CELLS
    )
    disturb(network)
    return in_double(network)


def cases(chosen: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("network", "case"), [(case, case) for case in chosen], indirect=["network"])


@pytest.mark.parametrize("names", BATCHES.values(), ids=BATCHES.keys())
@cases(AS_IT_IS + SHIFTED)
def test_evaluation_is_that_of_the_reference(network: Any, case: Case, names: list[str]) -> None:
    import torch

    graphs, batch = small_graphs(), random_batch(names, len(GENES), 0)
    with jax.enable_x64(True), torch.no_grad():
        variables = variables_of(network)
        expression, log_variance = gears_forward(network.eval(), batch, graphs.knowledge)
        model = flax_model(network, case.first_row_only)
        ours = evaluated(model, variables, rows_of_cells(batch, graphs.knowledge), graphs.edges)
        np.testing.assert_allclose(ours.effect, expression.numpy() - batch.before, rtol=0, atol=1e-11)
        of_genes = dict(zip(NODES, gears_private.go_embeddings(network).numpy(), strict=True))
        for embedding, name in zip(ours.embedding, names, strict=True):
            genes = [of_genes[gene] for gene in name.split("+") if name != CONTROL]
            np.testing.assert_allclose(embedding, np.sum(genes, axis=0), rtol=0, atol=1e-11)
        assert (ours.log_variance is None) == (log_variance is None)
        if log_variance is not None:
            np.testing.assert_allclose(ours.log_variance, log_variance.numpy(), rtol=0, atol=1e-11)


@pytest.mark.parametrize("names", BATCHES.values(), ids=BATCHES.keys())
@cases(AS_IT_IS + SHIFTED)
def test_training_is_that_of_the_reference(network: Any, case: Case, names: list[str]) -> None:
    graphs, batch = small_graphs(), random_batch(names, len(GENES), 0)
    with jax.enable_x64(True):
        rows = rows_of_cells(batch, graphs.knowledge)
        worst = compare_training(network, case.first_row_only, batch, rows, graphs)
    assert max(worst.values()) < 1e-9, worst


@pytest.mark.parametrize("names", BATCHES.values(), ids=BATCHES.keys())
@cases(SHIFTED)
def test_rows_of_conditions_stand_for_their_cells(network: Any, case: Case, names: list[str]) -> None:
    """Weighted by their cells, with the moments of these: the loss, gradients and statistics of all the cells."""
    graphs, batch = small_graphs(), random_batch(names, len(GENES), 0)
    with jax.enable_x64(True):
        rows = rows_of_conditions(batch, graphs.knowledge, CELLS)
        assert (rows.rows.weights == 0).any()
        worst = compare_training(network, case.first_row_only, batch, rows, graphs)
    assert max(worst.values()) < 1e-9, worst


@cases([AS_IT_IS[1]])
def test_the_comparison_sees_a_wrong_weight(network: Any, case: Case) -> None:
    """There is no parameter and no statistic that the prediction, here, does not depend on."""
    import torch

    graphs, batch = small_graphs(), random_batch(BATCHES[MIXED], len(GENES), 0)
    with jax.enable_x64(True), torch.no_grad():
        model, rows = flax_model(network, case.first_row_only), rows_of_cells(batch, graphs.knowledge)
        variables = variables_of(network)
        expected = evaluated(model, variables, rows, graphs.edges)
        leaves, tree = jax.tree.flatten(variables)
        for number, leaf in enumerate(leaves):
            changed = [*leaves[:number], leaf + 0.1, *leaves[number + 1 :]]
            other = evaluated(model, jax.tree.unflatten(tree, changed), rows, graphs.edges)
            change = max(np.abs(a - b).max() for a, b in zip(expected, other, strict=True))
            assert change > 1e-6, number


def test_parameters_survive_the_round_trip() -> None:
    """Bit for bit, those that cell-gears never reads and its counters of batches too."""
    import torch

    network = reference_model(small_graphs(), HIDDEN, 2, True)
    disturb(network)
    before = arrays_of(network)
    after = to_torch(from_torch(before))
    assert set(after) == set(before)
    for name, value in before.items():
        assert after[name].dtype == value.dtype and after[name].shape == value.shape, name
        np.testing.assert_array_equal(after[name], value)
    other = reference_model(small_graphs(), HIDDEN, 2, True, seed=1)
    other.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in after.items()}, strict=True)
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


@pytest.mark.parametrize(("layers", "uncertainty"), [(1, False), (3, True)])
def test_weights_made_here_can_be_given_to_the_reference(layers: int, uncertainty: bool) -> None:
    import torch

    graphs, batch = small_graphs(), random_batch(BATCHES[MIXED], len(GENES), 0)
    network = reference_model(graphs, HIDDEN, layers, uncertainty)
    model, rows = flax_model(network, True), rows_of_cells(batch, graphs.knowledge)
    variables = random_weights(model, rows, graphs)
    variables["params"] = within_unit_norm(variables["params"])
    weights = {name: torch.from_numpy(np.array(value)) for name, value in to_torch(variables).items()}
    keys = network.load_state_dict(weights, strict=False)
    never_read = UNREAD | {f"bn_pert_base_trans.running_{what}" for what in ("mean", "var")}
    assert keys.unexpected_keys == [] and set(keys.missing_keys) == never_read
    with torch.no_grad():
        expression, _ = gears_forward(network.eval(), batch, graphs.knowledge)
    ours = evaluated(model, variables, rows, graphs.edges)
    np.testing.assert_allclose(ours.effect, expression.numpy() - batch.before, rtol=0, atol=1e-5)


def test_what_is_no_state_of_a_gears_model_is_refused() -> None:
    with pytest.raises(InputError, match=r"gene_emb\.weight is not in it"):
        from_torch({"weight": np.zeros(3)})


def test_a_control_row_has_no_perturbation_and_a_combination_that_of_both() -> None:
    graphs = small_graphs()
    batch = random_batch([CONTROL, "A", "B", "A+B", "B+A", *[CONTROL] * 3], len(GENES), 0)
    rows = rows_of_cells(batch, graphs.knowledge)
    model = Gears(len(GENES), len(NODES), HIDDEN)
    embedding = evaluated(model, random_weights(model, rows, graphs), rows, graphs.edges).embedding
    np.testing.assert_array_equal(embedding[0], 0)
    np.testing.assert_allclose(embedding[3], embedding[1] + embedding[2], atol=1e-6)
    np.testing.assert_array_equal(embedding[3], embedding[4])
    np.testing.assert_array_equal(rows.perturbed.is_perturbed, [False, True, True, True, True, False, False, False])


def test_it_is_compiled_once_whatever_is_in_the_batch() -> None:
    graphs = small_graphs()
    model = Gears(len(GENES), len(NODES), HIDDEN)
    batches = [random_batch(names, len(GENES), seed) for seed, names in enumerate(BATCHES.values())]
    rows = [rows_of_cells(batch, graphs.knowledge) for batch in batches]
    rows += [rows_of_conditions(batch, graphs.knowledge, CELLS) for batch in batches]
    weights = random_weights(model, rows[0], graphs)
    before = compilations(evaluated)
    for part in rows:
        evaluated(model, weights, part, graphs.edges)
    assert compilations(evaluated) <= before + 1


@pytest.fixture(scope="module")
def norman(real_data: Path) -> Screen:
    return read_screen(
        real_data / "perturbench_devel_norman19_mcfaline23.h5ad", {"dataset": "norman19"}, condition="condition"
    )


@pytest.mark.parametrize(("layers", "uncertainty"), [(1, False), (2, True)])
def test_on_real_cells(norman: Screen, layers: int, uncertainty: bool) -> None:
    """Norman et al.: float32, GEARS' width and number of cells.

    The reference's gradient is taken in float64. In float32 it is itself wrong by 1e-2 of a parameter's largest entry:
    its batch normalisation sums 16,000 rows one after the other, the results are wrong by 3e-5, and units change sides.
    Ours are wrong by 1e-6, and in some batches a few units of millions change sides too: jumps of about 1e-3.
    """
    import torch

    chosen = ["KLF1", "MAP2K6", "KLF1+MAP2K6", "CEBPE+RUNX1T1", "TGFBR2", "CBL+CNN1"]
    genes = sorted({gene for name in norman.perturbations for gene in name.split("+")})
    graphs = Graphs(pj.load_go_graph(genes, unknown="drop"), norman.coexpression)
    cells = read_cells(norman, chosen)
    data = cell_graphs(norman, cells, chosen, {}, 0, control=True)
    network = reference_model(graphs, 64, layers, uncertainty)
    disturb(network)
    variables = variables_of(network)
    batches = [
        _cell_batch(norman, cells, data, np.random.default_rng(seed).permutation(len(data))[:32]) for seed in range(3)
    ]
    for batch in batches:
        assert set(batch.names) == {CONTROL, *chosen}
        rows = rows_of_cells(batch, graphs.knowledge)
        with torch.no_grad():
            expression, log_variance = gears_forward(network.eval(), batch, graphs.knowledge)
        ours = evaluated(flax_model(network, True), variables, rows, graphs.edges)
        assert np.abs(ours.effect - (expression.numpy() - batch.before)).max() < 1e-4
        if log_variance is not None:
            assert np.abs(ours.log_variance - log_variance.numpy()).max() < 1e-4
        in_single = compare_training(network, True, batch, rows, graphs)
        assert max(value for what, value in in_single.items() if what != "gradient") < 1e-4, in_single
    network = in_double(network)
    worst = [
        compare_training(network, True, batch, rows_of_cells(batch, graphs.knowledge), graphs)["gradient"]
        for batch in batches
    ]
    assert min(worst) < 1e-4, worst
    assert max(worst) < 1e-2, worst


def _cell_batch(screen: Screen, cells: Cells, data: CellGraphs, items: np.ndarray) -> CellBatch:
    """Some of the cells, with their control partners."""
    names = [str(cells.conditions[row]) for row in data.rows[items]]
    before, after = (cells.expression[rows[items]].toarray() for rows in (data.partners, data.rows))
    perturbed = sorted(set(names) - {CONTROL})
    return CellBatch(names, before, after, {name: screen.nonzero[screen.index((name,))[0]] for name in perturbed})
