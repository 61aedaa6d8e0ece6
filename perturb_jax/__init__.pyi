"""The public names, each with the module that defines it; `__init__.py` loads them by this list when they are used."""

from .analysis.figures import (
    draw_areas as draw_areas,
    draw_differences as draw_differences,
    draw_learning as draw_learning,
    draw_stability as draw_stability,
)
from .analysis.results import Results as Results, read_results as read_results
from .analysis.summary import Summary as Summary, summarise as summarise
from .analysis.tables import main_table as main_table, read_summary as read_summary
from .evaluation.metrics import (
    METRICS as METRICS,
    Metric as Metric,
    evaluate as evaluate,
    register_metric as register_metric,
)
from .evaluation.trial import Trial as Trial, fit_and_measure as fit_and_measure
from .experiment.run import run_experiment as run_experiment
from .genes.perturbations import Perturbations as Perturbations, parse_perturbations as parse_perturbations
from .graph.annotation import Annotation as Annotation, human_annotation as human_annotation
from .graph.annotation_files import read_annotation as read_annotation
from .graph.choice import GraphChoice as GraphChoice
from .graph.edge_list import edge_table as edge_table, graph_from_edges as graph_from_edges
from .graph.go import load_go_graph as load_go_graph
from .graph.knowledge_graph import (
    GraphBatch as GraphBatch,
    KnowledgeGraph as KnowledgeGraph,
    edge_dropout as edge_dropout,
    graph_batch as graph_batch,
)
from .graph.reach import reach as reach
from .kernel.graph import GraphKernel as GraphKernel
from .kernel.kernel import Kernel as Kernel
from .kernel.sums import SumKernel as SumKernel
from .kernel.tables import DenseKernel as DenseKernel, FeatureKernel as FeatureKernel
from .plan.plan import Plan as Plan, Request as Request, make_plan as make_plan
from .predictors.baselines import (
    BilinearRidge as BilinearRidge,
    ControlMean as ControlMean,
    GraphRidge as GraphRidge,
    NearestNeighbours as NearestNeighbours,
    TrainingMean as TrainingMean,
)
from .predictors.gears_flax.moments_loss import fourth_power as fourth_power, pair_moments as pair_moments
from .predictors.gears_flax.predictor import GearsFlax as GearsFlax
from .predictors.gears_reference.predictor import GearsReference as GearsReference
from .predictors.graph_gp import GraphGP as GraphGP
from .predictors.predictor import Fitted as Fitted, Predictor as Predictor
from .predictors.registry import (
    PREDICTORS as PREDICTORS,
    make_predictor as make_predictor,
    register_predictor as register_predictor,
)
from .predictors.saved import load_fitted as load_fitted
from .screen.cells import read_cells as read_cells
from .screen.pseudobulk import read_pseudobulk as read_pseudobulk
from .screen.read import read_screen as read_screen
from .screen.reading import Reading as Reading, open_screen as open_screen
from .screen.screen import Screen as Screen, relative_noise as relative_noise
from .screen.simulate import simulate_screen as simulate_screen
from .screen.simulation_model import SimulationModel as SimulationModel
from .screen.split import (
    Split as Split,
    choose_test as choose_test,
    read_split as read_split,
    split_selected as split_selected,
)
from .screen.store import load_screen as load_screen, save_screen as save_screen
from .selection.device.score import Scores as Scores, score as score
from .selection.graphdesign import graphdesign as graphdesign
from .selection.graphreach import (
    PickCounts as PickCounts,
    graphreach as graphreach,
    pick_counts as pick_counts,
)
from .selection.maxspec import maxspec as maxspec
from .selection.selection import SearchInfo as SearchInfo, Selection as Selection
from .selection.spectral import spectral_norm as spectral_norm
from .strategies.acs_fw import ACSFW as ACSFW
from .strategies.baselines import KCenter as KCenter, Random as Random, TopDegree as TopDegree
from .strategies.choose import choose as choose
from .strategies.graphdesign import GraphDesign as GraphDesign
from .strategies.graphreach import GraphReach as GraphReach
from .strategies.maxspec import MaxSpec as MaxSpec
from .strategies.registry import (
    STRATEGIES as STRATEGIES,
    Hybrid as Hybrid,
    make_strategy as make_strategy,
    register_strategy as register_strategy,
)
from .strategies.strategy import Ask as Ask, Strategy as Strategy
from .strategies.typiclust import TypiClust as TypiClust
from .strategies.view import Uncertainty as Uncertainty, View as View
from .support.errors import InputError as InputError
from .support.options import Options as Options, option as option

__version__: str
