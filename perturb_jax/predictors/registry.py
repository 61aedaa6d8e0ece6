"""Predictors by name, which the command line and the files of experiments use; a user's own too."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from perturb_jax.support.errors import InputError
from perturb_jax.support.options import made_from
from perturb_jax.support.registry import Registry

PREDICTORS: Registry[type[Any]] = Registry(
    "predictor",
    {
        "control-mean": "perturb_jax.predictors.baselines:ControlMean",
        "training-mean": "perturb_jax.predictors.baselines:TrainingMean",
        "nearest-neighbours": "perturb_jax.predictors.baselines:NearestNeighbours",
        "bilinear-ridge": "perturb_jax.predictors.ridge:BilinearRidge",
        "graph-ridge": "perturb_jax.predictors.ridge:GraphRidge",
        "graph-gp": "perturb_jax.predictors.graph_gp:GraphGP",
        "gears-flax": "perturb_jax.predictors.gears_flax.predictor:GearsFlax",
        "gears-reference": "perturb_jax.predictors.gears_reference.predictor:GearsReference",
    },
    "perturb_jax.predictors",
)
"""Every predictor, in the order of tables; nothing is imported before a name is asked for."""


def predictor_class(name: str) -> type[Any]:
    """The class of a name, or of "FILE.py:NAME"; its fields are its settings.

    Raises:
        InputError: another name; something that is no predictor.
    """
    found = PREDICTORS.get(name)
    if not (isinstance(found, type) and is_dataclass(found) and callable(getattr(found, "fit", None))):
        raise InputError(f"predictor: expected a frozen dataclass with a method fit, got {found!r:.80} as {name!r}")
    return found


def make_predictor(name: str, settings: Mapping[str, object] = {}) -> Any:
    """The predictor of a name with some settings changed, as TOML and JSON have them.

    Text, such as a command line has, is read first: ``read_texts(predictor_class(name), texts)``.

    Raises:
        InputError: another name; what are no settings, or values that these do not allow.

    Examples:
        >>> make_predictor("graph-gp", {"hops": [1, 2]}).hops
        (1, 2)
    """
    return made_from(predictor_class(name), settings)


def register_predictor(name: str, predictor: type[Any]) -> None:
    """Give a name to a predictor of one's own, for this process: a frozen dataclass of settings with `fit`.

    Installed packages name theirs by an entry point of the group ``perturb_jax.predictors``; "FILE.py:NAME" needs no
    name.

    Raises:
        InputError: the name of a predictor that ships here.
    """
    PREDICTORS.register(name, predictor)
