"""Perturbation screens: conditions and cells."""
