"""Simulated screens do what their model says."""

import hashlib
from pathlib import Path

import anndata
import numpy as np
import pytest
from scipy import stats

import perturb_jax as pj
from perturb_jax.genes.perturbations import parse_perturbations
from perturb_jax.kernel.graph import GraphKernel
from perturb_jax.screen.kernels import negative_binomial
from perturb_jax.screen.read import read_screen
from perturb_jax.screen.screen import Screen
from perturb_jax.screen.simulate import simulate_screen, simulate_truth
from perturb_jax.screen.simulation_model import MomentTable, SimulationModel, draw_strengths, fitted_cells


@pytest.fixture(scope="module")
def graph() -> pj.KnowledgeGraph:
    """The GO graph of 1,500 genes that are far from random: the first in alphabetical order."""
    return pj.load_go_graph(list(pj.human_annotation().genes)[:1500], unknown="drop")


def kernel_slope(graph: pj.KnowledgeGraph, homophily: float, seed: int) -> float:
    """Regression of the cosine of two perturbations' effects on the kernel between them."""
    names, model = [f"measured{i}" for i in range(400)], SimulationModel(programmes=100, responsive=1.0)
    truth = simulate_truth(graph, 400, names, homophily=homophily, seed=seed, model=model)
    effects = truth.changes / np.linalg.norm(truth.changes, axis=1, keepdims=True)
    kernel = GraphKernel(graph)
    similarity = kernel.gram(kernel.rows(parse_perturbations(graph.names, truth.perturbations).members))
    pairs = np.triu_indices(len(effects), 1)
    return float(np.polyfit(similarity[pairs], (effects @ effects.T)[pairs], 1)[0])


@pytest.mark.parametrize("homophily", [0.0, 0.3, 0.7, 1.0])
def test_effects_are_as_smooth_over_the_graph_as_homophily_says(graph: pj.KnowledgeGraph, homophily: float) -> None:
    slopes = [kernel_slope(graph, homophily, seed) for seed in range(3)]
    assert np.mean(slopes) == pytest.approx(homophily, abs=0.06 + 0.08 * homophily)  # cut changes lower it a little


@pytest.mark.parametrize("dispersion", [0.02, 0.5, 40.0])
@pytest.mark.parametrize("mean", [0.01, 1.5, 60.0])
def test_counts_are_negative_binomial_whatever_the_cell_states(mean: float, dispersion: float) -> None:
    cells, rng = 40_000, np.random.default_rng(0)
    own, states = rng.standard_normal((cells, 1), np.float32), rng.standard_normal((cells, 1))
    rate, size, library = np.array([mean / 1000]), np.array([1 / dispersion]), np.full(cells, 1000.0)
    data, _, _ = negative_binomial(rate, size, library, states, np.zeros(1, np.int64), 0.5, own, 1000.0)
    counts = np.concatenate([np.round(np.expm1(data)), np.zeros(cells - len(data))])
    truth = stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mean))
    assert truth.var() == pytest.approx(mean + dispersion * mean**2)
    at = np.unique(truth.ppf([0.2, 0.5, 0.8, 0.95, 0.999]))
    assert np.abs((counts[:, None] <= at).mean(0) - truth.cdf(at)).max() < 4 * 0.5 / np.sqrt(cells)
    assert counts.mean() == pytest.approx(mean, abs=5 * truth.std() / np.sqrt(cells))


@pytest.fixture(scope="module")
def table() -> MomentTable:
    """One that spans the rates and dispersions below."""
    return MomentTable(np.array([1e-7, 3e-3]), np.array([0.02, 6.0]), 8000.0, 0.4)


@pytest.mark.parametrize("dispersion", [0.02, 0.3, 5.0])
@pytest.mark.parametrize("rate", [1e-7, 3e-5, 2e-3])
def test_expected_moments_are_those_of_the_distribution(table: MomentTable, rate: float, dispersion: float) -> None:
    """The oracle sums every count and integrates library sizes by a fine trapezoidal rule."""
    offsets = np.linspace(-6, 6, 121)
    libraries, weights = 8000 * np.exp(0.4 * offsets), stats.norm.pdf(offsets)
    counts = np.arange(6000)
    mean = (libraries * rate)[:, None]
    mass = stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mean)).pmf(counts) * (weights / weights.sum())[:, None]
    values = np.log1p(1e4 * counts / libraries[:, None])
    first = (mass * values).sum()
    expected = [first, *((mass * (values - first) ** k).sum() for k in (2, 3, 4)), mass[:, 0].sum()]
    found = table(np.array([rate]), np.array([dispersion]))[:, 0]
    np.testing.assert_allclose(found[:2], expected[:2], rtol=2e-4)
    np.testing.assert_allclose(found[2:], expected[2:], rtol=2e-3, atol=2e-3 * expected[1])


