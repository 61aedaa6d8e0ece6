"""Compiled loops of the selection on the host."""
