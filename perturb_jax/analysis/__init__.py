"""Stored runs as statistics, tables and figures."""
