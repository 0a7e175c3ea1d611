"""Baseline: late fusion trained with one cross-entropy on the fused logits."""

from __future__ import annotations

from avbalance.methods.base import Method, MethodCard


class Baseline(Method):
    """Vanilla late fusion: no hook is overridden.

    Equation: `CE(z, y)` of the fused logits z.
    """

    card = MethodCard(
        name="baseline",
        label="Baseline",
        reference="Xia et al. 2023, arXiv 2302.10912, section 3",
        summary="Late fusion of two encoders, one cross-entropy on the fused logits.",
        models=("fusion-net", "kd-student", "late-fusion"),
        fusions=("sum", "concat", "film", "gated"),
        deviations=("The paper does not name the fusion; concat is the default of the OGM-GE code it builds upon.",),
    )


METHOD = Baseline
