"""Rerun truth and sharing for workflows of Snakemake whose results DVC carries; see README.md beside this file."""
