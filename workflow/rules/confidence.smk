"""Purpose: estimate each clip's modality discrepancy from two unimodal runs. Inputs: their confidences, manifest. Outputs: results/<name>/confidence/<slug>/<dataset>/."""

for slug in PLAN.papers:
    for dataset in PLAN.confidence_datasets(slug):

        rule:
            name:
                rule_name("confidence", slug, dataset)
            input:
                **PLAN.confidence_inputs(slug, dataset),
                manifest=PLAN.manifest(dataset),
            output:
                PLAN.confidence_files(slug, dataset),
            log:
                f"logs/{PLAN.name}/confidence/{slug}/{dataset}.log",
            group:
                "subsets"
            conda:
                "../../envs/avbalance.yaml"
            params:
                settings=settings_digest(PLAN.confidence_spec(slug)),
                code=PLAN.code("avbalance.analysis.confidence"),
                out=lambda wildcards, output: ancestor(1, output[0]),
            shell:
                "python -m avbalance confidence --settings {params.settings} --audio {input.audio} --visual {input.visual} --manifest {input.manifest}"
                " --out {params.out} --code {params.code} > {log} 2>&1"
