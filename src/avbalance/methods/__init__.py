"""Training methods: one module per method, found by name; `load` and `names` are the registry."""

from avbalance.methods.base import load, names

__all__ = ["load", "names"]
