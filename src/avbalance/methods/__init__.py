"""Training methods: one module per method, found by name; `load` and `names` are the registry."""

from avbalance.methods.base import load, names
from avbalance.own_methods import folders

__path__ += map(str, folders())  # what the checkout has counts first

__all__ = ["load", "names"]
