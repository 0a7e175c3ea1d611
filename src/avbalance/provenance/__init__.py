"""How results came to be: records of runs and of Snakemake, the ledger of a result set, and what they are used for."""
