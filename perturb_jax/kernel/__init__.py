"""Kernels: how alike the effects of two perturbations are expected to be."""
