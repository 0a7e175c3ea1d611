"""The registry of methods, their options, and the two methods without mathematics."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from one_step import network

from avbalance import methods
from avbalance.errors import UserError


def test_methods_are_found_on_disk() -> None:
    assert {"baseline", "ogm-ge", "late-ensemble", "jomold"} < set(methods.names())
    assert "base" not in methods.names()
    with pytest.raises(UserError, match=r"no method named 'ogm'; .*there are .*baseline"):
        methods.load("ogm")


@pytest.mark.parametrize("name", methods.names())
def test_options_are_read_and_what_is_wrong_is_said_with_its_place(name: str) -> None:
    method = methods.load(name)
    card = method.card
    assert method().options == card.options()
    if card.no_op is not None:
        method(card.no_op.options)
        assert set(card.models) <= set(methods.load(card.no_op.equals).card.models)
    with pytest.raises(UserError, match=f"^method {name}: .*alhpa"):
        method({"alhpa": 1})
    for option in card.options.model_fields:
        with pytest.raises(UserError, match=f"^method {name}, {option}: is .*\\.$"):
            method({option: {"no": "value"}})


def test_a_rule_that_combines_predictions_is_loaded_without_torch() -> None:
    code = "import sys; from avbalance.methods import load; load('late-ensemble'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_unimodal_refuses_another_network() -> None:
    unimodal: Any = methods.load("unimodal")
    visual, both = (SimpleNamespace(model=network(name)) for name in ("unimodal-net", "fusion-net"))
    visual.model.modalities = ("visual",)
    for options in ({}, {"modality": "visual"}):
        unimodal(options).prepare(visual)
    with pytest.raises(UserError, match="wanted audio, the model has visual"):
        unimodal({"modality": "audio"}).prepare(visual)
    with pytest.raises(UserError, match="the model has audio, visual"):
        unimodal().prepare(both)
