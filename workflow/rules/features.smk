"""Purpose: decode every clip once and store both modalities. Inputs: manifest. Outputs: results/<name>/features/<dataset>/<modality>-<recipe>/."""

for job in PLAN.feature_jobs:

    rule:
        name:
            rule_name("features", job.id)
        input:
            manifest=PLAN.manifest(job.dataset),
        output:
            PLAN.feature_files(job),
        log:
            f"logs/{PLAN.name}/features/{job.id}.log",
        priority: PLAN.data_priority(job.dataset)
        group:
            "data"
        conda:
            "../../envs/avbalance.yaml"
        threads: 1
        params:
            settings=settings_digest(PLAN.feature_spec(job)),
            code=PLAN.code("avbalance.features.extract"),
            out=lambda wildcards, output: ancestor(2, output[0]),
        shell:
            "python -m avbalance features --settings {params.settings} --manifest {input.manifest} --out {params.out} --workers {threads} --code {params.code} > {log} 2>&1"
