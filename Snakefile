# `snakemake` without arguments looks for this file. The workflow lies in workflow/Snakefile.
include: "workflow/Snakefile"


# Without this line a Snakefile that only includes another one has no target and does nothing.
workflow.default_target = "all"
