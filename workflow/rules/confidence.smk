"""Purpose: estimate each clip's modality discrepancy from two unimodal runs. Inputs: their confidences, manifest. Outputs: results/<name>/confidence/<slug>/<dataset>/."""

for slug in PLAN.papers:
    for dataset in PLAN.confidence_datasets(slug):

        rule:
            name:
                rule_name("confidence", slug, dataset)
            input:
                manifest=PLAN.manifest(dataset),
                **PLAN.confidence_inputs(slug, dataset),
            output:
                PLAN.confidence_files(slug, dataset),
            params:
                code=PLAN.code("avbalance.analysis.confidence"),
                out=PLAN.confidence_folder(slug, dataset),
            log:
                f"logs/{PLAN.name}/confidence/{slug}/{dataset}.log",
            conda:
                "../../envs/avbalance.yaml"
            shell:
                "python -m avbalance confidence --audio {input.audio} --visual {input.visual} --manifest {input.manifest}"
                " --out {params.out} > {log} 2>&1"
