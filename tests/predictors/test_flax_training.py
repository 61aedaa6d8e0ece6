"""The Flax GEARS' optimiser against PyTorch's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from perturb_jax.predictors.gears_flax.training import CLIP, Plan, optimizer_of


@pytest.mark.gears
@pytest.mark.parametrize("weight_decay", [0.0, 5e-4, 0.3])
def test_steps_are_those_of_clipped_gradients_and_pytorchs_adam(weight_decay: float) -> None:
    """With L2 as a part of the gradient, added after it was clipped; the rate follows the schedule."""
    torch = pytest.importorskip("torch")
    steps, rate = 6, 5e-3
    plan = Plan(steps, rate, weight_decay, 32, 1.0, 1, steps)
    rng = np.random.default_rng(0)
    begin, slopes = rng.normal(size=(4, 3)), rng.normal(scale=[[0.01, 1, 100]], size=(steps, 4, 3))
    parameter = torch.nn.Parameter(torch.from_numpy(begin.copy()))
    adam = torch.optim.Adam([parameter], lr=rate, weight_decay=weight_decay)
    with jax.enable_x64(True):
        optimizer = optimizer_of(plan)
        params = jnp.asarray(begin)
        state = optimizer.init(params)
        for step, slope in enumerate(slopes):
            adam.param_groups[0]["lr"] = rate * (1 + np.cos(np.pi * step / steps)) / 2
            parameter.grad = torch.from_numpy(slope.copy())
            torch.nn.utils.clip_grad_value_([parameter], CLIP)
            adam.step()
            updates, state = optimizer.update(jnp.asarray(slope), state, params)
            params = optax.apply_updates(params, updates)
            np.testing.assert_allclose(params, parameter.detach().numpy(), rtol=1e-10, atol=1e-12)
        assert np.abs(np.asarray(params) - begin).min() > 1e-4
