"""What can be learnt from clips: a module per task, found by its name."""
