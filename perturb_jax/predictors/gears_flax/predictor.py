"""GEARS in Flax, trained on moments: a predictor whose cost does not grow with the number of cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.predictors.gears_flax import batches, training
from perturb_jax.predictors.gears_flax.checkpoint import check_variables, from_torch, to_torch
from perturb_jax.predictors.gears_flax.model import Gears, Perturbed, Rows, affine, within_unit_norm
from perturb_jax.predictors.predictor import Fitted, Key, finite_changes, refuse_control, seed_of, training_rows
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import Options, option

_predict = jax.jit(jax.vmap(training.predict, in_axes=(None, 0, None, None)), static_argnums=0)


class Task(NamedTuple):
    """One model to train, for `GearsFlax.fit_many`: what on, as for `GearsFlax.fit`, and by which key."""

    train: Sequence[str]
    validation: Sequence[str]
    key: Key


@dataclass(frozen=True)
class GearsFlax(Options):
    """GEARS (Roohani et al., Nature Biotechnology 2024), trained on the moments of a screen.

    The model is cell-gears' (`flax.model.Gears`). Its loss, the mean fourth power of the error, is a polynomial in the
    effect with four moments as coefficients (`moments_loss`), so that a step costs the same however many cells a
    perturbation has, and is free of the noise of drawing cells and their control partners.

    Deviations from cell-gears, apart from the loss's exact mean instead of samples:

    - co-expression reaches every row of a batch, not the first alone (`first_row_only` restores that), and comes from
      control cells (`Screen.coexpression`);
    - a batch is of distinct perturbations and control, weighted as cells are in the reference's batches;
    - the rate falls as a cosine over the steps, instead of halving every epoch; the weights with the least validation
      error are kept, searched every `evaluate_every` steps instead of every epoch.

    Complexity: per step O(batch_size x genes x hidden_size^2), forward and backward.
    Memory: about 4 bytes x (batch_size + 1) x genes x 14 hidden_size for a step, times the models trained at once, and
    (17 genes + 4 nodes) bytes per perturbation.

    Raises:
        InputError: numbers out of range.

    Examples:
        >>> GearsFlax(steps=100).name
        'GEARS Flax'
    """

    steps: int = option(400, "Batches, at most.", at_least=1)
    patience: int = option(400, "Steps without a better validation error after which training ends.", at_least=1)
    evaluate_every: int = option(20, "Steps between evaluations.", at_least=1)
    learning_rate: float = option(5e-3, "Of Adam, at the start.", above=0)
    batch_size: int = option(
        32, "Perturbations of a batch, at least the 2 rows of batch normalisation; fewer where there are fewer.",
        at_least=2,
    )  # fmt: skip
    weight_decay: float = option(5e-4, "L2, a part of the gradient, as PyTorch's Adam has it.", at_least=0)
    hidden_size: int = option(64, "Width of all embeddings.", at_least=1)
    go_layers: int = option(1, "Graph convolutions over the knowledge graph.", at_least=1)
    coexpression_layers: int = option(1, "Graph convolutions over the co-expression graph.", at_least=1)
    uncertainty: bool = option(False, "Whether to predict log-variances too.")
    uncertainty_weight: float = option(1.0, "Of the part of the loss that log-variances scale.")
    ensemble: int = option(1, "Models from different weights and batches whose effects are averaged.", at_least=1)
    first_row_only: bool = option(
        False, "Whether co-expression reaches the first row of a batch only, as in cell-gears."
    )
    at_once: int = option(1, "Models whose steps are computed together (`jax.vmap`), if several.", at_least=1)
    checkpoint: Path | None = option(
        None,
        "A file to continue from and to keep up to date, numbered where models are trained one after the other.",
        compare=False,
    )
    progress: bool = option(False, "Whether to show a progress bar on standard error.", compare=False)
    name: str = "GEARS Flax"

    def fit(
        self, screen: Screen, graph: KnowledgeGraph, train: Sequence[str], validation: Sequence[str], key: Key = 0
    ) -> "FittedGearsFlax":
        """Train on the moments of the training perturbations and on control; see `Predictor.fit`.

        Without validation perturbations all steps are done and the last weights kept.

        Raises:
            InputError: as `Predictor.fit`; moments 2 to 4 that are not finite (a pseudobulk's are 0); a checkpoint of
                another training.
            FloatingPointError: training diverged.
        """
        return self.fit_many(screen, graph, [Task(train, validation, key)])[0]

    def fit_many(self, screen: Screen, graph: KnowledgeGraph, tasks: Sequence[Task]) -> list["FittedGearsFlax"]:
        """Train several: other training sets, other seeds. Each as `fit` would, `at_once` of them at a time."""
        if not tasks:
            return []
        rows = (training_rows(screen, task.train, task.validation) for task in tasks)
        sets = [(np.sort(train), np.sort(validation)) for train, validation in rows]  # whatever order they came in
        used = np.unique(np.concatenate([part for parts in sets for part in parts]))
        _check_moments(screen, used)
        model, graphs = self._model(screen, graph)
        conditions = batches.conditions_of(screen, batches.convolution_of(graph), used)
        plan = training.Plan(**{name: getattr(self, name) for name in training.Plan._fields})
        size = batches.padded_size(max(len(validation) for _, validation in sets))
        keys = training.keys_of([seed_of(task.key) for task in tasks], self.ensemble)
        longest = max(len(train) for train, _ in sets)
        models: list[tuple[batches.Member, batches.Held]] = []
        for train, validation in sets:
            member = batches.member_of(screen, used, train, self.batch_size, longest)
            models += [(member, batches.held_of(screen, used, validation, size))] * self.ensemble
        trained: list[training.Trained] = []
        for first in range(0, len(models), self.at_once):
            together = slice(first, first + self.at_once)
            members, held = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models[together])
            problem = training.Problem(model, plan, graphs, conditions, members, held, keys[together])
            file = self.checkpoint
            if file is not None and first > 0:
                file = file.with_name(f"{file.stem}-{first // self.at_once}{file.suffix}")
            trained += training.train_models(problem, file, self.progress)
        return [
            FittedGearsFlax(self, graph, model, graphs, trained[first : first + self.ensemble])
            for first in range(0, len(models), self.ensemble)
        ]

    def with_parameters(
        self, screen: Screen, graph: KnowledgeGraph, parameters: Mapping[str, np.ndarray]
    ) -> "FittedGearsFlax":
        """The model with weights that are given, by cell-gears' names, instead of trained ones.

        Args:
            screen: gives the measured genes and their co-expression.
            graph: the knowledge graph.
            parameters: what `Fitted.parameters()` of either GEARS returns; embeddings with a norm above 1 are
                shortened to 1, as PyTorch does before it reads them.

        Raises:
            InputError: names or shapes that are not those of a GEARS with these settings, readouts and graph;
                numbers that are not finite.
        """
        model, graphs = self._model(screen, graph)
        variables = from_torch(parameters)
        control = Perturbed(jnp.zeros((1, graph.num_nodes)), jnp.zeros(1))
        given = control, Rows(jnp.ones(1), 1.0), *graphs
        wanted: Any = jax.eval_shape(lambda key: model.init(key, *given, False), jax.random.key(0))
        check_variables(variables, wanted)
        weights = {"params": within_unit_norm(variables["params"]), "batch_stats": variables["batch_stats"]}
        none = np.zeros(0)
        untrained = training.FlaxHistory(none.astype(int), none, none, none, 0)
        return FittedGearsFlax(self, graph, model, graphs, [training.Trained(weights, untrained)])

    def _model(self, screen: Screen, graph: KnowledgeGraph) -> tuple[Gears, training.Graphs]:
        model = Gears(
            len(screen.readouts), graph.num_nodes, self.hidden_size, self.go_layers, self.coexpression_layers,
            self.uncertainty, self.first_row_only,
        )  # fmt: skip
        return model, training.Graphs(
            *[batches.edges_of(batches.convolution_of(one)) for one in (graph, screen.coexpression)]
        )


class FittedGearsFlax(Fitted):
    """Trained weights, and what they predict; `histories` are errors by step of each model, `history` the first's."""

    def __init__(
        self,
        config: GearsFlax,
        graph: KnowledgeGraph,
        model: Gears,
        graphs: training.Graphs,
        trained: list[training.Trained],
    ):
        self.config, self.graph, self.model, self.graphs, self.trained = config, graph, model, graphs, trained
        self.histories = tuple(model.history for model in trained)
        self.history = self.histories[0]
        self._weights = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[model.weights for model in trained])
        self._convolution = batches.convolution_of(graph)

    def effects(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations genes"]:
        """Predicted mean expression less the control mean; of several models their mean."""
        return self._of(perturbations, "effect").mean(0)

    def embeddings(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations features"]:
        """The knowledge-graph layers' output, summed over a combination's genes; of several models side by side."""
        return np.concatenate(list(self._of(perturbations, "embedding")), axis=1)

    def features(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations features"]:
        """The state of the cell that every gene's last readout reads; of several models side by side."""
        return np.concatenate(list(self._of(perturbations, "state")), axis=1)

    def uncertainties(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations genes"]:
        """Of several models the standard deviation of their effects; of one, exp(s / 2) from its log-variances s.

        Both order genes and perturbations; neither is calibrated. `moments_loss` says what s means.
        """
        if self.config.uncertainty:
            return np.exp(self._of(perturbations, "log_variance") / 2).mean(0)
        if self.config.ensemble > 1:
            return self._of(perturbations, "effect").std(0, ddof=1)
        raise InputError("GEARS Flax has no uncertainties: configure GearsFlax with uncertainty=True or ensemble=5")

    def layers(self, perturbations: Sequence[str]) -> dict[str, np.ndarray]:
        """What each layer gives for the rows of one batch, by the name of its module in cell-gears; "" is the effect.

        Of several models the first one's. Layers before a perturbation enters are the same in all rows and have one
        (with `first_row_only` two: the first row's, and any other's).
        """
        perturbed = batches.perturbed_rows(self._convolution, self.graph, perturbations)
        count = max(len(perturbations), 1)
        rows = Rows(jnp.full(len(perturbations), 1 / count), float(count))
        prediction, kept = self.model.apply(
            self.trained[0].weights, perturbed, rows, *self.graphs, False, capture_intermediates=True,
            mutable=["intermediates"],
        )  # fmt: skip
        outputs = {name: module["__call__"] for name, module in kept["intermediates"].items() if "__call__" in module}
        found = {}
        for name, calls in outputs.items():
            if name.startswith("layers_emb_pos_"):
                found["layers_emb_pos." + name.rpartition("_")[2]] = jnp.stack([affine(*call) for call in calls])
            elif not isinstance(calls[0], tuple):
                found[name] = calls[0]
        found |= {f"sim_layers.{self.config.go_layers - 1}": prediction.embedding, "": prediction.effect}
        return {name: np.asarray(output) for name, output in found.items()}

    def parameters(self) -> dict[str, np.ndarray]:
        """The weights that were kept, by cell-gears' names; of several models those of each, after its number."""
        each = [to_torch(model.weights) for model in self.trained]
        if len(each) == 1:
            return each[0]
        return {f"{number}.{name}": value for number, model in enumerate(each) for name, value in model.items()}

    def _of(self, perturbations: Sequence[str], part: str) -> np.ndarray:
        """A part of the predictions: models x perturbations x its size."""
        refuse_control(perturbations)
        size = self.config.hidden_size if part in ("embedding", "state") else self.model.num_genes
        parts = [np.zeros((self.config.ensemble, 0, size), np.float32)]
        for first in range(0, len(perturbations), batches.CHUNK):
            names = list(perturbations[first : first + batches.CHUNK])
            padding = names[:1] * (batches.CHUNK - len(names))
            padded = batches.perturbed_rows(self._convolution, self.graph, names + padding)
            prediction = _predict(self.model, self._weights, self.graphs, padded)
            parts.append(np.asarray(getattr(prediction, part))[:, : len(names)])
        return np.concatenate(parts, axis=1)


def _check_moments(screen: Screen, rows: np.ndarray) -> None:
    finite_changes(screen, rows)
    for what in ("variance", "third", "fourth"):
        finite = np.isfinite(getattr(screen.perturbed, what)[rows]).all(1)
        if not finite.all():
            name = screen.perturbations[rows[np.argmin(finite)]]
            raise InputError(f"train: the {what} of {name} is not finite; leave such perturbations out")
