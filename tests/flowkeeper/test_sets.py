"""Which result set is meant, and when it may not be changed."""

from __future__ import annotations

from small import Clone, refusal

from flowkeeper.sets import chosen


def test_the_default_configuration_names_the_set(colleague: Clone) -> None:
    for name in ("other", "flowkeeper-transfer"):  # the last one was left by a killed command
        (colleague.root / f"results/{name}.dvc").write_text((colleague.root / "results/demo.dvc").read_text())
    assert refusal(colleague) == "several result sets are published; name one of demo, other."
    colleague.changes["default_name"] = lambda root: "demo"
    assert chosen(colleague.workflow, colleague.root, None).name == "demo"
    assert refusal(colleague, name="paper") == "results/paper.dvc: no such file; published result sets are demo, other."
    colleague.delete("results/demo.dvc", "results/other.dvc")
    assert refusal(colleague).startswith("results: this commit has no published result set")


def test_while_snakemake_runs(colleague: Clone) -> None:
    colleague.pretend_at_work()
    assert refusal(colleague).startswith("a snakemake is at work in this folder")
