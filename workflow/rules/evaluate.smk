"""Purpose: measure every run of a paper on every subset. Inputs: predictions, subsets. Outputs: results/<name>/papers/<slug>/measurements.parquet."""
