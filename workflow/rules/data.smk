"""Purpose: one manifest per data set. Inputs: annotation lists or nothing (generated data). Outputs: data/<dataset>/manifest.parquet and, for generated data, the media beside it."""

for name in PLAN.datasets:

    rule:
        name:
            rule_name("dataset", name)
        input:
            PLAN.source_inputs(name),
        output:
            PLAN.manifest(name),
        log:
            f"logs/{PLAN.name}/dataset/{name}.log",
        priority: PLAN.data_priority(name)
        group:
            "data"
        conda:
            "../../envs/avbalance.yaml"
        params:
            settings=settings_digest(PLAN.dataset_spec(name)),
            code=PLAN.source_code(name),
        shell:
            "python -m avbalance dataset --settings {params.settings} --out {output} --code {params.code} > {log} 2>&1"
