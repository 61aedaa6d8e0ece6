"""Which genes to perturb, before any experiment is run, so that a graph model of gene perturbation learns the most."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from perturb_jax.graph.annotation import Annotation, human_annotation
from perturb_jax.graph.annotation_files import read_annotation
from perturb_jax.graph.edge_list import edge_table, graph_from_edges
from perturb_jax.graph.go import load_go_graph
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.graph.reach import reach
from perturb_jax.graph.variants import GraphBatch, edge_dropout, graph_batch
from perturb_jax.screen.noise import relative_noise
from perturb_jax.screen.screen import Screen
from perturb_jax.selection.device.score import Scores, score
from perturb_jax.selection.graphdesign import graphdesign
from perturb_jax.selection.graphreach import graphreach
from perturb_jax.selection.maxspec import maxspec
from perturb_jax.selection.pick_counts import PickCounts, pick_counts
from perturb_jax.selection.selection import Selection
from perturb_jax.selection.spectral import spectral_norm
from perturb_jax.support.errors import InputError

if TYPE_CHECKING:
    from perturb_jax.predictors.gears_flax.predictor import GearsFlax as gears_flax
    from perturb_jax.predictors.gears_reference.predictor import GearsReference as gears_reference
    from perturb_jax.predictors.graph_gp import GraphGP as graph_gp
    from perturb_jax.predictors.ridge import GraphRidge as ridge
    from perturb_jax.screen.pseudobulk import read_pseudobulk
    from perturb_jax.screen.read import read_screen
    from perturb_jax.screen.simulate import simulate_screen
    from perturb_jax.screen.simulation_model import SimulationModel
    from perturb_jax.screen.store import load_screen, save_screen

__version__ = "0.1.0"

_LOADED_WHEN_USED = {
    "gears_flax": ("perturb_jax.predictors.gears_flax.predictor", "GearsFlax"),
    "gears_reference": ("perturb_jax.predictors.gears_reference.predictor", "GearsReference"),
    "graph_gp": ("perturb_jax.predictors.graph_gp", "GraphGP"),
    "load_screen": ("perturb_jax.screen.store", "load_screen"),
    "read_pseudobulk": ("perturb_jax.screen.pseudobulk", "read_pseudobulk"),
    "read_screen": ("perturb_jax.screen.read", "read_screen"),
    "ridge": ("perturb_jax.predictors.ridge", "GraphRidge"),
    "save_screen": ("perturb_jax.screen.store", "save_screen"),
    "simulate_screen": ("perturb_jax.screen.simulate", "simulate_screen"),
    "SimulationModel": ("perturb_jax.screen.simulation_model", "SimulationModel"),
}  # what they need takes longer to load than everything else


def __getattr__(name: str) -> Any:
    if name not in _LOADED_WHEN_USED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LOADED_WHEN_USED[name]
    return getattr(import_module(module), attribute)


__all__ = [
    "Annotation",
    "GraphBatch",
    "InputError",
    "KnowledgeGraph",
    "PickCounts",
    "Scores",
    "Screen",
    "Selection",
    "SimulationModel",
    "edge_dropout",
    "edge_table",
    "gears_flax",
    "gears_reference",
    "graph_batch",
    "graph_from_edges",
    "graph_gp",
    "graphdesign",
    "graphreach",
    "human_annotation",
    "load_go_graph",
    "load_screen",
    "maxspec",
    "pick_counts",
    "reach",
    "read_annotation",
    "read_pseudobulk",
    "read_screen",
    "relative_noise",
    "ridge",
    "save_screen",
    "score",
    "simulate_screen",
    "spectral_norm",
]
