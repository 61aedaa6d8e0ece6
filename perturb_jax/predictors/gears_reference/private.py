"""cell-gears as a guest: imported without its side effects, trained by its own code with a few names rebound.

cell-gears 0.1.2 is never patched. Where one of its functions needs another helper than it imports, a private copy of
the function (the same code object, other globals) gets it, and nobody else sees the copy.
"""

import copy
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturb_jax.support.errors import InputError
from perturb_jax.support.extras import require

Metrics = Mapping[str, float]


def import_gears() -> types.ModuleType:
    """The module `gears.gears`, with what its import changes for everybody put back.

    The import silences every warning of the process, seeds torch's generators with 0, lowers scanpy's verbosity and
    undoes `torch.set_num_threads`.
    """
    require("gears_reference", "gears", "torch", "torch_geometric", "scanpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of third-party imports; the filters are back after this block
        try:
            import scanpy
            import torch
            import torch_geometric  # noqa: F401  (cell-gears needs it and does not declare it)

            verbosity, threads = scanpy.settings.verbosity, torch.get_num_threads()
            with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
                import gears.gears
                import gears.version
        except ModuleNotFoundError as error:
            require("gears_reference", str(error.name))
            raise
        scanpy.settings.verbosity = verbosity
        torch.set_num_threads(threads)
    if gears.version.__version__ != "0.1.2":
        raise InputError(
            f"gears_reference: expected cell-gears 0.1.2, got {gears.version.__version__}; "
            "install it with pip install cell-gears==0.1.2"
        )
    return gears.gears


def private_copy(function: types.FunctionType, **names: object) -> types.FunctionType:
    """The same function with some global names, or builtins, rebound for it alone."""
    names_of = {**function.__globals__, **names}
    parts = function.__name__, function.__defaults__, function.__closure__
    private = types.FunctionType(function.__code__, names_of, *parts)
    private.__kwdefaults__ = function.__kwdefaults__
    return private


@contextmanager
def torch_seed(seed: int) -> Iterator[None]:
    """Seeds torch's CPU generator, which draws the weights on every device, and puts its state back afterwards."""
    import torch

    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        yield


def default_device() -> str:
    """A GPU if torch sees one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def data_loaders(sets: Mapping[str, Any], batch_size: int, seed: int) -> dict[str, Any]:
    """The loaders as cell-gears makes them, each shuffling by a generator of its own; None for an empty validation."""
    import torch
    from torch_geometric.loader import DataLoader

    loaders: dict[str, Any] = dict.fromkeys(sets)
    for number, (name, data) in enumerate(sets.items()):
        if len(data):
            order = torch.Generator().manual_seed((seed + number) % 2**63)
            last = name == "train_loader"
            loaders[name] = DataLoader(data, batch_size, shuffle=True, drop_last=last, generator=order)
    return loaders


def train(
    model: Any,
    epochs: int,
    learning_rate: float,
    weight_decay: float,
    step: Callable[[Any], None],
    evaluated: Callable[[Metrics], None],
    message: Callable[[str], None],
) -> None:
    """Runs `GEARS.train` itself; `model.best_model` becomes the best epoch's model by validation error on DE genes.

    `step` is called after every batch with its loss, a scalar tensor without gradient, `evaluated` every epoch with the
    metrics of the training cells, then of the validation cells, `message` with what cell-gears would print.

    Rebound for this run alone:

    - `print_sys`, so that it is silent;
    - `set` in the losses, so that perturbations are summed in sorted order: the order of a set of strings, and with it
      the rounding of the loss, though not of its gradient, changes from process to process;
    - `torch.tensor` in the uncertainty loss, which adds in place to a leaf that requires a gradient: an error on CPU;
    - the losses and `compute_metrics` also report what they return;
    - `evaluate` keeps what it returns in one block of memory each;
    - without validation cells, `evaluate` and `compute_metrics` give NaN for them, and no epoch is the best.

    Raises:
        FloatingPointError: training diverged. (cell-gears would fail in a metric or return untrained weights.)
    """
    module = import_gears()

    def reporting(loss: types.FunctionType, **names: object) -> Callable[..., Any]:
        private = private_copy(loss, set=lambda values: sorted(set(values)), **names)

        def call(*args: Any, **options: Any) -> Any:
            value = private(*args, **options)
            step(value.detach())
            return value

        return call

    def evaluate(loader: Any, *rest: Any) -> dict[str, Any] | None:
        return None if loader is None else in_blocks(module.evaluate)(loader, *rest)

    def compute_metrics(results: dict[str, Any] | None) -> tuple[Metrics, Any]:
        if results is None:
            nothing = dict.fromkeys(("mse", "mse_de", "pearson", "pearson_de"), float("nan"))
            evaluated(nothing)
            return nothing, {}
        if not np.isfinite(results["pred"]).all():
            raise FloatingPointError(
                f"gears_reference: a prediction is NaN or infinite, training diverged at learning rate "
                f"{learning_rate:g}; lower it"
            )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "An input array is constant")  # a correlation cell-gears sets to 0
            warnings.filterwarnings("ignore", "An input array is nearly constant")
            metrics, by_perturbation = module.compute_metrics(results)
        evaluated(metrics)
        return metrics, by_perturbation

    run = private_copy(
        module.GEARS.train,
        print_sys=message,
        loss_fct=reporting(module.loss_fct),
        uncertainty_loss_fct=reporting(module.uncertainty_loss_fct, torch=_torch_with_added_tensor()),
        evaluate=evaluate,
        compute_metrics=compute_metrics,
    )
    run(model, epochs=epochs, lr=learning_rate, weight_decay=weight_decay)


class _Block:
    """Rows in one tensor, filled batch by batch."""

    def __init__(self, rows: int) -> None:
        self.rows, self.filled = rows, 0
        self.tensor: Any = None

    def keep(self, part: Any) -> Any:
        """A copy of some rows, inside the block."""
        import torch

        if self.tensor is None:
            self.tensor = torch.empty(self.rows, *part.shape[1:], dtype=part.dtype)
        rows = self.tensor[self.filled : self.filled + len(part)]
        self.filled += len(part)
        return rows.copy_(part.detach())


def in_blocks(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    """cell-gears' `evaluate`, or a function like it, with the same results. Memory: what it returns, twice.

    Its `evaluate` keeps the small tensors of every batch. They lie between large temporary ones, so that the C heap can
    give nothing back: more than 16 GB for 52,000 cells x 1,000 genes, whose predictions and truth are 0.4 GB. Here they
    are copied into one block each, and the batches' own are freed.
    """

    def call(loader: Any, network: Any, *rest: Any) -> Any:
        truth, *blocks = (_Block(len(loader.dataset)) for _ in range(3))

        def batches() -> Iterator[Any]:
            for batch in loader:
                batch.y = truth.keep(batch.y)
                yield batch

        def outputs(batch: Any) -> Any:
            output = network(batch)
            if isinstance(output, tuple):
                return tuple(block.keep(part) for block, part in zip(blocks, output, strict=True))
            return blocks[0].keep(output)

        outputs.eval, outputs.to = network.eval, network.to  # type: ignore[attr-defined]  # all that it needs besides
        return evaluate(batches(), outputs, *rest)

    return call


def _torch_with_added_tensor() -> types.SimpleNamespace:
    """The parts of torch that the uncertainty loss uses, with a `tensor` whose result may be added to in place."""
    import torch

    def tensor(value: float, requires_grad: bool) -> Any:
        return torch.tensor(value, requires_grad=requires_grad).clone()

    return types.SimpleNamespace(tensor=tensor, sum=torch.sum, exp=torch.exp, sign=torch.sign)


def predict(model: Any, perturbations: Sequence[Sequence[int]]) -> Iterator[tuple[np.ndarray, ...]]:
    """Of each perturbation, given as nodes, effect, log-variance [2, genes] and state [2, hidden].

    On a batch's first cell and on others. The state is the cross-gene layers' output, which the last readout reads.

    The model adds its effect to a cell's expression, which is 0 here. Without uncertainty the log-variances are 0.
    The knowledge-graph layers, which every forward pass of cell-gears computes for all nodes, are computed once.
    """
    import torch
    from torch_geometric.data import Batch, Data

    used = sorted({node for nodes in perturbations for node in nodes})
    row = {node: number for number, node in enumerate(used)}
    network = copy.copy(model.best_model.eval())  # shares everything but the table of modules
    table = torch.nn.Embedding.from_pretrained(go_embeddings(model.best_model)[used])
    network._modules = {**network._modules, "pert_emb": table, "sim_layers": torch.nn.ModuleList()}
    network.num_perts = len(used)
    states: list[Any] = []

    class Heard(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            states.append(model.best_model.cross_gene_state(x))
            return states[-1]

    network._modules["cross_gene_state"] = Heard()
    for nodes in perturbations:
        cell = Data(x=torch.zeros(model.num_genes, 1), pert_idx=[row[node] for node in nodes])
        with torch.no_grad():
            output = network(Batch.from_data_list([cell, cell]).to(model.device))
        effect, log_variance = output if model.config["uncertainty"] else (output, torch.zeros_like(output))
        yield effect.cpu().numpy(), log_variance.cpu().numpy(), states.pop().cpu().numpy()


def go_embeddings(network: Any) -> Any:
    """The knowledge-graph layers' output for every node, as `GEARS_Model.forward` has it: a tensor [nodes, hidden]."""
    import torch

    with torch.no_grad():
        hidden = network.pert_emb(torch.arange(network.num_perts, device=network.G_sim.device))
        for number, layer in enumerate(network.sim_layers):
            hidden = layer(hidden, network.G_sim, network.G_sim_weight)
            if number < network.num_layers - 1:
                hidden = hidden.relu()
    return hidden


def training_coexpression(
    data: Any, genes: Sequence[str], directory: Path, neighbors: int = 20, min_correlation: float = 0.4
) -> tuple[Any, Any]:
    """Edges and weights of cell-gears' own co-expression graph: from training cells of at most one perturbed gene.

    cell-gears caches the graph in a file whose name does not say which cells it came from: `directory` has to be new.
    Memory: the training cells and the correlations, dense, as in cell-gears.
    """
    module = import_gears()
    conditions = np.array([data.pert(item) for item in range(len(data))])
    table = types.SimpleNamespace(
        X=data.cells.expression[data.rows],
        obs=types.SimpleNamespace(condition=conditions),
        var=pd.DataFrame({"gene_name": list(genes)}),
    )
    (directory / "screen").mkdir()
    with np.errstate(invalid="ignore", divide="ignore"):  # genes that do not vary; cell-gears sets theirs to 0
        edges = module.get_similarity_network(
            network_type="co-express",
            adata=table,
            threshold=min_correlation,
            k=neighbors,
            data_path=str(directory),
            data_name="screen",
            split="custom",
            seed=0,
            train_gene_set_size=0,
            set2conditions={"train": sorted(set(conditions))},
        )
    network = module.GeneSimNetwork(edges, list(genes), {gene: column for column, gene in enumerate(genes)})
    return network.edge_index, network.edge_weight
