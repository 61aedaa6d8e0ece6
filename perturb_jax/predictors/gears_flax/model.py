"""What a fitted GEARS is made of: layers and the model, in Flax."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.initializers import Initializer
from jaxtyping import Array, Bool, Float

from perturb_jax.graph.operator import Edges

Weights = dict[str, Any]
"""Flax collections, "params" and "batch_stats" among them."""
MOMENTUM, EPSILON = 0.1, 1e-5
"""Of PyTorch's BatchNorm1d."""


class Rows(NamedTuple):
    """What the rows of a batch count for in its statistics: fractions of its cells, and how many cells these are."""

    weights: Float[Array, " rows"]
    cells: Float[Array, ""] | float


def uniform_by_inputs(inputs: int) -> Initializer:
    """U(-1/sqrt(inputs), 1/sqrt(inputs)): how PyTorch fills weights and biases of a linear layer."""

    def fill(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -1, 1) * inputs**-0.5

    return fill


@jax.custom_vjp
def times(x: Float[Array, "*rows inputs"], kernel: Float[Array, "inputs outputs"]) -> Float[Array, "*rows outputs"]:
    """The product, with a gradient in the kernel that makes XLA's CPU compiler transpose no matrix of rows.

    As JAX derives it, that takes a third of a training step.
    """
    return x @ kernel


def _times_backward(kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = kept
    flat = gradient.reshape(-1, gradient.shape[-1])
    rows = x.reshape(-1, x.shape[-1])
    # The narrower matrix first: half the time. The barrier keeps the transposition of the small result from moving in.
    of_kernel = rows.T @ flat if rows.shape[1] <= flat.shape[1] else jax.lax.optimization_barrier(flat.T @ rows).T
    return (flat @ kernel.T).reshape(x.shape), of_kernel


times.defvjp(lambda x, kernel: (x @ kernel, (x, kernel)), _times_backward)


class Linear(nn.Module):
    """x W, and b apart: before a normalisation it need not be added."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "*rows inputs"]) -> tuple[Float[Array, "*rows f"], Float[Array, " f"]]:
        """Product and bias."""
        fill = uniform_by_inputs(x.shape[-1])
        kernel = self.param("kernel", fill, (x.shape[-1], self.features))
        return times(x, kernel), self.param("bias", fill, (self.features,))


def affine(product: Float[Array, "rows f"], bias: Float[Array, " f"], scale: Array | float = 1.0) -> Array:
    """Product and bias together: of a sum of rows the bias is there as many times as there are rows."""
    return product + bias[None] * scale


class BatchNorm(nn.Module):
    """PyTorch's BatchNorm1d, given the mean and variance of a batch: what to multiply with and what to add.

    While training these are the batch's and move the running ones (mutable collection "batch_stats"); the running
    variance is unbiased, for `count` values. Else they are the running ones.
    """

    @nn.compact
    def __call__(
        self, mean: Float[Array, " f"], variance: Float[Array, " f"], count: Float[Array, ""] | float, train: bool
    ) -> tuple[Float[Array, " f"], Float[Array, " f"]]:
        """Scale and shift."""
        size = mean.shape
        weight = self.param("scale", nn.initializers.ones, size)
        bias = self.param("bias", nn.initializers.zeros, size)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, size)
        running_variance = self.variable("batch_stats", "var", jnp.ones, size)
        if train and not self.is_initializing():
            unbiased = variance * (count / jnp.maximum(count - 1, 1))
            for running, seen in ((running_mean, mean), (running_variance, unbiased)):
                running.value += MOMENTUM * (jax.lax.stop_gradient(seen) - running.value)
        elif not train:
            mean, variance = running_mean.value, running_variance.value
        scale = weight * jax.lax.rsqrt(variance + EPSILON)
        return scale, bias - mean * scale


def moments(
    x: Float[Array, "rows columns f"], weights: Float[Array, " rows"]
) -> tuple[Float[Array, " f"], Float[Array, " f"]]:
    """Mean and variance over columns and weighted rows. The variance does not change with the mean, to first order."""
    mean = weights @ x.mean(1)
    return mean, weights @ jnp.square(x - jax.lax.stop_gradient(mean)[None, None]).mean(1)


class Normalized(nn.Module):
    """Batch normalisation over rows and columns."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "rows columns f"], offset: Float[Array, " f"], rows: Rows, train: bool
    ) -> Float[Array, "rows columns f"]:
        """Their sum, normalised. Within a batch the offset cancels: it moves nothing but the running mean."""
        mean, variance = moments(x, rows.weights) if train else (jnp.zeros(x.shape[-1]),) * 2
        scale, shift = BatchNorm(name="norm")(mean + offset, variance, rows.cells * x.shape[1], train)
        return x * scale[None, None] + (shift + offset * scale)[None, None]


