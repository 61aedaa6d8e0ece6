"""Which genes to perturb, before any experiment is run, so that a graph model of gene perturbation learns the most."""

from perturb_jax.errors import InputError
from perturb_jax.graph.annotation import Annotation, human_annotation
from perturb_jax.graph.annotation_files import read_annotation
from perturb_jax.graph.edge_list import edge_table, graph_from_edges
from perturb_jax.graph.go import load_go_graph
from perturb_jax.graph.knowledge_graph import KnowledgeGraph
from perturb_jax.screen.noise import relative_noise
from perturb_jax.selection.graphdesign import graphdesign
from perturb_jax.selection.graphreach import graphreach
from perturb_jax.selection.maxspec import maxspec
from perturb_jax.selection.reach import reach
from perturb_jax.selection.selection import Selection
from perturb_jax.selection.spectral_norm import spectral_norm

__version__ = "0.1.0"

__all__ = [
    "Annotation",
    "InputError",
    "KnowledgeGraph",
    "Selection",
    "edge_table",
    "graph_from_edges",
    "graphdesign",
    "graphreach",
    "human_annotation",
    "load_go_graph",
    "maxspec",
    "reach",
    "read_annotation",
    "relative_noise",
    "spectral_norm",
]
