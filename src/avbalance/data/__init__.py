"""Data sets: manifests, sources of clips, and the generator of stand-in data."""
