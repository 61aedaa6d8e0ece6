"""GEARS in Flax: the model, its loss on moments, and its training."""
