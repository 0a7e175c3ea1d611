"""What the confidences say: discrepancy, subsets, flatness, and the statistics of comparisons."""
