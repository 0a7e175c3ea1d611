"""Other papers' numbers are kept apart from published ones."""

from __future__ import annotations

from gap_runs import REPOSITORY, SLUG, declarations

from avbalance.evaluation.context import context_lines, context_value, load_context
from avbalance.evaluation.published import load_published


def test_context_is_kept_apart_from_published_numbers() -> None:
    specs, folder = declarations()["published"], REPOSITORY / "workflow" / "papers" / SLUG / "published"
    assert len(load_published(folder, specs)) == 5
    context = load_context(folder, specs)
    assert {each.source for each in context} == {"BalanceBenchmark", "CAL, arXiv:2510.26289"}
    assert len(context) == 80 + 3
    assert context_value(context, "CREMA-D", "Concat", "macro_f1") == 65.07
    assert context_value(context, "AVE", "Concat", "accuracy") is None
    (line,) = context_lines(context, ["AVE"], ["accuracy"])
    assert line == (
        "Context, from another paper (CAL, arXiv:2510.26289), not numbers of this one: AVE, accuracy (%): CAL 74.21."
    )
