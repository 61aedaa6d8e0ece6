"""The contract of predictors: configured, then fitted to some perturbations of a screen, then used for any.

A predictor is a frozen dataclass of plain values, its configuration. ``fit`` reads outcomes of the training and, to
tune or to stop, of the validation perturbations, and of no others, though the screen holds all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from perturb_jax.genes.perturbations import identity, nodes_of
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.kernel.kernel import Kernel, Rows
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.split import refuse_leak
from perturb_jax.support.errors import InputError, TooFewPerturbationsError
from perturb_jax.support.options import Options

Key = int | jax.Array
"""A seed, or a JAX random key. Deterministic predictors ignore it."""


@runtime_checkable
class Fitted(Protocol):
    """What a fitted predictor answers, for perturbations of the screen and for others: "A", "A+B" in any order.

    The same for all: repeated names are allowed, each gives its row; a name without a gene (control) is refused, and so
    are genes that the predictor knows nothing of: with InputError, which says which. One of a user's own inherits from
    this and defines `effects`; what else it does not define is as it stands here.

    Attributes:
        history: what was measured while training, one value per step or epoch: a NamedTuple of arrays; None: nothing.
        report: what was found while fitting: plain values.
    """

    history: Any = None
    report: Mapping[str, float | int | str] = MappingProxyType({})

    def effects(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations genes"]:
        """Predicted mean expression less the control mean, for every measured gene of the screen."""
        ...

    def embeddings(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations features"]:  # noqa: ARG002  (for those that have them)
        """What the predictor knows of each perturbation before its readout; InputError where it has no such thing."""
        raise _none(self, "embeddings", "use a strategy that needs none, or another predictor")

    def features(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations features"]:  # noqa: ARG002  (for those that have them)
        """What the predictor's readout reads of each perturbation; InputError where it has no such thing."""
        raise _none(self, "features", "use a strategy that needs none, or another predictor")

    def uncertainties(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations genes"]:  # noqa: ARG002  (for those that have them)
        """Standard deviations of the true effects around `effects`; InputError where the predictor has none."""
        raise _none(self, "uncertainties", "use GraphGP, or a strategy that needs none")

    def parameters(self) -> dict[str, np.ndarray]:
        """What was learnt, by name; nothing where nothing is."""
        return {}

    def save(self, path: str | Path) -> None:
        """Store it as one file, without pickle; `load_fitted` reads it. InputError if it cannot be stored."""
        from perturb_jax.predictors.saved import save_fitted

        save_fitted(self, path)


def _none(fitted: Fitted, what: str, remedy: str) -> InputError:
    return InputError(f"{getattr(fitted, 'name', type(fitted).__name__)} has no {what}; {remedy}")


def history_of(fitted: Fitted) -> tuple[pd.DataFrame | None, dict[str, Any]]:
    """Errors by step as a table, None where there are none, and what else a predictor says of its training: plain."""
    if fitted.history is None:
        return None, {name: np.asarray(value).item() for name, value in fitted.report.items()}
    parts = {name: np.asarray(value) for name, value in fitted.history._asdict().items()}
    table = pd.DataFrame({name: value for name, value in parts.items() if value.ndim == 1})
    return table, {name: value.item() for name, value in parts.items() if value.ndim == 0}


@runtime_checkable
class Predictor(Protocol):
    """A configured predictor."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def fit(
        self, screen: Screen, graph: KnowledgeGraph, train: Sequence[str], validation: Sequence[str], key: Key
    ) -> Fitted:
        """Learn from the training perturbations.

        Args:
            screen: the outcomes.
            graph: the knowledge graph; genes that are not in it are refused by the predictors that read it.
            train: perturbations of the screen, at least one.
            validation: others of the screen; may be empty.
            key: a seed or a JAX random key.

        Raises:
            InputError: perturbations that the screen does not have, twice or in both sets; genes that the predictor
                needs to know and does not.
        """
        ...


def seed_of(key: Key) -> int:
    """A seed in [0, 2^32) for libraries that take no JAX key; a whole number stands for itself."""
    if isinstance(key, int) and not isinstance(key, bool):
        if not 0 <= key < 2**32:
            raise InputError(f"seed: expected a whole number from 0 to 2^32 - 1, got {key}")
        return int(key)
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.key_data(key)
    if not (isinstance(key, jax.Array) and key.dtype == np.uint32 and key.ndim == 1):
        raise InputError(f"key: expected a whole number or a JAX random key, got {key!r}")
    return int(jax.random.bits(key))


def training_rows(screen: Screen, train: Sequence[str], validation: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the screen for both sets, each perturbation once."""
    if len(train) == 0:
        raise TooFewPerturbationsError("train: expected at least one perturbation, got none")
    first: dict[frozenset[str], str] = {}
    for role, names in (("train", train), ("validation", validation)):
        refuse_leak(role, names, first)
    return screen.index(tuple(train)), screen.index(tuple(validation))


def finite_changes(screen: Screen, rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows genes"]:
    """The effects of some perturbations of the screen, in float64, refused where they are not finite."""
    changes = screen.mean[rows].astype(np.float64) - screen.control_mean.astype(np.float64)[None, :]
    finite = np.isfinite(changes).all(1)
    if not finite.all():
        bad = [screen.perturbations[row] for row in rows[~finite]]
        raise InputError(f"train: effects of {', '.join(bad[:5])} are not finite; omit these perturbations")
    return changes


@dataclass(frozen=True, eq=False)
class Answers(Fitted):
    """A `Fitted` made of functions, for predictors that need no class of their own.

    `predict` gives effects, `embed` embeddings and `spread` standard deviations, where there are any; `learnt` are the
    arrays that these are computed from.
    """

    name: str
    predict: Callable[[Sequence[str]], np.ndarray]
    embed: Callable[[Sequence[str]], np.ndarray] | None = None
    spread: Callable[[Sequence[str]], np.ndarray] | None = None
    report: Mapping[str, float | int | str] = field(default_factory=dict)
    learnt: Mapping[str, np.ndarray] = field(default_factory=dict)

    def effects(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations genes"]:
        """See `Fitted.effects`."""
        return self.predict(refuse_control(perturbations))

    def embeddings(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations features"]:
        """See `Fitted.embeddings`."""
        return super().embeddings(perturbations) if self.embed is None else self.embed(refuse_control(perturbations))

    def features(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations features"]:
        """The embeddings: these predictors' readouts are linear in them, or in how similar they are."""
        return self.embeddings(perturbations)

    def parameters(self) -> dict[str, np.ndarray]:
        """What was learnt, by name."""
        return dict(self.learnt)

    def uncertainties(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations genes"]:
        """See `Fitted.uncertainties`."""
        return (
            super().uncertainties(perturbations) if self.spread is None else self.spread(refuse_control(perturbations))
        )


def refuse_control(perturbations: Sequence[str]) -> Sequence[str]:
    """The same perturbations; InputError for what has no gene."""
    for name in perturbations:
        identity(name)
    return perturbations


class ClosedForm(Options):
    """A predictor whose answers follow from the training perturbations alone, without chance."""

    def fit(
        self,
        screen: Screen,
        graph: KnowledgeGraph | Kernel,
        train: Sequence[str],
        validation: Sequence[str],
        key: Key = 0,  # noqa: ARG002
    ) -> Answers:
        """See `Predictor.fit`; the key is not read, and outcomes of the validation set are not used."""
        rows, _ = training_rows(screen, train, validation)
        return self._answers(screen, rows, graph)

    def _answers(self, screen: Screen, rows: Int[np.ndarray, " train"], source: KnowledgeGraph | Kernel) -> Answers:
        raise NotImplementedError


def rows_of(kernel: Kernel, perturbations: Sequence[str]) -> Rows:
    """Perturbations as rows of a kernel; InputError for genes that it does not have."""
    return kernel.rows(nodes_of(kernel.names, perturbations).members)
