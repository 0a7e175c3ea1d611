"""Purpose: train every cell of the run sheet and join predictions. Inputs: manifest, feature stores, files of other runs. Outputs: results/<name>/runs/<slug>/<dataset>/<run>/seed<k>/."""

for family in PLAN.families:

    rule:
        name:
            rule_name("train", family.id)
        input:
            **PLAN.cell_store_files(family.pattern),
            manifest=PLAN.manifest(family.pattern.row.dataset),
            runs=PLAN.cell_inputs(family.pattern),
        output:
            PLAN.cell_files(family.pattern),
        log:
            f"logs/{PLAN.name}/train/{family.pattern.id}.log",
        wildcard_constraints:
            seed=family.seeds,
        priority: PLAN.priority(family)
        group:
            PLAN.group(family)
        conda:
            "../../envs/avbalance.yaml"
        threads: 1
        resources:
            gpu=1,
        params:
            spec=partial(cell_spec, family),
            code=PLAN.training_code(family.pattern),
            stores=lambda wildcards, input: store_options(input),
            out=lambda wildcards, output: ancestor(5, output[0]),
        shell:
            "python -m avbalance train --manifest {input.manifest} {params.stores}"
            " --out {params.out} --code {params.code} --threads {threads} > {log} 2>&1 <<'SPEC'\n{params.spec}\nSPEC"


for cell in PLAN.combinations:

    rule:
        name:
            rule_name("combine", cell.id)
        input:
            PLAN.combination_inputs(cell),
        output:
            PLAN.cell_files(cell),
        log:
            f"logs/{PLAN.name}/combine/{cell.id}.log",
        localrule: True
        conda:
            "../../envs/avbalance.yaml"
        params:
            spec=PLAN.combination_spec(cell),
            code=PLAN.combination_code(cell),
            out=lambda wildcards, output: ancestor(5, output[0]),
        shell:
            "python -m avbalance combine --out {params.out} --code {params.code} > {log} 2>&1 <<'SPEC'\n{params.spec}\nSPEC"
