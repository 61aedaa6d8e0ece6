"""Choosing experiments from the knowledge graph alone: reach, objectives, greedy, certificates."""
