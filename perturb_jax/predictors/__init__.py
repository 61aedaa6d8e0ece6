"""Predictors of what a perturbation does to every measured gene."""
