"""The registry and the cards of all methods, and the two methods without mathematics."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from avbalance import methods
from avbalance.errors import UserError
from avbalance.methods.base import Method

OURS = {
    "baseline", "branch-losses", "distillation", "gradient-blending", "gradient-blending-weights",
    "greedy", "late-ensemble", "ogm-ge", "unimodal",
}  # fmt: skip


def test_methods_are_found_on_disk() -> None:
    assert set(methods.names()) >= OURS
    assert "base" not in methods.names()
    with pytest.raises(UserError, match=r"no method named 'ogm'; there are .*baseline, "):
        methods.load("ogm")


@pytest.mark.parametrize("name", sorted(OURS))
def test_card_is_complete(name: str) -> None:
    method = methods.load(name)
    card = method.card
    assert (method.name, card.name, method.trains) == (name, name, card.trains)
    assert card.label and card.reference and card.summary.endswith(".")
    assert all(source for _, source in card.options.values())
    assert method().options == {option: default for option, (default, _) in card.options.items()}
    if card.no_op is not None:
        assert set(card.models) <= set(methods.load(card.no_op.equals).card.models)
        method(dict(card.no_op.options))


@pytest.mark.parametrize("name", sorted(OURS))
def test_unknown_option_is_named(name: str) -> None:
    with pytest.raises(UserError, match=f"method {name}: unknown option alhpa; it takes "):
        methods.load(name)({"alhpa": 1})


def test_cards_are_read_without_torch() -> None:
    code = "import sys; from avbalance.methods import load; [load(name) for name in sys.argv[1:]]; "
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *sorted(OURS)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_default_hooks_change_nothing(make_trainer: Any, same_weights: Any) -> None:
    class Nothing(Method):
        card = methods.load("baseline").card

    first, second = make_trainer(Nothing(), epochs=1), make_trainer(methods.load("baseline")(), epochs=1)
    first.fit()
    second.fit()
    assert same_weights(first.model, second.model)
    assert (first.method.state_dict(), first.method.artifacts(), first.logs) == ({}, {}, [{}])


def test_unimodal_refuses_another_network(make_trainer: Any) -> None:
    unimodal = methods.load("unimodal")
    make_trainer(unimodal(), "unimodal-net", modality="visual").fit()
    make_trainer(unimodal({"modality": "visual"}), "unimodal-net", epochs=1, modality="visual").fit()
    with pytest.raises(UserError, match="wanted audio, the model has visual"):
        make_trainer(unimodal({"modality": "audio"}), "unimodal-net", modality="visual").fit()
    with pytest.raises(UserError, match="the model has audio, visual"):
        make_trainer(unimodal()).fit()
