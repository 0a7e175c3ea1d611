"""Purpose: tables, figures and claims of each paper. Inputs: measurements, predictions, published numbers. Outputs: results/<name>/papers/<slug>/."""

for slug in PLAN.papers:
    for kind in ("tables", "figures"):
        # One process for all of a kind: starting one takes longer than making a table.
        if PLAN.declared(slug, kind):

            rule:
                name:
                    rule_name(kind, slug)
                input:
                    measurements=f"{PLAN.results}/papers/{slug}/measurements.parquet",
                    runs=PLAN.report_run_files(slug, kind),
                    published=PLAN.published_files(slug),
                    facts=PLAN.fact_files(slug),
                output:
                    [
                        reported(slug, kind, path)
                        for path in PLAN.report_parts(slug)[kind]
                    ],
                log:
                    f"logs/{PLAN.name}/{kind}/{slug}.log",
                # What takes longest begins first.
                priority: int(kind == "figures")
                group:
                    f"report_{slug}"
                conda:
                    "../../envs/avbalance.yaml"
                resources:
                    **SHORT_JOB,
                params:
                    # The command is read when the job runs, when `kind` is the last one of the loop; what depends on
                    # outputs, as this says of itself, decides no rerun.
                    part=lambda wildcards, output, kind=kind: kind,
                    settings=settings_digest(PLAN.report_spec(slug, kind)),
                    code=PLAN.report_code(slug, kind),
                    out=lambda wildcards, output: ancestor(1, output[0]),
                shell:
                    "python -m avbalance {params.part} --settings {params.settings} --measurements {input.measurements} --out {params.out} --code {params.code} > {log} 2>&1"


rule claims:
    input:
        measurements=f"{PLAN.results}/papers/{{slug}}/measurements.parquet",
        predictions=lambda wildcards: PLAN.prediction_files(wildcards.slug),
        runs=lambda wildcards: PLAN.report_run_files(wildcards.slug, "claims"),
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
    resources:
        **SHORT_JOB,
    params:
        settings=lambda wildcards: settings_digest(
            PLAN.report_spec(wildcards.slug, "claims")
        ),
        code=lambda wildcards: PLAN.report_code(wildcards.slug, "claims"),
        out=lambda wildcards, output: ancestor(1, output[0]),
    shell:
        "python -m avbalance claims --settings {params.settings} --measurements {input.measurements} --out {params.out} --code {params.code} > {log} 2>&1"


rule verdict:
    input:
        predictions=lambda wildcards: PLAN.prediction_files(wildcards.slug),
        records=lambda wildcards: PLAN.record_files(wildcards.slug),
        facts=lambda wildcards: PLAN.fact_files(wildcards.slug),
    output:
        multiext(f"{PLAN.results}/papers/{{slug}}/verdict", ".json", ".md"),
    log:
        f"logs/{PLAN.name}/verdict/{{slug}}.log",
    group:
        "report_{slug}"
    conda:
        "../../envs/avbalance.yaml"
    params:
        settings=lambda wildcards: settings_digest(
            PLAN.report_spec(wildcards.slug, "verdict")
        ),
        code=lambda wildcards: PLAN.report_code(wildcards.slug, "verdict"),
        out=lambda wildcards, output: ancestor(1, output[0]),
    shell:
        "python -m avbalance verdict --settings {params.settings} --out {params.out} --code {params.code} > {log} 2>&1"


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
    resources:
        **SHORT_JOB,
    params:
        settings=lambda wildcards: settings_digest(
            PLAN.report_spec(wildcards.slug, "lost_clips")
        ),
        code=lambda wildcards: PLAN.report_code(wildcards.slug, "lost_clips"),
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
        code=PLAN.code("avbalance.reporting.page"),
    shell:
        "python -m avbalance page --settings {params.settings} --out {output} --code {params.code} > {log} 2>&1"


rule crate:
    input:
        # Not the records, which it reads where they are: who has fetched tables alone must not train for this.
        files=PLAN.described_files(),
        citation="CITATION.cff",
    output:
        PLAN.crate_files(),
    log:
        f"logs/{PLAN.name}/crate.log",
    localrule: True
    conda:
        "../../envs/avbalance.yaml"
    params:
        settings=settings_digest(PLAN.crate_spec()),
        code=PLAN.code("avbalance.reporting.crate"),
        out=lambda wildcards, output: ancestor(1, output[0]),
    shell:
        "python -m avbalance crate --settings {params.settings} --out {params.out} --code {params.code} > {log} 2>&1"
