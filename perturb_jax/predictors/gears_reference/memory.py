"""cell-gears' evaluation in bounded memory.

Its `evaluate` keeps the small tensors of every batch. They lie between large temporary ones, so that the C heap can
give nothing back: more than 16 GB for 52,000 cells x 1,000 genes, whose predictions and truth are 0.4 GB. Here they are
copied into one block each, and the batches' own are freed.
"""

from collections.abc import Callable, Iterator
from typing import Any


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


class _Network:
    """A network whose outputs are kept in blocks."""

    def __init__(self, network: Any, blocks: list[_Block]):
        self.network, self.blocks = network, blocks

    def eval(self) -> None:
        self.network.eval()

    def to(self, device: Any) -> None:
        self.network.to(device)

    def __call__(self, batch: Any) -> Any:
        output = self.network(batch)
        if isinstance(output, tuple):
            return tuple(block.keep(part) for block, part in zip(self.blocks, output, strict=True))
        return self.blocks[0].keep(output)


def in_blocks(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    """cell-gears' `evaluate`, or a function like it, with the same results. Memory: what it returns, twice."""

    def call(loader: Any, network: Any, *rest: Any) -> Any:
        truth, *outputs = (_Block(len(loader.dataset)) for _ in range(3))

        def batches() -> Iterator[Any]:
            for batch in loader:
                batch.y = truth.keep(batch.y)
                yield batch

        return evaluate(batches(), _Network(network, outputs), *rest)

    return call
