"""The layers of GEARS in Flax, each with PyTorch's initialisation: batch normalisation of weighted rows, MLP, SGC."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.initializers import Initializer
from jaxtyping import Array, Float

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


def _times_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ kernel, (x, kernel)


def _times_backward(kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = kept
    flat = gradient.reshape(-1, gradient.shape[-1])
    rows = x.reshape(-1, x.shape[-1])
    # The narrower matrix first: half the time. The barrier keeps the transposition of the small result from moving in.
    of_kernel = rows.T @ flat if rows.shape[1] <= flat.shape[1] else jax.lax.optimization_barrier(flat.T @ rows).T
    return (flat @ kernel.T).reshape(x.shape), of_kernel


times.defvjp(_times_forward, _times_backward)


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
    """Linear layers, each normalised, with ReLU between them and none at the end.

    Attributes:
        sizes: of the layers' outputs.
    """

    sizes: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Float[Array, "rows columns f"], rows: Rows, train: bool) -> Float[Array, "rows columns h"]:
        """The last layer's output, normalised."""
        for number, size in enumerate(self.sizes):
            product, bias = Linear(size, name=f"linear_{number}")(x if number == 0 else nn.relu(x))
            x = Normalized(name=f"norm_{number}")(product, bias, rows, train)
        return x
