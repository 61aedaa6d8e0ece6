"""Strategies: how the perturbations of the next experiments are chosen, each by name."""
