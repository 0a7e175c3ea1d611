"""The expendable process that decodes clips: `python -m avbalance.features.worker <descriptor>`.

It answers each request (JSON) on its socket with a JSON line about the clip, then the bytes of each array. It
ends when the socket closes; an alarm ends it should the decoder hang after its parent has died.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from avbalance.features.clip import ClipJob, Feature
from avbalance.features.recipes import recipe_from

DEFAULT_FUNCTION = "avbalance.features.clip:extract_clip"

Pair = tuple[Feature | None, Feature | None]


def main(descriptor: int) -> None:
    """Serve requests until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(descriptor)
    try:
        settings = json.loads(connection.recv_bytes())
        function = load_function(settings["function"])
        audio = settings["audio"] and recipe_from(settings["audio"])
        visual = settings["visual"] and recipe_from(settings["visual"])
        patience = math.ceil(2 * settings["timeout_s"]) + 10
        connection.send_bytes(b"ready")
        while True:
            request = json.loads(connection.recv_bytes())
            job = ClipJob(*(path and Path(path) for path in (request["audio"], request["visual"])))
            signal.alarm(patience)
            pair = _guarded(function, job, audio, visual)
            signal.alarm(0)
            send_pair(connection, pair)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def load_function(name: str) -> Callable[..., Pair]:
    """The function at "module:name"."""
    module, _, attribute = name.partition(":")
    function: Callable[..., Pair] = getattr(importlib.import_module(module), attribute)
    return function


def _guarded(function: Callable[..., Pair], job: ClipJob, audio: Any, visual: Any) -> Pair:
    """What the function returns; an exception that it should have turned into a status counts as a crash."""
    try:
        return function(job, audio, visual)
    except Exception as error:
        lost = Feature(None, "decoder_crash", f"{type(error).__name__}: {error}")
        return (lost if audio and job.audio else None), (lost if visual and job.visual else None)


def send_pair(connection: Connection, pair: Pair) -> None:
    """Send two features: one JSON message, then one message of raw bytes per array."""
    described = [feature and _describe(feature) for feature in pair]
    connection.send_bytes(json.dumps(described).encode())
    for feature in pair:
        if feature is not None and feature.array is not None:
            connection.send_bytes(np.ascontiguousarray(feature.array).tobytes())


def receive_pair(connection: Connection) -> Pair:
    """The counterpart of `send_pair`; raises EOFError when the other side is gone."""
    described = json.loads(connection.recv_bytes())
    features = [facts and _restore(connection, facts) for facts in described]
    return features[0], features[1]


def _describe(feature: Feature) -> dict[str, Any]:
    facts = {each.name: getattr(feature, each.name) for each in dataclasses.fields(feature) if each.name != "array"}
    array = feature.array
    return {**facts, "array": None if array is None else [array.dtype.str, array.shape]}


def _restore(connection: Connection, facts: dict[str, Any]) -> Feature:
    layout = facts.pop("array")
    if layout is None:
        return Feature(None, **facts)
    array = np.frombuffer(connection.recv_bytes(), np.dtype(layout[0])).reshape(layout[1])
    return Feature(array, **facts)


if __name__ == "__main__":
    main(int(sys.argv[1]))
