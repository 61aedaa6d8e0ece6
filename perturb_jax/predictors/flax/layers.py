"""The layers of GEARS in Flax, each with PyTorch's initialisation: batch normalisation of weighted rows, MLP, SGC."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.initializers import Initializer
from jaxtyping import Array, Float, Int

MOMENTUM, EPSILON = 0.1, 1e-5
"""Of PyTorch's BatchNorm1d."""


class Rows(NamedTuple):
    """What the rows of a batch count for in its statistics.

    Attributes:
        weights: the share of a batch's cells that each row stands for; sum 1.
        cells: how many cells these are, for the correction of the running variance.
    """

    weights: Float[Array, " rows"]
    cells: Float[Array, ""] | float


class Edges(NamedTuple):
    """A sparse matrix, the normalised operator of a graph convolution.

    Attributes:
        senders: columns.
        receivers: rows.
        weights: of the edges, self-loops included.
    """

    senders: Int[Array, " edges"]
    receivers: Int[Array, " edges"]
    weights: Float[Array, " edges"]

    def __matmul__(self, features: Float[Array, "nodes features"]) -> Float[Array, "nodes features"]:
        messages = features[self.senders] * self.weights[:, None]
        return jax.ops.segment_sum(messages, self.receivers, len(features), indices_are_sorted=True)


def uniform_by_inputs(inputs: int) -> Initializer:
    """U(-1/sqrt(inputs), 1/sqrt(inputs)): how PyTorch fills weights and biases of a linear layer."""

    def fill(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -1, 1) * inputs**-0.5

    return fill


class Linear(nn.Module):
    """x W + b."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "*rows inputs"], bias_scale: Array | float = 1.0) -> Float[Array, "*rows f"]:
        """The bias is multiplied with `bias_scale`: of a sum of rows it is there as many times as there are rows."""
        fill = uniform_by_inputs(x.shape[-1])
        kernel = self.param("kernel", fill, (x.shape[-1], self.features))
        bias = self.param("bias", fill, (self.features,))
        return x @ kernel + jnp.broadcast_to(bias, (*x.shape[:-1], self.features)) * bias_scale


class BatchNorm(nn.Module):
    """PyTorch's BatchNorm1d, given the mean and variance of a batch: what to multiply with and what to add.

    While training these are the batch's and move the running ones (mutable collection "batch_stats"); the running
    variance is unbiased, for `count` values. Else they are the running ones.
    """

    @nn.compact
    def __call__(
        self,
        mean: Float[Array, " f"],
        variance: Float[Array, " f"],
        count: Float[Array, ""] | float,
        train: bool,
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
    """Mean and variance over columns and weighted rows."""
    mean = weights @ x.mean(1)
    return mean, weights @ jnp.square(x - mean[None, None]).mean(1)


class Normalized(nn.Module):
    """Batch normalisation over rows and columns."""

    @nn.compact
    def __call__(self, x: Float[Array, "rows columns f"], rows: Rows, train: bool) -> Float[Array, "rows columns f"]:
        """x, normalised."""
        mean, variance = moments(x, rows.weights) if train else (jnp.zeros(x.shape[-1]),) * 2
        scale, shift = BatchNorm(name="norm")(mean, variance, rows.cells * x.shape[1], train)
        return x * scale[None, None] + shift[None, None]


class MLP(nn.Module):
    """Linear layers, each normalised, with ReLU between them and none at the end.

    Attributes:
        sizes: of the layers' outputs.
    """

    sizes: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Float[Array, "rows columns f"], rows: Rows, train: bool) -> Float[Array, "rows columns h"]:
        """The last layer's output, normalised."""
        for number, size in enumerate(self.sizes):
            x = Linear(size, name=f"linear_{number}")(x if number == 0 else nn.relu(x))
            x = Normalized(name=f"norm_{number}")(x, rows, train)
        return x
