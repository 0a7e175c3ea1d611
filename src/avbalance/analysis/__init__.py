"""What the arrays say: confidences, subsets, flatness, intervals and the verdicts on a paper's claims."""
