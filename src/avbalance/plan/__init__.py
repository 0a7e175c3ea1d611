"""What is to be done: configuration, run sheet, code digests. Standard library and YAML only; torch is never imported."""
