"""Genes by name: symbols, perturbations, lists."""
