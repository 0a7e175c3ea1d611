"""Purpose: decode every clip once and store both modalities. Inputs: manifest. Outputs: results/<name>/features/<dataset>/<modality>-<recipe>/."""

for name in PLAN.datasets:

    rule:
        name:
            rule_name("features", name)
        input:
            manifest=PLAN.manifest(name),
        output:
            PLAN.all_store_files(name),
        log:
            f"logs/{PLAN.name}/features/{name}.log",
        priority: PLAN.data_priority(name)
        conda:
            "../../envs/avbalance.yaml"
        threads: 1
        params:
            recipes=PLAN.recipe_spec(name),
            code=PLAN.code("avbalance.features.extract"),
            out=lambda wildcards, output: ancestor(2, output[0]),
        shell:
            "python -m avbalance features --manifest {input.manifest} --out {params.out} --workers {threads} --code {params.code} > {log} 2>&1 <<'SPEC'\n{params.recipes}\nSPEC"
