"""One training loop for every method: data, loop, resumable state, run cache."""

DEFAULT_TASK = "classification"  # what a run learns unless its settings name another task
