"""The ground floor: errors, files, compiled loops, provenance."""
