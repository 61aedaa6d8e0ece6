"""The reference: cell-gears 0.1.2, its own model trained by its own code, as a predictor."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from perturb_jax.genes.perturbations import nodes_of
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.predictors.gears_reference import data as gears_data, private as gears_private
from perturb_jax.predictors.gears_reference.data import check_cells
from perturb_jax.predictors.predictor import Fitted, Key, seed_of, training_rows
from perturb_jax.screen.cells import CellReader, read_cells
from perturb_jax.screen.screen import Screen
from perturb_jax.support.errors import InputError
from perturb_jax.support.options import Options, option
from perturb_jax.support.progress import progress_bar

PREDICTED_CELLS = 300
"""Control cells that `GEARS.predict` averages over, one batch."""


class GearsHistory(NamedTuple):
    """What cell-gears measures while it trains, one value per epoch; validation is NaN where there is none.

    Attributes:
        loss: mean training loss of the epoch's batches, while the weights change.
        train_mse: mean over training perturbations (and control) of the squared error of mean expression.
        train_mse_de: the same over perturbations and their differentially expressed genes.
        validation_mse: as `train_mse`, of the validation perturbations.
        validation_mse_de: as `train_mse_de`; the epoch with the least is kept.
        best_epoch: the epoch whose weights were kept, from 0: the last one where there is no validation.
        seconds: since training began, when the epoch's errors were known.
    """

    loss: Float[np.ndarray, " epochs"]
    train_mse: Float[np.ndarray, " epochs"]
    train_mse_de: Float[np.ndarray, " epochs"]
    validation_mse: Float[np.ndarray, " epochs"]
    validation_mse_de: Float[np.ndarray, " epochs"]
    best_epoch: int
    seconds: Float[np.ndarray, " epochs"]


@dataclass(frozen=True)
class GearsReference(Options):
    """GEARS (Roohani et al., Nature Biotechnology 2024) as published in cell-gears 0.1.2, for comparison.

    Its defaults. Model, losses, optimiser and training loop are cell-gears' own; data and graphs are handed to it. Kept
    from it: in a batch the co-expression layer reaches the first cell only, so that the effect on the first of the 300
    cells that `GEARS.predict` averages over differs from the others'; the incomplete last batch is dropped.

    Deviations from cell-gears:

    - its co-expression graph comes from the training cells of single perturbations and of control; here it comes from
      control cells (`Screen.coexpression`), so that it does not depend on what was selected. `coexpression="training"`
      restores cell-gears' own;
    - the GO graph is the given graph, whichever genes it has;
    - differentially expressed and non-zero genes are the screen's;
    - everything random (pairing with control cells, weights, order of cells) follows from the key: on the CPU the same
      key and number of threads give the same numbers; on a GPU sums may be rounded in another order;
    - an effect is what `GEARS.predict` gives less the control mean, without the sampling noise of the 300 control cells
      that it draws.

    Complexity: per batch O(batch_size x genes x hidden_size + edges of both graphs x hidden_size), forward and backward
    once and forward once more for the epoch's errors. The convolution over the knowledge graph is over all of it in
    every batch: with the genome's graph it is most of the time, so give a graph of the genes that matter. Memory: the
    cells, sparse.

    Raises:
        InputError: numbers out of range.

    Examples:
        >>> GearsReference(epochs=2).name
        'GEARS reference'
    """

    epochs: int = option(20, "Passes over the training cells.", at_least=1)
    batch_size: int = option(
        32, "Cells of a batch, at least the 2 of batch normalisation; at most the training and control cells together.",
        at_least=2,
    )  # fmt: skip
    learning_rate: float = option(1e-3, "Of Adam; halved after every epoch.", above=0)
    weight_decay: float = option(5e-4, "Of Adam.")
    hidden_size: int = option(64, "Width of all embeddings.", at_least=1)
    go_layers: int = option(1, "Graph convolutions over the knowledge graph.", at_least=1)
    coexpression_layers: int = option(1, "Graph convolutions over the co-expression graph.", at_least=1)
    decoder_hidden_size: int = option(16, "Passed on; cell-gears never uses it.", at_least=1)
    direction_weight: float = option(0.1, "Of the loss term on signs, which has no gradient.")
    uncertainty: bool = option(False, "Whether to predict log-variances too.")
    uncertainty_weight: float = option(1.0, "Of the part of the loss that log-variances scale.")
    coexpression: Literal["control", "training"] = option(
        "control", "The co-expression graph: the screen's, of control cells, or cell-gears' own, of training cells."
    )
    device: str | None = option(None, '"cpu", "cuda", "cuda:1".', shown="a GPU if there is one")
    progress: bool = option(
        False, "Whether to show a progress bar and cell-gears' messages on standard error.", compare=False
    )
    cells: CellReader = field(default=read_cells, repr=False, compare=False)
    """How to read the cells of a screen."""
    name: str = "GEARS reference"
    reads_cells: ClassVar[bool] = True

    def fit(
        self, screen: Screen, graph: KnowledgeGraph, train: Sequence[str], validation: Sequence[str], key: Key = 0
    ) -> "FittedGears":
        """Train on the cells of the training perturbations and on all control cells; see `Predictor.fit`.

        Without validation perturbations the last epoch's weights are kept, otherwise those with the least error on the
        validation perturbations' differentially expressed genes.

        Raises:
            InputError: as `Predictor.fit`; the screen has no cells, or fewer than a batch; cell-gears, torch or
                torch_geometric is missing.
            FloatingPointError: training diverged.
        """
        rows = training_rows(screen, train, validation)
        train, validation = ([screen.perturbations[row] for row in part] for part in rows)
        used = [*train, *validation]
        nodes = dict(zip(used, _nodes(graph, used), strict=True))
        seeds = np.random.SeedSequence(seed_of(key)).generate_state(4, np.uint64)
        weights_seed, order_seed, *pairing = seeds.tolist()
        module = gears_private.import_gears()
        cells = self.cells(screen, used)
        check_cells(cells, screen, used)
        sets = {
            "train_loader": gears_data.cell_graphs(screen, cells, train, nodes, pairing[0], control=True),
            "val_loader": gears_data.cell_graphs(screen, cells, validation, nodes, pairing[1], control=False),
        }
        if len(sets["train_loader"]) < self.batch_size:
            raise InputError(
                f"batch_size: {self.batch_size} is more than the {len(sets['train_loader'])} training and control "
                "cells, so there would be no batch; choose a smaller one"
            )
        loaders = gears_private.data_loaders(sets, self.batch_size, order_seed)
        with tempfile.TemporaryDirectory(prefix="gears-") as directory, gears_private.torch_seed(weights_seed):
            data = gears_data.stand_in(screen, graph, used, loaders, Path(directory))
            model = module.GEARS(data, device=self.device or gears_private.default_device())
            if self.coexpression == "control":
                edges = gears_data.edge_tensors(screen.coexpression)
            else:
                edges = gears_private.training_coexpression(sets["train_loader"], screen.readouts, Path(directory))
            go, go_weight = gears_data.edge_tensors(graph)
            model.model_initialize(
                hidden_size=self.hidden_size,
                num_go_gnn_layers=self.go_layers,
                num_gene_gnn_layers=self.coexpression_layers,
                decoder_hidden_size=self.decoder_hidden_size,
                uncertainty=self.uncertainty,
                uncertainty_reg=self.uncertainty_weight,
                direction_lambda=self.direction_weight,
                G_go=go,
                G_go_weight=go_weight,
                G_coexpress=edges[0],
                G_coexpress_weight=edges[1],
            )
            history = self._train(model, len(loaders["train_loader"]), bool(validation))
        return FittedGears(self, graph, model, history)

    def _train(self, model: Any, steps: int, validated: bool) -> GearsHistory:
        losses: list[Any] = []
        metrics: list[gears_private.Metrics] = []
        seconds: list[float] = []
        start = time.perf_counter()
        with progress_bar(self.progress) as bar:
            bar.begin("cell-gears", self.epochs * steps)

            def step(loss: Any) -> None:
                losses.append(loss)
                bar.advance()

            def evaluated(errors: gears_private.Metrics) -> None:
                metrics.append(errors)
                seconds.append(time.perf_counter() - start)

            settings = self.epochs, self.learning_rate, self.weight_decay
            gears_private.train(model, *settings, step, evaluated, bar.message)
        if not validated:
            model.best_model = model.model
        errors = np.array([[row["mse"], row["mse_de"]] for row in metrics]).reshape(self.epochs, 4).T
        loss = np.array([float(value) for value in losses]).reshape(self.epochs, steps).mean(axis=1)
        best = int(errors[-1].argmin()) if validated else self.epochs - 1
        return GearsHistory(loss, errors[0], errors[1], errors[2], errors[3], best, np.array(seconds[1::2]))


class FittedGears(Fitted):
    """Trained weights of cell-gears, and what they predict; `model` is the `gears.GEARS` object, for all else."""

    def __init__(self, config: GearsReference, graph: KnowledgeGraph, model: Any, history: GearsHistory):
        self.config, self.graph, self.model, self.history = config, graph, model, history

    def effects(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations genes"]:
        """Predicted mean expression less the control mean: the mean over the cells of a batch of `GEARS.predict`."""
        return self._predict(perturbations)[0]

    def embeddings(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations features"]:
        """The knowledge-graph layers' output for the perturbed gene, summed over the genes of a combination."""
        every = gears_private.go_embeddings(self.model.best_model).cpu().numpy()
        rows = _nodes(self.graph, perturbations)
        return np.array([every[nodes].sum(axis=0) for nodes in rows]).reshape(len(rows), every.shape[1])

    def uncertainties(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations genes"]:
        """exp(s / 2) from cell-gears' log-variances s: an ordering, not a calibrated standard deviation.

        The loss of cell-gears weights errors by 1 + exp(-s) and has no term that keeps s from growing.
        """
        if not self.config.uncertainty:
            raise InputError("uncertainties: fitted without; configure GearsReference with uncertainty=True")
        return np.exp(self._predict(perturbations)[1] / 2)

    def features(self, perturbations: Sequence[str]) -> Float[np.ndarray, "perturbations features"]:
        """The cross-gene layers' output: the state of the cell that every gene's last readout reads."""
        return self._predict(perturbations)[2]

    def parameters(self) -> dict[str, np.ndarray]:
        """The weights that were kept, by cell-gears' names."""
        weights = self.model.best_model.state_dict()
        return {name: tensor.detach().cpu().numpy() for name, tensor in weights.items()}

    def save(self, path: str | Path) -> None:
        """Refuse: cell-gears has no way to make its model again without pickle."""
        raise InputError(
            f"{path}: {self.config.name} cannot be stored, cell-gears' model would have to be pickled; keep its "
            "parameters(), or use GearsFlax"
        )

    def _predict(self, perturbations: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = _nodes(self.graph, perturbations)
        # The first cell of a batch alone gets messages over the co-expression graph.
        weight = np.array([1.0, PREDICTED_CELLS - 1.0]) / PREDICTED_CELLS
        effects, log_variances = np.zeros((2, len(rows), self.model.num_genes))
        states = np.zeros((len(rows), self.config.hidden_size))
        for row, (effect, log_variance, state) in enumerate(gears_private.predict(self.model, rows)):
            effects[row], log_variances[row], states[row] = weight @ effect, weight @ log_variance, weight @ state
        return effects, log_variances, states


def _nodes(graph: KnowledgeGraph, perturbations: Sequence[str]) -> list[list[int]]:
    """The numbers of each perturbation's genes; InputError for genes that are not in the graph."""
    return [[node for node in row if node >= 0] for row in nodes_of(graph.names, perturbations).members.tolist()]
