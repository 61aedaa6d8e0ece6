"""Predictors by the name that the command line uses."""

from collections.abc import Callable

from perturb_jax.predictors.baselines import ControlMean, NearestNeighbours, TrainMean
from perturb_jax.predictors.gears_flax.predictor import GearsFlax
from perturb_jax.predictors.gears_reference.predictor import GearsReference
from perturb_jax.predictors.graph_gp import GraphGP
from perturb_jax.predictors.predictor import Predictor
from perturb_jax.predictors.ridge import BilinearRidge, GraphRidge
from perturb_jax.support.errors import InputError

PREDICTORS: dict[str, Callable[[], Predictor]] = {
    "control-mean": ControlMean,
    "training-mean": TrainMean,
    "nearest-neighbours": NearestNeighbours,
    "bilinear-ridge": BilinearRidge,
    "graph-ridge": GraphRidge,
    "graph-gp": GraphGP,
    "gears-flax": GearsFlax,
    "gears-reference": GearsReference,
}


def predictor_of(name: str) -> Predictor:
    """The predictor of a name, with its defaults.

    Raises:
        InputError: another name.
    """
    if name not in PREDICTORS:
        raise InputError(f"predictor: expected one of {', '.join(PREDICTORS)}, got {name!r}")
    return PREDICTORS[name]()
