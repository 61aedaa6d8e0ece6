"""Strategies: how the genes of the next experiments are chosen."""
