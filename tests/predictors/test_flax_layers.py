"""The Flax layers against PyTorch's: convolution, normalisation, embeddings, initial weights."""

from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import perturb_jax as pj
from perturb_jax.graph.operator import gcn_norm, message_passing
from perturb_jax.predictors.gears_flax.batches import convolution_of, edges_of, perturbed_rows
from perturb_jax.predictors.gears_flax.checkpoint import to_torch
from perturb_jax.predictors.gears_flax.model import (
    EMBEDDINGS,
    Gears,
    Linear,
    Normalized,
    Perturbed,
    Rows,
    affine,
    times,
    within_unit_norm,
)
from perturb_jax.predictors.gears_reference import private as gears_private
from perturb_jax.predictors.gears_reference.data import edge_tensors
from tests.flax_oracles import Graphs, reference_model, weighted_graph
from tests.graphs import NUM_NODES, random_graphs

ROWS, COLUMNS, FEATURES = 5, 3, 4
OFFSET = 0.5
"""What a normalisation is given instead of having it added to its input."""


@settings(max_examples=25, deadline=None)
@given(random_graphs(fixed_shape=True))
def test_edges_times_features_is_the_dense_product(graph: pj.KnowledgeGraph) -> None:
    dense = gcn_norm(message_passing(graph)).toarray()
    features = np.random.default_rng(0).normal(size=(NUM_NODES, FEATURES))
    edges = edges_of(convolution_of(graph))
    assert (np.diff(edges.receivers) >= 0).all()
    np.testing.assert_allclose(edges @ jnp.asarray(features, jnp.float32), dense @ features, atol=1e-5)


@pytest.mark.gears
def test_convolution_is_that_of_pytorch_geometric_on_the_whole_go_graph(genome: pj.KnowledgeGraph) -> None:
    torch = pytest.importorskip("torch")
    gears_private.import_gears()  # without the warnings of its imports
    from torch_geometric.nn import SGConv

    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer, features = SGConv(16, 8, 1), torch.randn(genome.num_nodes, 16)
    with torch.no_grad():
        expected = layer(features, *edge_tensors(genome)).numpy()
    params = {
        "kernel": jnp.asarray(layer.lin.weight.detach().numpy().T),
        "bias": jnp.asarray(layer.lin.bias.detach().numpy()),
    }
    convolution, linear = convolution_of(genome), Linear(8)
    x = jnp.asarray(features.numpy())
    parts: Any = linear.apply({"params": params}, edges_of(convolution) @ x)
    every = affine(*parts)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(every, expected, rtol=0, atol=1e-5)
    names = ["KLF1", "CEBPE+KLF1", "TP53", "BRCA1+MYC+TP53"]
    position = genome.names.position
    sums = [sum(expected[position[gene]] for gene in name.split("+")) for name in names]
    rows = perturbed_rows(convolution, genome, names)
    np.testing.assert_array_equal(rows.genes, [1, 2, 1, 3])
    parts = linear.apply({"params": params}, rows.reads @ x)
    chosen = affine(parts[0], parts[1], rows.genes[:, None])
    np.testing.assert_allclose(chosen, sums, rtol=0, atol=1e-5)


@pytest.mark.parametrize("outputs", [2, 3, 5])
def test_the_gradient_of_a_product_is_the_derived_one(outputs: int) -> None:
    rng = np.random.default_rng(0)
    x, kernel, slope = (jnp.asarray(rng.normal(size=size)) for size in ((4, 7, 3), (3, outputs), (4, 7, outputs)))
    ours = jax.grad(lambda x, kernel: (times(x, kernel) * slope).sum(), argnums=(0, 1))(x, kernel)
    derived = jax.grad(lambda x, kernel: ((x @ kernel) * slope).sum(), argnums=(0, 1))(x, kernel)
    for one, other in zip(ours, derived, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@jax.jit
def normalized(variables: Any, x: jax.Array, rows: Rows, slope: jax.Array) -> tuple[jax.Array, Any, Any]:
    """Output of a training pass, moved statistics, gradients of its product with `slope`."""

    def product(params: Any, x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, Any]]:
        given = {**variables, "params": params}
        output, moved = Normalized().apply(
            given, x - OFFSET, jnp.full(FEATURES, OFFSET), rows, True, mutable=["batch_stats"]
        )
        return (output * slope).sum(), (output, moved["batch_stats"])

    gradient, (output, stats) = jax.grad(product, argnums=(0, 1), has_aux=True)(variables["params"], x)
    return output, stats, gradient


