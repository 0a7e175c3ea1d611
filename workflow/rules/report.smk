"""Purpose: tables, figures and claims of each paper. Inputs: measurements, predictions, published numbers. Outputs: results/<name>/papers/<slug>/."""


rule table:
    input:
        measurements=f"{PLAN.results}/papers/{{slug}}/measurements.parquet",
        runs=lambda wildcards: PLAN.table_run_files(wildcards.slug, wildcards.table),
        published=lambda wildcards: PLAN.published_files(wildcards.slug),
        facts=lambda wildcards: PLAN.fact_files(wildcards.slug),
    output:
        multiext(f"{PLAN.results}/papers/{{slug}}/{{table}}", ".csv", ".tex"),
        report(
            f"{PLAN.results}/papers/{{slug}}/{{table}}.md",
            caption="../report/table.rst",
            category=lambda wildcards: PLAN.papers[wildcards.slug]["title"],
            subcategory="Tables",
            labels=lambda wildcards: labels_in_report("tables", **wildcards),
        ),
    log:
        f"logs/{PLAN.name}/table/{{slug}}/{{table}}.log",
    wildcard_constraints:
        table="table[A-Z]?[0-9]+",
    group:
        "report_{slug}"
    conda:
        "../../envs/avbalance.yaml"
    params:
        settings=lambda wildcards: settings_digest(
            PLAN.table_spec(wildcards.slug, wildcards.table)
        ),
        code=lambda wildcards: PLAN.table_code(wildcards.slug, wildcards.table),
        caption=lambda wildcards: PLAN.caption(
            wildcards.slug, "tables", wildcards.table
        ),
        out=lambda wildcards, output: ancestor(1, output[0]),
    shell:
        "python -m avbalance table --settings {params.settings} --measurements {input.measurements} --out {params.out} --code {params.code} > {log} 2>&1"


rule figure:
    input:
        measurements=f"{PLAN.results}/papers/{{slug}}/measurements.parquet",
        runs=lambda wildcards: PLAN.figure_run_files(wildcards.slug, wildcards.figure),
        published=lambda wildcards: PLAN.published_files(wildcards.slug),
        facts=lambda wildcards: PLAN.fact_files(wildcards.slug),
    output:
        report(
            f"{PLAN.results}/papers/{{slug}}/{{figure}}.svg",
            caption="../report/figure.rst",
            category=lambda wildcards: PLAN.papers[wildcards.slug]["title"],
            subcategory="Figures",
            labels=lambda wildcards: labels_in_report("figures", **wildcards),
        ),
        multiext(
            f"{PLAN.results}/papers/{{slug}}/{{figure}}",
            ".png",
            ".pdf",
            ".tex",
            ".csv",
        ),
    log:
        f"logs/{PLAN.name}/figure/{{slug}}/{{figure}}.log",
    wildcard_constraints:
        figure="figure[A-Z]?[0-9]+",
    group:
        "report_{slug}"
    conda:
        "../../envs/avbalance.yaml"
    params:
        settings=lambda wildcards: settings_digest(
            PLAN.figure_spec(wildcards.slug, wildcards.figure)
        ),
        code=lambda wildcards: PLAN.figure_code(wildcards.slug, wildcards.figure),
        caption=lambda wildcards: PLAN.caption(
            wildcards.slug, "figures", wildcards.figure
        ),
        out=lambda wildcards, output: ancestor(1, output[0]),
    shell:
        "python -m avbalance figure --settings {params.settings} --measurements {input.measurements} --out {params.out} --code {params.code} > {log} 2>&1"


rule claims:
    input:
        measurements=f"{PLAN.results}/papers/{{slug}}/measurements.parquet",
        predictions=lambda wildcards: PLAN.prediction_files(wildcards.slug),
        runs=lambda wildcards: PLAN.claims_run_files(wildcards.slug),
        subsets=lambda wildcards: PLAN.subset_files(wildcards.slug),
        published=lambda wildcards: PLAN.published_files(wildcards.slug),
        facts=lambda wildcards: PLAN.fact_files(wildcards.slug),
        template="src/avbalance/reporting/templates/claims.md.j2",
    output:
        f"{PLAN.results}/papers/{{slug}}/claims.json",
        report(
            f"{PLAN.results}/papers/{{slug}}/claims.md",
            caption="../report/claims.rst",
            category=lambda wildcards: PLAN.papers[wildcards.slug]["title"],
            subcategory="Claims",
            labels={"item": "claims", "title": "every claim with its verdict"},
        ),
    log:
        f"logs/{PLAN.name}/claims/{{slug}}.log",
    group:
        "report_{slug}"
    conda:
        "../../envs/avbalance.yaml"
    params:
        settings=lambda wildcards: settings_digest(PLAN.claims_spec(wildcards.slug)),
        code=lambda wildcards: PLAN.claims_code(wildcards.slug),
        out=lambda wildcards, output: ancestor(1, output[0]),
    shell:
        "python -m avbalance claims --settings {params.settings} --measurements {input.measurements} --out {params.out} --code {params.code} > {log} 2>&1"


rule losses:
    input:
        facts=lambda wildcards: PLAN.fact_files(wildcards.slug),
    output:
        f"{PLAN.results}/papers/{{slug}}/lost_clips.csv",
    log:
        f"logs/{PLAN.name}/losses/{{slug}}.log",
    group:
        "report_{slug}"
    conda:
        "../../envs/avbalance.yaml"
    params:
        settings=lambda wildcards: settings_digest(PLAN.losses_spec(wildcards.slug)),
        code=PLAN.code("avbalance.reporting.facts"),
    shell:
        "python -m avbalance losses --settings {params.settings} --out {output} --code {params.code} > {log} 2>&1"


rule overview:
    input:
        claims=PLAN.claims_files(),
        template="src/avbalance/reporting/templates/overview.md.j2",
    output:
        report(
            f"{PLAN.results}/papers/claims.md",
            caption="../report/overview.rst",
            category="All papers",
            labels={"item": "claims", "title": "every claim with its verdict"},
        ),
    log:
        f"logs/{PLAN.name}/overview.log",
    localrule: True
    conda:
        "../../envs/avbalance.yaml"
    params:
        settings=settings_digest(PLAN.overview_spec()),
        code=PLAN.code("avbalance.reporting.overview"),
    shell:
        "python -m avbalance overview --settings {params.settings} --out {output} --code {params.code} > {log} 2>&1"


rule page:
    input:
        **PLAN.page_inputs(),
        looks=multiext("src/avbalance/reporting/page/report", ".html.j2", ".css", ".js"),
    output:
        PLAN.page_file,
    log:
        f"logs/{PLAN.name}/page.log",
    localrule: True
    conda:
        "../../envs/avbalance.yaml"
    params:
        settings=settings_digest(PLAN.page_spec()),
        code=PLAN.page_code(),
    shell:
        "python -m avbalance page --settings {params.settings} --out {output} --code {params.code} > {log} 2>&1"
