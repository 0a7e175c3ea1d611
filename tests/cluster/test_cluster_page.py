"""The page on clusters, typed command by command by somebody whose cluster is a real Slurm."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from slurm_cluster import Cluster
from workspace import Workspace

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
from pages import PLAYED, REPOSITORY, blocks

PAGE = PLAYED["cluster"]
CELL = "results/smoke/runs/balanced-audiovisual/synthetic-balanced-smoke/greedy"
TYPED = [block.text for block in blocks(PAGE) if block.tag == "bash"]
INSTALLED = [text for text in TYPED if "apt-get" in text]


def test_continuous_integration_installs_what_the_page_tells():
    (text,) = INSTALLED
    done = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line not in done] == []
    assert "AVBALANCE_REQUIRE_CLUSTER=1" in done


@pytest.mark.slow
@pytest.mark.xdist_group("cluster")
def test_the_whole_page_can_be_typed(cluster: Cluster, smoke: Workspace, tmp_path: Path) -> None:
    """In a clone in which one training, and what depends on it, is still to be done."""
    workspace = smoke.copy(tmp_path / "workspace")
    shutil.rmtree(workspace.root / ".avbalance" / "runs")
    shutil.rmtree(workspace.root / CELL)
    table = workspace.root / "results/smoke/papers/balanced-audiovisual/table2.csv"
    for path in (table, table.with_name("measurements.parquet")):
        path.unlink()
    script = "\n".join(text for text in TYPED if text not in INSTALLED)
    done = workspace.run(script, timeout_s=2400, **cluster.environment)
    assert done.status == 0, done.output[-4000:]
    comments = [job.comment for job in cluster.jobs()]
    assert "rule_train0" in comments and "rule_report_balanced-audiovisual" in comments
    assert table.is_file() and (workspace.root / CELL / "seed0" / "predictions.parquet").is_file()
    # Snakemake's thread that looks at jobs may still print a line when the process ends under it.
    last = done.output.rstrip().splitlines()[-2:]
    assert any(line.startswith("Nothing to be done") for line in last), "with the other profile"
