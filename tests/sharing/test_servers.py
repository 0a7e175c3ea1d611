"""Publishing and fetching through real servers, SSH and WebDAV; what is wrong with one is told soon, in a sentence."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from people_at_work import LEDGER, Person, address
from servers import SshServer, WebdavServer, free_port, need_ssh, silent_port, wait_for

from avbalance.errors import UserError

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cluster")]

SOON_S = 15.0
TABLE = "results/demo/papers/table1.md"


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    need_ssh()
    (tmp_path / "server").mkdir()
    server = SshServer(tmp_path / "server")
    server.start()
    monkeypatch.setenv("PATH", f"{server.folder}/bin:{os.environ['PATH']}")
    yield server
    server.stop()


@pytest.fixture
def webdav(tmp_path: Path) -> Iterator[WebdavServer]:
    (tmp_path / "server").mkdir()
    server = WebdavServer(tmp_path / "server")
    server.start()
    yield server
    server.stop()


def choose(person: Person, settings: list[list[str]]) -> None:
    """Make a server the person's remote."""
    for words in settings:
        person.dvc(*words)
    person.git("commit", "-q", "-a", "-m", "remote")


def settle(person: Person, settings: list[list[str]]) -> None:
    """What a clone does not carry: settings of .dvc/config.local."""
    for words in settings:
        if "--local" in words:
            person.dvc(*words)


def refused(person: Person) -> str:
    """The one sentence with which publishing ends, and soon; nothing was sent."""
    begun = time.monotonic()
    with pytest.raises(UserError) as error:
        person.publish()
    seconds = max(time.monotonic() - begun - person_overhead(person), 0)
    assert seconds < SOON_S
    assert not any("dvc push" in command for command in person.commands)
    (line,) = [line for line in str(error.value).splitlines() if line.startswith("  - ")]
    return line


def person_overhead(person: Person) -> float:
    """Seconds for which one start of DVC keeps this machine busy, now."""
    begun = time.monotonic()
    person.dvc("config", "--list")
    return time.monotonic() - begun


def test_what_is_published_by_ssh_is_fetched_by_ssh(newcomer, ssh, tmp_path):
    choose(newcomer, ssh.settings())
    said = newcomer.publish()
    assert "StrictHostKeyChecking=yes" in said
    newcomer.commit()
    colleague = newcomer.clone(tmp_path / "colleague")
    settle(colleague, ssh.settings())
    colleague.fetch()
    arrived, published = colleague.files(), newcomer.files()
    assert LEDGER in arrived and len(arrived) >= 5
    assert {path: published[path] for path in arrived} == arrived


@pytest.mark.parametrize(
    ("known", "said"),
    [("stranger", "somebody else may answer in its place"), (None, "is not in known_hosts; log in once with `ssh`")],
)
def test_a_server_with_another_key_or_an_unknown_one_gets_nothing(newcomer, ssh, known, said):
    choose(newcomer, ssh.settings())
    ssh.knows(known)
    assert said in refused(newcomer)
    assert list((ssh.folder / "store").iterdir()) == []


def test_a_wrong_key_of_the_client_is_told(newcomer, ssh):
    choose(newcomer, ssh.settings(key="stranger"))
    assert "does not accept your key" in refused(newcomer)


def test_a_port_where_nobody_listens_is_told(newcomer, ssh):
    choose(newcomer, ssh.settings(port=free_port()))
    assert "Connection refused" in refused(newcomer)


def test_a_server_that_is_silent_is_told(newcomer, ssh):
    with silent_port() as port:
        choose(newcomer, ssh.settings(port=port))
        assert "does not answer" in refused(newcomer)


def test_fetching_from_a_server_with_another_key_brings_nothing(newcomer, ssh, tmp_path):
    choose(newcomer, ssh.settings())
    newcomer.publish()
    newcomer.commit()
    colleague = newcomer.clone(tmp_path / "colleague")
    settle(colleague, ssh.settings())
    ssh.knows("stranger")
    with pytest.raises(UserError, match="somebody else may answer"):
        colleague.fetch()
    assert not any("dvc fetch" in command for command in colleague.commands)


def test_a_push_that_is_killed_midway_is_finished_by_the_next(newcomer, ssh):
    choose(newcomer, ssh.settings())
    table = newcomer.root / TABLE
    before = table.stat()
    table.write_bytes(os.urandom(200_000_000))
    os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))
    store = ssh.folder / "store"
    with ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(newcomer.publish)
        wait_for(lambda: any(path.stat().st_size > 1e6 for path in files(store)), 90, lambda: str(newcomer.said))
        os.kill(push_at_work(), signal.SIGKILL)
        with pytest.raises(UserError, match="nothing is lost: publish again, it goes on from here"):
            publishing.result()
    sent = address(store, table.read_bytes())
    assert not sent.exists(), "killed midway"
    newcomer.publish()
    assert sent.read_bytes() == table.read_bytes()


def push_at_work() -> int:
    """The process of DVC that sends files for these tests."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"push" in words:
                return int(folder.name)
    raise AssertionError("no dvc push at work")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_is_published_by_webdav_is_fetched_by_webdav(newcomer, webdav, tmp_path):
    choose(newcomer, webdav.settings())
    newcomer.publish()
    newcomer.commit()
    colleague = newcomer.clone(tmp_path / "colleague")
    settle(colleague, webdav.settings())
    colleague.fetch()
    assert colleague.files()[LEDGER] == newcomer.files()[LEDGER]


def test_a_wrong_password_of_webdav_is_told(newcomer, webdav):
    choose(newcomer, webdav.settings(password="wrong"))
    with pytest.raises(UserError, match=r"did not get everything|cannot be asked") as error:
        newcomer.publish()
    assert str(error.value).count("\n") == 0