def test_cells_have_the_expected_moments(graph: pj.KnowledgeGraph) -> None:
    cells = simulate_screen(graph, 6, 150, 3000, seed=2, control_cells=4000)
    expected = simulate_screen(graph, 6, 150, 3000, seed=2, control_cells=4000, moments="expected")
    assert cells.perturbations == expected.perturbations and cells.readouts == expected.readouts
    error = np.sqrt(expected.perturbed.variance / expected.cell_counts[:, None])
    enough = 3000 * expected.mean > 30  # a mean over rare cells is not normally distributed
    score = ((cells.mean - expected.mean) / error)[enough]
    assert np.abs(score).max() < 5 and score.std() == pytest.approx(1, abs=0.15)
    error = np.sqrt((expected.perturbed.fourth - expected.perturbed.variance**2) / expected.cell_counts[:, None])
    score = ((cells.perturbed.variance - expected.perturbed.variance) / error)[enough]
    assert np.abs(score).max() < 6 and score.std() == pytest.approx(1, abs=0.2)
    chance = 3000 * expected.mean < 5  # whether any cell expresses a gene of the background
    assert (cells.nonzero == expected.nonzero)[~chance].mean() > 0.98
    assert cells.nonzero[chance].mean() == pytest.approx(expected.nonzero[chance].mean(), abs=0.1)


def digest(screen: Screen) -> str:
    """A checksum of what a screen holds, to six decimal places."""
    total = hashlib.sha256("\n".join([*screen.perturbations, *screen.readouts]).encode())
    for whole in (screen.cell_counts, screen.nonzero, screen.de_genes):
        total.update(np.ascontiguousarray(whole).astype("<i8").tobytes())
    for values in (*screen.perturbed[1:], *screen.control[1:3]):
        total.update((np.round(values, 6) + 0.0).astype("<f8").tobytes())
    return total.hexdigest()


@pytest.mark.parametrize(
    ("moments", "checksum"),
    [
        ("cells", "5a5621e0580361cdfdb773360240faad488c1ff087a5716bc1ae3dde82dda6be"),
        ("expected", "62d9f3c56a38584fbc921d41d380c5368974457d71bfcd6d27d1a1cf93f0e9c8"),
    ],
)
def test_screens_without_background_stay_the_same(graph: pj.KnowledgeGraph, moments: str, checksum: str) -> None:
    """They are what was drawn before there were background genes: experiments rest on such screens."""
    model = SimulationModel(responsive=1.0)
    screen = simulate_screen(graph, 12, 60, 30, seed=5, moments=moments, model=model)  # type: ignore[arg-type]
    assert digest(screen) == checksum


def test_background_genes_are_silent_and_the_others_as_without_them(graph: pj.KnowledgeGraph) -> None:
    perturbed = list(graph.genes[:30])
    names = [*perturbed, *(f"measured{i}" for i in range(170))]
    truth = simulate_truth(graph, perturbed, names, seed=1)
    alone = simulate_truth(graph, perturbed, names, seed=1, model=SimulationModel(responsive=1.0))
    fitted = fitted_cells("norman19")
    assert fitted.responsive == 95 / 500
    silent = truth.genes.rate != alone.genes.rate
    assert silent.sum() == round(0.81 * 200) and not silent[:30].any()
    assert (truth.genes.response[silent] == 0).all() and truth.genes.rate[silent].max() < 2 * fitted.background.max()
    own = np.array(truth.perturbations)[:, None] == np.array(names)
    assert (truth.changes[:, silent][~own[:, silent]] == 0).all()
    np.testing.assert_allclose(truth.changes[:, ~silent], alone.changes[:, ~silent], rtol=1e-12)
    every = simulate_truth(graph, perturbed, perturbed, model=SimulationModel(responsive=0.0))
    assert (every.genes.rate > 5e-6).all()  # perturbed genes never are background


