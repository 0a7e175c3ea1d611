"""Purpose: train every cell of the run sheet and join predictions. Inputs: manifest, feature stores, files of other runs. Outputs: results/<name>/runs/<slug>/<dataset>/<run>/seed<k>/."""

for cell in PLAN.cells:

    rule:
        name:
            rule_name("train", cell.id)
        input:
            **PLAN.cell_store_files(cell),
            manifest=PLAN.manifest(cell.row.dataset),
            runs=PLAN.cell_inputs(cell),
        output:
            PLAN.cell_files(cell),
        log:
            f"logs/{PLAN.name}/train/{cell.id}.log",
        conda:
            "../../envs/avbalance.yaml"
        threads: 1
        resources:
            gpu=1,
        params:
            spec=PLAN.cell_spec(cell),
            code=PLAN.training_code(cell),
            audio=lambda wildcards, input: ancestor(1, input.audio[0]),
            visual=lambda wildcards, input: ancestor(1, input.visual[0]),
            out=lambda wildcards, output: ancestor(5, output[0]),
        shell:
            "python -m avbalance train --manifest {input.manifest} --audio {params.audio} --visual {params.visual}"
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
