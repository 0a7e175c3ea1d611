"""Data sets: manifests, sources of clips, and the generator of stand-in data."""

MODALITIES = ("audio", "visual")
DEFAULT_TASK = "classification"  # what is learnt from clips unless a run's settings name another task
