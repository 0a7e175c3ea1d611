"""Media to feature stores: decoded once, in expendable processes, into few memory-mapped files."""
