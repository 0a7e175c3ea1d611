"""What trainings logged, epoch by epoch."""

from __future__ import annotations

import pandas as pd

from avbalance.errors import UserError
from avbalance.evaluation.paper import RunFile

HISTORY = "history.csv"


def read_history(run: RunFile) -> pd.DataFrame:
    """What a run logged, one row per epoch; raises UserError when the file is absent, empty or malformed."""
    path = run.beside(HISTORY)
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable table ({error}); delete the run's folder and run it again.") from error
    if table.empty or "epoch" not in table.columns:
        raise UserError(f"{path}: holds no epochs; delete the run's folder and run it again.")
    return table
