"""Purpose: measure every run of a paper on every subset. Inputs: predictions and records of the runs, subsets. Outputs: results/<name>/papers/<slug>/measurements.parquet."""


rule measure:
    input:
        predictions=lambda wildcards: PLAN.prediction_files(wildcards.slug),
        # Ancient: a record says when its run was made, which changes nothing here.
        records=lambda wildcards: ancient(PLAN.record_files(wildcards.slug)),
        subsets=lambda wildcards: PLAN.subset_files(wildcards.slug),
    output:
        f"{PLAN.results}/papers/{{slug}}/measurements.parquet",
    log:
        f"logs/{PLAN.name}/measure/{{slug}}.log",
    group:
        "report_{slug}"
    conda:
        "../../envs/avbalance.yaml"
    params:
        settings=lambda wildcards: settings_digest(
            PLAN.report_spec(wildcards.slug, "measurements")
        ),
        code=lambda wildcards: PLAN.report_code(wildcards.slug, "measurements"),
    shell:
        "python -m avbalance measure --settings {params.settings} --out {output} --code {params.code} > {log} 2>&1"
