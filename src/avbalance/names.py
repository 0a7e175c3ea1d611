"""Names that several parts of the workflow know."""

from __future__ import annotations

PAGE = "report.html"  # the page of the evidence, in results/<name>


def rule_name(*parts: str) -> str:
    """A rule name of letters, digits and underscores: ("features", "my-set") gives features_my_set."""
    return "_".join("".join(c if c.isalnum() else "_" for c in part) for part in parts)
