"""Names that the plan shares with the code that it plans: of rules, of modules, of the task that no settings name."""

from __future__ import annotations

DEFAULT_TASK = "classification"  # what a run learns unless its settings name another task


def rule_name(*parts: str) -> str:
    """A rule name of letters, digits and underscores: ("features", "my-set") gives features_my_set."""
    return "_".join("".join(c if c.isalnum() else "_" for c in part) for part in parts)


def module_name(name: str) -> str:
    """`ogm-ge` lives in ogm_ge."""
    return name.replace("-", "_")
