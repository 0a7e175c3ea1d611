"""Purpose: split test sets by preferred modality, under every definition. Inputs: confidences of unimodal runs, manifest. Outputs: results/<name>/subsets/<slug>/<dataset>.parquet."""

for slug in PLAN.papers:
    for dataset in PLAN.confidence_datasets(slug):

        rule:
            name:
                rule_name("subsets", slug, dataset)
            input:
                manifest=PLAN.manifest(dataset),
                confidences=PLAN.subset_inputs(slug, dataset),
            output:
                PLAN.subsets_file(slug, dataset),
            log:
                f"logs/{PLAN.name}/subsets/{slug}/{dataset}.log",
            group:
                "subsets"
            conda:
                "../../envs/avbalance.yaml"
            params:
                settings=settings_digest(PLAN.subset_spec(slug, dataset)),
                code=PLAN.code("avbalance.analysis.subsets"),
            shell:
                "python -m avbalance subsets --settings {params.settings} --manifest {input.manifest} --out {output} --code {params.code} > {log} 2>&1"
