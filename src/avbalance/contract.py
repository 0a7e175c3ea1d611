"""The contract test of one method, told sentence by sentence: what `avbalance check-method` runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from avbalance.checkout import require_checkout
from avbalance.methods import base

TESTS = Path("tests", "methods", "test_contract.py")


def check_method(root: Path, name: str, say: Callable[[str], None]) -> bool:
    """Run the tests of TESTS that are about the method `name`; returns whether all hold.

    say: takes each line. Raises UserError outside of the topmost folder of a checkout, and for an unknown method.
    """
    require_checkout(root)
    base.load(name)
    import pytest

    told = _Told(name, say)
    quiet = ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts="]
    say(f"{name}: what every method must do, by {TESTS}")
    status = pytest.main([*quiet, "--import-mode=importlib", "--rootdir", str(root), str(root / TESTS)], [told])
    for story in told.stories:
        say(f"\n{story}")
    held = status == pytest.ExitCode.OK
    say(f"{name}: {'fulfils the contract' if held else 'does not fulfil the contract'}.")
    return held


class _Told:
    """A plug-in of pytest that keeps the tests of one method and says a line for each; `stories` of those that fail."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self.name, self.say, self.stories = name, say, list[str]()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        params = [getattr(each, "callspec", None) and each.callspec.params for each in items]
        items[:] = [each for each, its in zip(items, params, strict=True) if its and its.get("name") == self.name]

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.stories.append(report.longreprtext)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and report.passed:
            return  # what a test needed was made, or put away
        sentence = report.location[2].partition("[")[0].removeprefix("test_").replace("_", " ")
        why = f" ({report.longrepr[2].removeprefix('Skipped: ')})" if report.skipped else ""
        self.say(f"  {'yes' if report.passed else 'no ' if report.failed else '-  '}  {sentence}{why}")
        if report.failed:
            self.stories.append(f"{sentence}:\n{report.longreprtext}")
