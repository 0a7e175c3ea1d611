"""Purpose: train every cell of the run sheet and join predictions. Inputs: manifest, feature stores, files of other runs. Outputs: results/<name>/runs/<slug>/<dataset>/<run>/seed<k>/."""

for cell in PLAN.cells:

    rule:
        name:
            rule_name("train", cell.id)
        input:
            manifest=PLAN.manifest(cell.row.dataset),
            stores=PLAN.cell_store_files(cell),
            runs=PLAN.cell_inputs(cell),
        output:
            PLAN.cell_files(cell),
        params:
            spec=PLAN.cell_spec(cell),
            code=PLAN.training_code(cell),
            out=PLAN.runs,
            **PLAN.cell_stores(cell),
        log:
            f"logs/{PLAN.name}/train/{cell.id}.log",
        conda:
            "../../envs/avbalance.yaml"
        threads: 1
        shell:
            "python -m avbalance train --manifest {input.manifest} --audio {params.audio} --visual {params.visual}"
            " --out {params.out} --code {params.code} --threads {threads} > {log} 2>&1 <<'SPEC'\n{params.spec}\nSPEC"


for job in PLAN.combinations:

    rule:
        name:
            rule_name("combine", job.folder)
        input:
            PLAN.combined_files(job).values(),
        output:
            PLAN.run_files(job),
        params:
            spec=PLAN.combination_spec(job),
            code=PLAN.combination_code(job),
            out=PLAN.runs,
        log:
            f"logs/{PLAN.name}/combine/{job.folder}.log",
        conda:
            "../../envs/avbalance.yaml"
        localrule: True
        shell:
            "python -m avbalance combine --out {params.out} --code {params.code} > {log} 2>&1 <<'SPEC'\n{params.spec}\nSPEC"
