"""Purpose: tables, figures and claims of each paper. Inputs: measurements, predictions, published numbers. Outputs: results/<name>/papers/<slug>/."""