def test_changes_are_of_the_size_of_those_in_norman19(genome: pj.KnowledgeGraph) -> None:
    """Of Norman et al. 2019: 0.137 over the top 20 DE genes of 500, 0.0056 over all; a seed varies sevenfold."""
    names, sizes = [f"measured{i}" for i in range(500)], []
    for seed in range(6):
        screen = simulate_screen(genome, 33, names, 100, control_cells=100, seed=seed)
        squares = screen.effects**2
        top = np.take_along_axis(squares, screen.de_genes, axis=1)
        silent = (screen.control_mean == 0) & ~screen.nonzero.any(0)
        sizes.append((top.mean(), squares.mean(), silent.sum()))
    top_mean, every_mean, silent_mean = np.mean(sizes, axis=0)
    assert top_mean == pytest.approx(0.137, rel=0.4)
    assert every_mean == pytest.approx(0.0056, rel=0.4)
    assert silent_mean == pytest.approx(250, rel=0.2)


def test_the_target_is_knocked_down_and_leads_the_de_genes(graph: pj.KnowledgeGraph) -> None:
    model = SimulationModel(null=1.0, remaining=0.2, library_spread=0.0)
    screen = simulate_screen(graph, 20, 100, 100, moments="expected", model=model)
    for row, name in enumerate(screen.perturbations):
        target = screen.readouts.index(name)
        assert screen.de_genes[row, 0] == target
        assert 0 < screen.mean[row, target] < 0.6 * screen.control_mean[target]
        others = np.arange(len(screen.readouts)) != target
        np.testing.assert_allclose(screen.effects[row, others], 0, atol=1e-12)


def test_seeds_are_separate(graph: pj.KnowledgeGraph) -> None:
    names = [f"measured{i}" for i in range(50)]
    one, again = (simulate_screen(graph, list(graph.genes[:4]), names, 30, seed=3) for _ in range(2))
    for left, right in zip(one.perturbed, again.perturbed, strict=True):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(one.de_genes, again.de_genes)
    other = simulate_screen(graph, list(graph.genes[:4]), names, 30, seed=3, cell_seed=4)
    assert not np.array_equal(one.mean, other.mean)
    third, fourth = (simulate_truth(graph, list(graph.genes[:4]), names, seed=seed).changes for seed in (3, 4))
    assert not np.array_equal(third, fourth)
    fewer = simulate_screen(graph, [graph.genes[2]], names, 30, seed=3)
    np.testing.assert_allclose(fewer.mean[0], one.mean[one.perturbations.index(graph.genes[2])], rtol=1e-12)


def test_combinations_add_unless_they_interact(graph: pj.KnowledgeGraph) -> None:
    first, second = sorted(graph.genes[10:12])
    names, wanted = [f"measured{i}" for i in range(60)], [second, f"{second}+{first}", first]
    gentle = SimulationModel(strength=0.1)
    truth = simulate_truth(graph, wanted, names, model=gentle)
    rows = {name: truth.changes[row] for row, name in enumerate(truth.perturbations)}
    assert list(rows) == sorted(rows) and f"{first}+{second}" in rows
    np.testing.assert_allclose(rows[f"{first}+{second}"], rows[first] + rows[second], atol=1e-12)
    bent = simulate_truth(graph, wanted, names, model=SimulationModel(strength=0.1, interaction=1.0))
    same = [name == f"{first}+{second}" for name in truth.perturbations]
    assert (~np.isclose(truth.changes, bent.changes).all(1)).tolist() == same