class MLP(nn.Module):
    """Linear layers with outputs of these sizes, each normalised, with ReLU between them and none at the end."""

    sizes: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Float[Array, "rows columns f"], rows: Rows, train: bool) -> Float[Array, "rows columns h"]:
        """The last layer's output, normalised."""
        for number, size in enumerate(self.sizes):
            product, bias = Linear(size, name=f"linear_{number}")(x if number == 0 else nn.relu(x))
            x = Normalized(name=f"norm_{number}")(product, bias, rows, train)
        return x


GRAPH_WEIGHT = 0.2
"""What the co-expression layers' output is multiplied with before it joins a gene's embedding."""
EMBEDDINGS = ("gene_emb", "emb_pos", "pert_emb")
"""Parameters whose rows have at most norm 1."""


class Perturbed(NamedTuple):
    """What is perturbed in each row of a batch: rows of the graph's operator, summed over genes, and how many genes.

    Both are 0 for control.
    """

    reads: Float[Array, "rows nodes"]
    genes: Float[Array, " rows"]

    @property
    def is_perturbed(self) -> Bool[Array, " rows"]:
        """Whether a row is no control."""
        return self.genes > 0


class Prediction(NamedTuple):
    """What the model says of each row of a batch.

    `embedding` is the output of the knowledge-graph layers, `state` that of the cell which every gene's last readout
    reads; `log_variance`, of the error, is None without uncertainty.
    """

    effect: Float[Array, "rows genes"]
    log_variance: Float[Array, "rows genes"] | None
    embedding: Float[Array, "rows hidden"]
    state: Float[Array, "rows hidden"]


