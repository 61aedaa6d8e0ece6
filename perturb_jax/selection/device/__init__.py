"""Selections on accelerators: bits, meshes, scores."""
