"""Files that trainings leave of the modality gap: one sentence for what is no record."""

from __future__ import annotations

from pathlib import Path

import pytest
from gap_runs import made_up_paper

from avbalance.errors import UserError
from avbalance.evaluation.gap_files import read_fine_tuning, read_gaps, read_mixtures


@pytest.mark.parametrize(
    ("name", "read"),
    [("mixtures.json", read_mixtures), ("gaps.json", read_gaps), ("fine_tuning.json", read_fine_tuning)],
)
@pytest.mark.parametrize("content", ["{}", "{", '{"fits": [], "warm_up_epochs": 1}', None])
def test_files_that_are_no_records_are_one_sentence(name: str, read: object, content: str, tmp_path: Path) -> None:
    run = made_up_paper(tmp_path, seeds=(0,), right={"ours": (80, 60, 60)}).runs[0]
    path = run.beside(name)
    path.write_text(content) if content is not None else path.unlink(missing_ok=True)
    with pytest.raises(UserError, match=rf"{name}: (not a record|holds no fit)"):
        read(run)
