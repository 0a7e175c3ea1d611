"""The command line: signals, exit statuses, and the code that it runs."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from avbalance import user_commands
from avbalance.cli import main

# A command that is half through with a file.
HALF_THROUGH = """
import sys, time
from avbalance import cli, user_commands
from flowkeeper.files import atomic_path

def write(options):
    with atomic_path(sys.argv[1]) as temporary:
        temporary.write_text("half")
        print("writing", flush=True)
        time.sleep(60)

user_commands._methods = write
sys.exit(cli.main(["methods"]))
"""


def test_sigterm_leaves_nothing_half_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HALF_THROUGH, str(tmp_path / "table.csv")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert list(tmp_path.iterdir()) != []
        process.terminate()
        _, said = process.communicate(timeout=600)
    assert process.returncode == 128 + signal.SIGTERM
    assert said == ""
    assert list(tmp_path.iterdir()) == []


def test_commands_leave_the_signals_of_who_calls_them_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert main(["methods"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_command_line_says_it_in_one_sentence_wherever_it_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/smoke")

    monkeypatch.setattr(user_commands, "_methods", refuse)
    assert main(["methods"]) == 2
    assert capsys.readouterr().err == (
        f"error: results/smoke: {os.strerror(errno.ENOSPC)}; free the disk or fix permissions.\n"
    )


def test_ctrl_c_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(user_commands, "_methods", stop)
    assert main(["methods"]) == 130
    assert capsys.readouterr().err == "stopped; the same command goes on where it was.\n"


def test_the_command_line_hides_no_other_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(options: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "gone", "somewhere")

    monkeypatch.setattr(user_commands, "_methods", fail)
    with pytest.raises(FileNotFoundError):
        main(["methods"])


def test_the_command_line_of_another_checkout_runs_the_code_of_the_one_it_is_typed_in(tmp_path: Path) -> None:
    package = tmp_path / "src" / "avbalance"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("import sys\nprint('the code here', sys.argv[1:])\n")
    command = [sys.executable, "-c", "from avbalance.cli import main; main()", "why", "--all"]
    environment = {name: value for name, value in os.environ.items() if name != "AVBALANCE_SOURCE"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "the code here ['why', '--all']\n", done.stderr


def test_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys, avbalance.cli, avbalance.workflow\n"
    code += "print(sorted({'dvc', 'torch', 'numpy', 'pandas', 'pyarrow', 'snakemake', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


PAGE_OF_A = "The evidence on one page: results/a/report.html\n"
ABSENT = "error: results/{}/report.html: not made yet; snakemake makes it as its last step."


@pytest.mark.parametrize(
    ("made", "given", "said"),
    [
        ("a", [], PAGE_OF_A),
        ("a", ["a"], PAGE_OF_A),
        ("ab", ["a"], PAGE_OF_A),
        ("a", ["b"], ABSENT.format("b") + " There are: a.\n"),
        ("ab", [], ABSENT.format("demo") + " There are: a, b.\n"),
        ("", [], ABSENT.format("demo") + "\n"),
    ],
)  # fmt: skip
def test_open_says_where_the_page_is(
    made: str,
    given: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in made:
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "report.html").touch()
    assert main(["open", *given]) == (2 if said.startswith("error") else 0)
    told = capsys.readouterr()
    assert told.err + told.out == said


@pytest.mark.parametrize(("screen", "times"), [({}, 0), ({"DISPLAY": ":0"}, 1), ({"WAYLAND_DISPLAY": "wayland-0"}, 1)])
def test_open_opens_the_page_when_there_is_a_screen(
    screen: dict[str, str], times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in screen.items():
        monkeypatch.setenv(name, value)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    (tmp_path / "results/a").mkdir(parents=True)
    (tmp_path / "results/a/report.html").touch()
    assert main(["open"]) == 0
    assert opened == [(tmp_path / "results/a/report.html").as_uri()] * times
