"""cell-gears' evaluation in blocks: the same results, kept in one tensor each."""

from typing import Any

import numpy as np
import pytest

from perturb_jax.predictors.gears_reference import private as gears_private

pytestmark = pytest.mark.gears
pytest.importorskip("torch")

CELLS, GENES = 7, 5


class Doubling:
    """A network that predicts twice what it sees; with uncertainty also a log-variance."""

    def __init__(self, uncertainty: bool):
        self.uncertainty = uncertainty
        self.seen: list[Any] = []

    def eval(self) -> None:
        self.seen.append("eval")

    def to(self, device: Any) -> None:
        self.seen.append(device)

    def __call__(self, batch: Any) -> Any:
        x = batch.x.reshape(-1, GENES)
        return (2 * x, x - 1) if self.uncertainty else 2 * x


def loader_of(seed: int) -> Any:
    import torch
    from torch_geometric.data import Data
    from torch_geometric.loader import DataLoader

    rng = np.random.default_rng(seed)
    cells = [
        Data(
            x=torch.tensor(rng.normal(size=(GENES, 1)), dtype=torch.float32),
            y=torch.tensor(rng.normal(size=(1, GENES)), dtype=torch.float32),
            pert=f"P{cell % 2}",
            de_idx=[cell % 3, 4],
        )
        for cell in range(CELLS)
    ]
    return DataLoader(cells, batch_size=3)


@pytest.mark.parametrize("uncertainty", [False, True])
def test_results_are_those_of_cell_gears(uncertainty: bool) -> None:
    evaluate = gears_private.import_gears().evaluate
    expected = evaluate(loader_of(0), Doubling(uncertainty), uncertainty, "cpu")
    network = Doubling(uncertainty)
    found = gears_private.in_blocks(evaluate)(loader_of(0), network, uncertainty, "cpu")
    assert network.seen == ["eval", "cpu"]
    assert set(found) == set(expected)
    assert ("logvar" in found) == uncertainty
    assert found["pred"].shape == (CELLS, GENES)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_what_is_kept_shares_one_block() -> None:
    held: list[Any] = []

    def keeping(loader: Any, network: Any) -> None:
        for batch in loader:
            held.append((network(batch), batch.y))

    gears_private.in_blocks(keeping)(loader_of(1), Doubling(False))
    assert [len(predicted) for predicted, _ in held] == [3, 3, 1]
    for tensors in zip(*held, strict=True):
        assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == 1