@pytest.mark.parametrize("style", ["gears", "plain"])
def test_the_file_holds_the_cells(graph: pj.KnowledgeGraph, tmp_path: Path, style: str) -> None:
    path = tmp_path / "simulated.h5ad"
    names = sorted([*graph.genes[:2], "+".join(sorted(graph.genes[2:4]))])
    screen = simulate_screen(graph, names, 80, 300, control_cells=600, path=path, condition_names=style)  # type: ignore[arg-type]
    assert screen.source == path and [file.name for file in tmp_path.iterdir()] == [path.name]
    cells = anndata.read_h5ad(path)
    assert cells.shape == (1500, 80) and cells.X.dtype == np.float32
    assert cells.uns["simulation"]["simulated"]
    control = cells[cells.obs["condition"] == ("ctrl" if style == "gears" else "control")]
    counts = np.expm1(control.X.toarray()) * control.obs["total_counts"].to_numpy()[:, None] / 1e4
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-3)
    library = np.log(cells.obs["total_counts"])
    fitted = fitted_cells("norman19")
    assert library.median() == pytest.approx(np.log(fitted.library_median), abs=0.06)
    assert library.std() == pytest.approx(fitted.library_spread, rel=0.1)
    read = read_screen(path)
    assert read.perturbations == screen.perturbations and read.readouts == screen.readouts
    for left, right in zip(read.perturbed, screen.perturbed, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(read.de_genes, screen.de_genes)
    np.testing.assert_array_equal(read.coexpression.senders, screen.coexpression.senders)


def test_the_source_is_absolute(graph: pj.KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert simulate_screen(graph, 2, 10, 5, path="here.h5ad").source == tmp_path / "here.h5ad"
    assert simulate_screen(graph, 2, 10, 5).source is None


def test_unknown_perturbations_are_left_out_where_that_is_wanted(graph: pj.KnowledgeGraph) -> None:
    names = [f"measured{i}" for i in range(10)]
    known = sorted(graph.genes[:2])
    with pytest.raises(pj.InputError, match=r"2 genes not in .*NOSUCH"):
        simulate_screen(graph, [*known, "NOSUCH", f"NONE+{known[0]}"], names, 5)
    screen = simulate_screen(graph, [*known, "NOSUCH", f"NONE+{known[0]}"], names, 5, unknown="drop")
    assert list(screen.perturbations) == known
    assert list(screen.settings["dropped"]) == ["NOSUCH", f"NONE+{known[0]}"]
    assert "left out 2 perturbations" in repr(screen)


def test_genes_of_one_cell_state_are_expressed_together(graph: pj.KnowledgeGraph) -> None:
    names = [f"measured{i}" for i in range(60)]
    shared = SimulationModel(shared=0.9, states=2, least_rate=1.0, responsive=1.0)
    edges = simulate_screen(graph, 1, names, 10, control_cells=1000, model=shared).coexpression.num_edges
    model = SimulationModel(shared=0.0, least_rate=1.0, responsive=1.0)
    alone = simulate_screen(graph, 1, names, 10, control_cells=1000, model=model)
    assert alone.coexpression.num_edges == len(names) < edges  # each correlates with itself


def test_strengths_have_mean_square_one_and_the_share_of_nulls() -> None:
    strengths = draw_strengths(200_000, 0.4, 0.8, np.random.default_rng(0))
    assert (strengths == 0).mean() == pytest.approx(0.4, abs=0.01)
    assert (strengths**2).mean() == pytest.approx(1, abs=0.08)
    assert np.log(strengths[strengths > 0]).std() == pytest.approx(0.8, abs=0.01)


def test_what_cannot_be_simulated_is_refused(graph: pj.KnowledgeGraph, tmp_path: Path) -> None:
    with pytest.raises(pj.InputError, match="homophily: expected a number from 0 to 1"):
        simulate_screen(graph, 2, 10, homophily=1.5)
    with pytest.raises(pj.InputError, match=r"^seed: expected a whole number of at least 0, got -1"):
        simulate_screen(graph, 2, 10, seed=-1)
    with pytest.raises(pj.InputError, match=r"^cell_seed: expected a whole number of at least 0, got -1"):
        simulate_screen(graph, 2, 10, cell_seed=-1)
    with pytest.raises(pj.InputError, match="no cells to write"):
        simulate_screen(graph, 2, 10, moments="expected", path=tmp_path / "x.h5ad")
    with pytest.raises(pj.InputError, match="cells_per_perturbation: expected a whole number of at least 2"):
        simulate_screen(graph, 2, 10, 1)
    with pytest.raises(pj.InputError, match="genes: expected 20, the perturbed ones"):
        simulate_screen(graph, 20, 10)
    with pytest.raises(pj.InputError, match="more than once"):
        simulate_screen(graph, 2, ["a", "a"])
    with pytest.raises(pj.InputError, match="at least 2 names"):
        simulate_screen(graph, 2, ["a"])
    with pytest.raises(pj.InputError, match="NOSUCHGENE"):
        simulate_screen(graph, ["NOSUCHGENE"], 10)
    with pytest.raises(pj.InputError, match="at most"):
        simulate_screen(graph, 2, 10, model=SimulationModel(least_rate=90.0))
    with pytest.raises(pj.InputError, match=r"of such a least_rate; expected responsive=1, got 0\.19"):
        simulate_screen(graph, 2, 10, model=SimulationModel(least_rate=1.0))
    with pytest.raises(pj.InputError, match="in datlinger17; expected responsive=1"):
        simulate_screen(graph, 2, 10, model=SimulationModel(cells="datlinger17", responsive=0.5))
    with pytest.raises(
        pj.InputError, match="responsive: expected a finite number of at least 0 and of at most 1, or none"
    ):
        SimulationModel(responsive=1.5)
    with pytest.raises(pj.InputError, match="remaining: expected a finite number"):
        SimulationModel(remaining=0.0)
