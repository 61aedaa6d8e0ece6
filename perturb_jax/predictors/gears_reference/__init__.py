"""The reference implementation of GEARS: the only importer of torch and gears."""