@pytest.mark.gears
@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=ROWS, max_size=ROWS).filter(any), st.integers(0, 2**32 - 1))
def test_normalisation_of_weighted_rows_is_that_of_repeated_rows(counts: list[int], seed: int) -> None:
    """PyTorch's BatchNorm1d of the rows repeated: two passes in training mode, then one in evaluation mode."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    values = rng.normal(2, 3, (2, ROWS, COLUMNS, FEATURES))
    scale, bias, slope = rng.normal(size=FEATURES), rng.normal(size=FEATURES), rng.normal(size=values[0].shape)
    norm = torch.nn.BatchNorm1d(FEATURES).double()
    with torch.no_grad():
        norm.weight.copy_(torch.from_numpy(scale))
        norm.bias.copy_(torch.from_numpy(bias))
    repeats = torch.tensor(counts)
    with jax.enable_x64(True):
        rows = Rows(jnp.asarray(np.array(counts) / sum(counts)), jnp.asarray(float(sum(counts))))
        params = {"norm": {"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)}}
        stats: Any = {"norm": {"mean": jnp.zeros(FEATURES), "var": jnp.ones(FEATURES)}}
        for x in values:
            given = torch.from_numpy(x).requires_grad_()
            repeated = given.repeat_interleave(repeats, 0).reshape(-1, FEATURES)
            norm.zero_grad()
            expected = norm(repeated)
            # Each copy of a row counts its part of the row's slope.
            fraction = torch.from_numpy(slope / np.maximum(counts, 1)[:, None, None]).repeat_interleave(repeats, 0)
            (expected * fraction.reshape(-1, FEATURES)).sum().backward()
            variables, weight = {"params": params, "batch_stats": stats}, jnp.asarray(np.array(counts) > 0, float)
            output, stats, (gradient, of_x) = normalized(
                variables, jnp.asarray(x), rows, jnp.asarray(slope) * weight[:, None, None]
            )
            kept = np.repeat(output, counts, 0).reshape(-1, FEATURES)
            np.testing.assert_allclose(kept, expected.detach().numpy(), atol=1e-10)
            np.testing.assert_allclose(of_x, given.grad.numpy(), atol=1e-10)
            np.testing.assert_allclose(gradient["norm"]["scale"], norm.weight.grad.numpy(), atol=1e-10)
            np.testing.assert_allclose(gradient["norm"]["bias"], norm.bias.grad.numpy(), atol=1e-10)
            np.testing.assert_allclose(stats["norm"]["mean"], norm.running_mean.numpy(), atol=1e-12)
            np.testing.assert_allclose(stats["norm"]["var"], norm.running_var.numpy(), atol=1e-12)
        variables = {"params": params, "batch_stats": stats}
        output, moved = Normalized().apply(
            variables, jnp.asarray(values[0]) - OFFSET, jnp.full(FEATURES, OFFSET), rows, False, mutable=["batch_stats"]
        )
        expected = norm.eval()(torch.from_numpy(values[0]).reshape(-1, FEATURES)).detach().numpy()
        np.testing.assert_allclose(output.reshape(-1, FEATURES), expected, atol=1e-10)
        assert jax.tree.all(jax.tree.map(np.array_equal, moved["batch_stats"], stats))


@pytest.mark.gears
def test_embeddings_are_shortened_as_pytorch_does_before_it_reads_them() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    tables = {}
    for name in EMBEDDINGS:
        rows = rng.normal(size=(9, 5))
        lengths = np.array([0, 1e-3, 0.5, 0.999, 1.0, 1.001, 2, 10, 1e4])
        tables[name] = (rows * (lengths / np.linalg.norm(rows, axis=1))[:, None]).astype(np.float32)
    other = {"kernel": jnp.full((2, 2), 7.0)}
    shortened = within_unit_norm({**{name: jnp.asarray(table) for name, table in tables.items()}, "layer": other})
    assert shortened["layer"] is other
    for name, table in tables.items():
        layer = torch.nn.Embedding(9, 5, max_norm=True, _weight=torch.from_numpy(table.copy()))
        layer(torch.arange(9))
        np.testing.assert_allclose(shortened[name], layer.weight.detach().numpy(), rtol=3e-7)
        np.testing.assert_array_equal(shortened[name][:4], table[:4])
        assert np.linalg.norm(shortened[name], axis=1).max() <= 1 + 3e-7


@pytest.mark.gears
def test_all_embeddings_of_the_reference_are_shortened_and_nothing_else() -> None:
    torch = pytest.importorskip("torch")
    network = reference_model(Graphs(weighted_graph(list("ABC"), 3, 0), weighted_graph(list("gh"), 2, 0)), 2, 1, True)
    tables = {name: module for name, module in network.named_modules() if isinstance(module, torch.nn.Embedding)}
    assert set(tables) == set(EMBEDDINGS) and all(table.max_norm == 1 for table in tables.values())


@pytest.mark.gears
def test_new_weights_are_distributed_as_those_of_the_reference() -> None:
    """Every parameter over many models: its standard deviation, the shape of its distribution, its range if bounded."""
    pytest.importorskip("torch")
    graphs = Graphs(weighted_graph(list("ABCDEFGHIJKLM"), 20, 0), weighted_graph([f"g{i}" for i in range(17)], 20, 0))
    theirs = [dict(reference_model(graphs, 6, 2, True, seed=seed).named_parameters()) for seed in range(100)]
    model = Gears(17, 13, 6, 2, 2, True)
    one = Perturbed(jnp.zeros((1, 13)), jnp.ones(1))
    start = jax.jit(jax.vmap(lambda key: model.init(key, one, Rows(jnp.ones(1), 1.0), *graphs.edges, True)))
    # A generator that compiles in a quarter of the time.
    variables = jax.device_get(start(jax.random.split(jax.random.key(0, impl="unsafe_rbg"), 400)))
    ours = [to_torch(jax.tree.map(itemgetter(number), variables)) for number in range(400)]
    for name in ours[0]:
        if ".running_" in name:
            assert all((state[name] == name.endswith("var")).all() for state in ours)
            continue
        drawn = np.concatenate([state[name].ravel() for state in ours]).astype(float)
        expected = np.concatenate([state[name].detach().numpy().ravel() for state in theirs]).astype(float)
        if np.ptp(expected) == 0:
            np.testing.assert_array_equal(drawn, expected[0])
            continue
        sizes = 1 / len(drawn) + 1 / len(expected)
        deviation, shape = expected.std(), kurtosis(expected)
        bounded = shape < 2.4
        assert abs(drawn.mean() - expected.mean()) < 5 * deviation * sizes**0.5, name
        spread = (0.8 if bounded else 2.0) / 4 * sizes  # variance of the logarithm of a ratio of deviations
        assert abs(np.log(drawn.std() / deviation)) < 5 * spread**0.5 < 0.3, name
        assert abs(kurtosis(drawn) - shape) < 0.6, name
        if bounded:
            assert abs(np.log(np.abs(drawn).max() / np.abs(expected).max())) < 0.1, name


def kurtosis(values: np.ndarray) -> float:
    """1.8 of a uniform, 3 of a normal distribution."""
    deviations = values - values.mean()
    return float((deviations**4).mean() / (deviations**2).mean() ** 2)
