"""GEARS in Flax."""
