"""Data sets: manifests, sources of clips, and the generator of stand-in data."""

MODALITIES = ("audio", "visual")
PARTS = ("train", "val", "test")
SEGMENTS = 10  # of one second each, in every data set with a timeline
DEFAULT_TASK = "classification"  # what is learnt from clips unless a run's settings name another task
