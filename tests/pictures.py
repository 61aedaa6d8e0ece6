"""What is in a picture: pixels, by their colours."""

import io
from collections import Counter

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.image import imread


def colours(picture: bytes) -> Counter[str]:
    """How many pixels of a PNG have each colour, "#rrggbb" in capitals."""
    pixels = imread(io.BytesIO(picture), format="png")[..., :3].reshape(-1, 3)
    found, counts = np.unique(pixels, axis=0, return_counts=True)
    return Counter({to_hex(colour).upper(): int(count) for colour, count in zip(found, counts, strict=True)})
