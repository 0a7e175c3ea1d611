"""Names of the workflow's rules."""

from __future__ import annotations


def rule_name(*parts: str) -> str:
    """A rule name of letters, digits and underscores: ("features", "my-set") gives features_my_set."""
    return "_".join("".join(c if c.isalnum() else "_" for c in part) for part in parts)