class Gears(nn.Module):
    """GEARS. Names of modules and parameters are cell-gears'.

    A gene's embedding, normalised, and a fifth of its co-expression embedding, convolved, pass an MLP; the perturbed
    genes' embedding, convolved over the knowledge graph and passed through another, is added to it. Normalised again,
    a third MLP and a readout of each gene's own give one number per gene; from all of these numbers a fourth MLP makes
    the state of the cell, and a second readout of each gene's own gives the effect.

    In a batch only the third MLP is computed for every row and gene: what comes before is a sum of one term per gene
    and one per row, O((genes + rows) hidden^2), and a batch's statistics of such a sum are the sums of its terms'. The
    third costs O(rows x genes x hidden^2).

    Deviation: in cell-gears the co-expression layers reach the first cell of a batch alone, since its edge numbers are
    not shifted from cell to cell; every other cell is convolved with itself only. `first_row_only` restores that, for
    row 0. `GearsFlax` says what the other settings mean.
    """

    num_genes: int
    num_nodes: int
    hidden_size: int = 64
    go_layers: int = 1
    coexpression_layers: int = 1
    uncertainty: bool = False
    first_row_only: bool = False

    @nn.compact
    def __call__(self, perturbed: Perturbed, rows: Rows, graph: Edges, coexpression: Edges, train: bool) -> Prediction:
        """Effects of the rows of a batch; `train`: normalise by the batch's statistics and move the running ones."""
        hidden, genes = self.hidden_size, self.num_genes
        base = self._genes(rows, coexpression, train)
        embedding = self._perturbations(perturbed, graph)
        fused = self._fused(embedding, perturbed, rows, train)
        x = nn.relu(self._joined(base, fused, rows, train))
        log_variance = None
        if self.uncertainty:
            log_variance = MLP((2 * hidden, hidden, 1), name="uncertainty_w")(x, rows, train)[..., 0]
        readout = self.param("indv_w1", _normal(genes, hidden), (genes, hidden))
        bias = self.param("indv_b1", _normal(genes, 1), (genes,))
        x = MLP((2 * hidden, hidden), name="recovery_w")(x, rows, train)
        own = jnp.einsum("rgh,gh->rg", x, readout) + bias[None]
        state = MLP((hidden, hidden), name="cross_gene_state")(own[:, None, :], rows, train)[:, 0]
        readout = self.param("indv_w2", _normal(1, genes, hidden + 1), (genes, hidden + 1))
        bias = self.param("indv_b2", _normal(1, genes), (genes,))
        effect = own * readout[None, :, 0] + state @ readout[:, 1:].T + bias[None]
        return Prediction(effect, log_variance, embedding, state)

    def _genes(self, rows: Rows, coexpression: Edges, train: bool) -> Float[Array, "#rows genes hidden"]:
        """Embeddings of the genes before anything is perturbed: the same in every row, or other in row 0."""
        shape = self.num_genes, self.hidden_size
        embedding = self.param("gene_emb", nn.initializers.normal(1.0), shape)
        position = self.param("emb_pos", nn.initializers.normal(1.0), shape)
        convolved, alone = position, position
        for number in range(self.coexpression_layers):
            layer = Linear(self.hidden_size, name=f"layers_emb_pos_{number}")
            if number > 0:
                convolved, alone = nn.relu(convolved), nn.relu(alone)
            convolved = affine(*layer(coexpression @ convolved))
            alone = affine(*layer(alone)) if self.first_row_only else alone
        if self.first_row_only:
            others = jnp.broadcast_to(alone, (len(rows.weights) - 1, *shape))
            positions = jnp.concatenate([convolved[None], others])
        else:
            positions, rows = convolved[None], Rows(jnp.ones(1, embedding.dtype), rows.cells)
        mean, variance = moments(embedding[None], jnp.ones(1, embedding.dtype))
        scale, shift = BatchNorm(name="bn_emb")(mean, variance, rows.cells * self.num_genes, train)
        base = nn.relu(embedding * scale[None] + shift[None])[None] + GRAPH_WEIGHT * positions
        return MLP((self.hidden_size, self.hidden_size), name="emb_trans_v2")(base, rows, train)

    def _perturbations(self, perturbed: Perturbed, graph: Edges) -> Float[Array, "rows hidden"]:
        """The knowledge-graph layers. The last one is linear, so it is computed for the rows of the batch only."""
        embedding = self.param("pert_emb", nn.initializers.normal(1.0), (self.num_nodes, self.hidden_size))
        for number in range(self.go_layers - 1):
            layer = Linear(self.hidden_size, name=f"sim_layers_{number}")
            embedding = nn.relu(affine(*layer(graph @ embedding)))
        last = Linear(self.hidden_size, name=f"sim_layers_{self.go_layers - 1}")
        return affine(*last(perturbed.reads @ embedding), perturbed.genes[:, None])

    def _fused(
        self, embedding: Float[Array, "rows hidden"], perturbed: Perturbed, rows: Rows, train: bool
    ) -> Float[Array, "rows hidden"]:
        """The perturbations' part of every gene's embedding; statistics are over perturbed rows only."""
        weights = jnp.where(perturbed.is_perturbed, rows.weights, 0)
        total = weights.sum()
        weights = weights / jnp.where(total > 0, total, 1)
        cells = jnp.maximum(rows.cells * total, 2)  # cell-gears doubles a single perturbed cell
        fuse = MLP((self.hidden_size, self.hidden_size), name="pert_fuse")
        fused = fuse(embedding[:, None], Rows(weights, cells), train)[:, 0]
        return jnp.where(perturbed.is_perturbed[:, None], fused, 0)

    def _joined(
        self, base: Float[Array, "#rows genes hidden"], effect: Float[Array, "rows hidden"], rows: Rows, train: bool
    ) -> Float[Array, "rows genes hidden"]:
        norm = BatchNorm(name="bn_pert_base")
        count = rows.cells * self.num_genes
        if len(base) > 1:
            x = base + effect[:, None]
            scale, shift = norm(*moments(x, rows.weights), count, train)
            return x * scale[None, None] + shift[None, None]
        one = jnp.ones(1, base.dtype)
        (mean, variance), (also, varies) = moments(base, one), moments(effect[:, None], rows.weights)
        scale, shift = norm(mean + also, variance + varies, count, train)
        return (base * scale[None, None] + shift[None, None]) + (effect * scale[None])[:, None]


def _normal(*shape: int) -> Initializer:
    """PyTorch's xavier_normal_ for a tensor of the reference's shape, a trailing 1 left out."""
    size = shape[2] if len(shape) > 2 else 1
    return nn.initializers.normal((2 / ((shape[0] + shape[1]) * size)) ** 0.5)


def within_unit_norm(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters with the embeddings' rows shortened to norm 1 where they are longer: what PyTorch does before reading.

    PyTorch does so in place and without a gradient: so before a step, not as a part of it.
    """

    def shortened(table: Float[Array, "rows hidden"]) -> Float[Array, "rows hidden"]:
        norm = jnp.linalg.norm(table, axis=1, keepdims=True)
        return jnp.where(norm > 1, table / (norm + 1e-7), table)

    return {name: shortened(value) if name in EMBEDDINGS else value for name, value in params.items()}
