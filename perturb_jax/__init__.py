"""Which genes to perturb, before any experiment is run, so that a graph model of gene perturbation learns the most.

What is public is named in `__init__.pyi`, and loaded when it is used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
