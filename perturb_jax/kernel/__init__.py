"""Kernels: how similar the effects of two perturbations are expected to be, before either is measured."""
