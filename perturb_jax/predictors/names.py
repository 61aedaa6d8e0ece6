"""The names of all predictors, for command lines that have not loaded any yet."""

PREDICTOR_NAMES = (
    "control-mean", "training-mean", "nearest-neighbours", "bilinear-ridge", "graph-ridge", "graph-gp",
    "gears-flax", "gears-reference",
)  # fmt: skip
"""In the order of tables; `registry.PREDICTORS` makes them."""
