"""What is to be done: configuration, run sheet, code digests. torch is never imported."""
