"""Purpose: train every cell of the run sheet and join predictions. Inputs: manifest, feature stores, files of other runs. Outputs: results/<name>/runs/<slug>/<dataset>/<run>/seed<k>/."""

for training in PLAN.training_rules:

    rule:
        name:
            training.rule
        input:
            **PLAN.cell_store_files(training),
            manifest=PLAN.manifest(training.row.dataset),
            runs=PLAN.cell_inputs(training),
        output:
            PLAN.cell_files(training),
        log:
            f"logs/{PLAN.name}/train/{training.id}.log",
        wildcard_constraints:
            seed="|".join(map(str, training.row.seeds)),
        priority: PLAN.priority(training)
        group:
            PLAN.group(training)
        conda:
            "../../envs/avbalance.yaml"
        threads: 1
        resources:
            gpu=1,
        params:
            settings=partial(cell_settings, training),
            code=PLAN.training_code(training),
            stores=lambda wildcards, input: store_options(input),
            out=lambda wildcards, output: ancestor(5, output[0]),
        shell:
            "python -m avbalance train --settings {params.settings} --manifest {input.manifest} {params.stores}"
            " --out {params.out} --code {params.code} --threads {threads} > {log} 2>&1"


for cell in PLAN.combinations:

    rule:
        name:
            cell.rule
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
            settings=settings_digest(PLAN.combination_spec(cell)),
            code=PLAN.combination_code(cell),
            out=lambda wildcards, output: ancestor(5, output[0]),
        shell:
            "python -m avbalance combine --settings {params.settings} --out {params.out} --code {params.code} > {log} 2>&1"
