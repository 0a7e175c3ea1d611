"""Snakemake's dry run, parsed; the text is what Snakemake 9.27 prints, shortened."""

from __future__ import annotations

import pytest
from snakemake.jobs import Reason
from snakemake.persistence import ParamsChange

from flowkeeper.dry_run import REASONS, fault, parse, parse_reason

OUTPUT = """\
Using workflow specific profile profiles/default for setting default command line arguments.
Building DAG of jobs...

[Sat Nov 21 11:08:08 2026]
localrule combine_late:
    input: results/a.parquet, results/b.parquet
    output: results/c.parquet
    log: logs/c.log
    jobid: 11
    reason: Missing output files: results/c.parquet; Input files updated by another job: results/a.parquet
    resources: tmpdir=/tmp, gpu=1
    shell:
        python -m steps <<'SPEC'
{"output": "output: x"}
SPEC
[Sat Nov 21 11:08:08 2026]
rule table:
    input: results/c.parquet
    output: results/t1.csv, results/t1.md
    jobid: 0
    reason: Set of input files has changed since last execution; Code has changed since last execution
    wildcards: slug=p, table=t1
    resources: tmpdir=/tmp
[Sat Nov 21 11:08:11 2026]
rule all:
    input: results/t1.csv
    jobid: 1
    reason: Input files updated by another job: results/t1.csv
Reasons:
    (check individual jobs above for details)
    input files updated by another job:
        all, combine_late
3 jobs have missing provenance/metadata so that it in part cannot be used to trigger re-runs.
"""


def test_jobs_with_their_files_and_reasons() -> None:
    run = parse(OUTPUT.splitlines())
    combine, table = run.jobs
    assert (combine.name, combine.kind) == ("combine_late", "combine")
    assert combine.inputs == ("results/a.parquet", "results/b.parquet")
    assert combine.reasons == {"missing": ("results/c.parquet",), "follows": ("results/a.parquet",)}
    assert table.name == "table [slug=p, table=t1]"
    assert table.outputs == ("results/t1.csv", "results/t1.md")
    assert table.reasons == {"inputs": (), "command": ()}
    assert run.unrecorded == 3


def every_reason() -> Reason:
    """Snakemake's own object with all that it can say of a job with files."""
    reason = Reason()
    reason.missing_output.update(["m.csv"])
    reason.incomplete_output.update(["i.csv"])
    reason.updated_input.update(["u.csv", "f.csv"])
    reason.updated_input_run.update(["f.csv"])
    reason.input_changed = reason.code_changed = reason.software_stack_changed = True
    reason.params_changed = ParamsChange({'\'{"a":"x; y"}\''}, {"'{\"a\":1}'"}, {"m.csv"})
    return reason


def test_the_installed_snakemake_words_its_reasons_as_expected() -> None:
    told = parse_reason(str(every_reason()))
    assert set(told) == set(REASONS) - {"forced"}
    assert told["missing"] == ("m.csv",) and told["incomplete"] == ("i.csv",)
    assert told["updated"] == ("u.csv",) and told["follows"] == ("f.csv",)
    assert told["inputs"] == told["command"] == told["environment"] == ()
    assert told["params"][0].endswith('before: \'{"a":"x; y"}\' now: \'{"a":1}\' ')
    forced = Reason()
    forced.forced = True
    assert parse_reason(str(forced)) == {"forced": ()}


@pytest.mark.parametrize(
    ("output", "errors", "sentence"),
    [
        ("Building DAG of jobs...", "Using profile x\nerror: config: no such tier.\n", "config: no such tier."),
        (
            "Assuming unrestricted sharing.\nBuilding DAG of jobs...\nMissingRuleException:\nNo rule for x\n",
            "Using workflow specific profile profiles/default for setting default command line arguments.\n",
            "snakemake cannot plan: MissingRuleException: No rule for x",
        ),
        ("Traceback (most recent call):\n  File x\n\nValueError: bad\n", "", "snakemake cannot plan: ValueError: bad"),
        ("", "", "snakemake cannot plan: it gave no reason"),
    ],
)  # fmt: skip
def test_a_failure_is_told_in_one_line(output: str, errors: str, sentence: str) -> None:
    assert fault(output, errors) == sentence
