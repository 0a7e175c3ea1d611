"""Building a balanced data set from a pool of clips (Xia et al. 2023, section 4)."""
