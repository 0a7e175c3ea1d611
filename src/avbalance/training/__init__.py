"""One training loop for every method: data, loop, resumable state, run cache."""
