"""What the workflow knows of clusters: the queue of Slurm, and what a large plan costs there."""
