"""Whether a server may be used: what OpenSSH's answers mean, and publishing and fetching through real servers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from local_servers import SshServer, WebdavServer, need_ssh, silent_port, wait_for
from small import LEDGER, TABLE, Clone, address

from flowkeeper import servers
from flowkeeper.errors import UserError

SOON_S = 15.0
Pretend = Callable[..., Path]


# --- What an answer means ---


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Let `ssh` write down its words, complain, and end with a status."""

    def ssh(complaint: str = "", status: int = 0) -> Path:
        script, words = tmp_path / "ssh", tmp_path / "words"
        script.write_text(f"#!/bin/sh\necho \"$@\" > '{words}'\necho '{complaint}' >&2\nexit {status}\n")
        script.chmod(0o755)
        return words

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return ssh


def obstacle(url: str, **settings: str) -> str:
    return servers.obstacle(url, settings, lambda line: None) or ""


@pytest.mark.parametrize("url", ["s3://bucket/x", "webdavs://server/x", "https://server/x"])
def test_other_remotes_are_not_asked(pretend: Pretend, url: str) -> None:
    words = pretend(status=1)
    assert not obstacle(url) and not words.exists()


def test_the_server_is_asked_as_dvc_would_ask_it(pretend: Pretend) -> None:
    words = pretend()
    assert not obstacle("ssh://ada@server:2222/srv/x", keyfile="/k", user="ben", port="2200")
    said = words.read_text()
    assert "-p 2200 -l ben -i /k -s -- server sftp" in said
    assert "StrictHostKeyChecking=yes" in said and "BatchMode=yes" in said
    obstacle("ssh://ada@server:2222/srv/x")
    assert "-p 2222 -l ada -s -- server sftp" in words.read_text()
    obstacle("ssh://-oProxyCommand=x/srv")
    assert "-s -- -oproxycommand=x sftp" in words.read_text(), "a host that looks like an option stays a host"


def test_with_a_password_of_dvc_only_the_key_of_the_server_counts(pretend: Pretend) -> None:
    pretend("ada@server: Permission denied (publickey,password).", 255)
    assert not obstacle("ssh://server/x", ask_password="true")
    assert "does not accept your key" in obstacle("ssh://server/x")
    pretend("Host key verification failed.", 255)
    assert "not in known_hosts" in obstacle("ssh://server/x", ask_password="true")


def test_what_is_new_is_told_as_it_is(pretend: Pretend) -> None:
    pretend("ssh: Could not resolve hostname server: Name or service not known", 255)
    assert "Could not resolve hostname" in obstacle("ssh://server/x")
    assert "not an address with a port" in obstacle("ssh://server:many/x")


# --- Real servers ---


def real(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that starts a server and publishes through it."""
    marked = pytest.mark.usefixtures("nothing_pending")(pytest.mark.xdist_group("cluster")(test))
    return pytest.mark.slow(marked)


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


def choose(clone: Clone, settings: list[list[str]]) -> None:
    """Make a server the clone's remote."""
    for words in settings:
        clone.dvc(*words)
    clone.git("commit", "-q", "-a", "-m", "remote")


def settle(clone: Clone, settings: list[list[str]]) -> None:
    """What a clone does not carry: settings of .dvc/config.local."""
    for words in settings:
        if "--local" in words:
            clone.dvc(*words)


def refused(clone: Clone) -> str:
    """The one sentence with which publishing ends, and soon; nothing was sent."""
    begun = time.monotonic()
    with pytest.raises(UserError) as error:
        clone.publish()
    seconds = max(time.monotonic() - begun - start_of_dvc(clone), 0)
    assert seconds < SOON_S
    assert not any("dvc push" in command for command in clone.commands)
    (line,) = [line for line in str(error.value).splitlines() if line.startswith("  - ")]
    return line


def start_of_dvc(clone: Clone) -> float:
    """Seconds for which one start of DVC keeps this machine busy, now."""
    begun = time.monotonic()
    clone.dvc("config", "--list")
    return time.monotonic() - begun


@real
def test_what_is_published_by_ssh_is_fetched_by_ssh(newcomer: Clone, ssh: SshServer, tmp_path: Path) -> None:
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


@real
@pytest.mark.parametrize(
    ("known", "key", "said"),
    [
        ("stranger", "client", "somebody else may answer in its place"),
        (None, "client", "is not in known_hosts; log in once with `ssh`"),
        ("host", "stranger", "does not accept your key"),
    ],
)
def test_a_server_with_a_wrong_or_unknown_key_or_one_that_refuses_gets_nothing(
    newcomer: Clone, ssh: SshServer, known: str | None, key: str, said: str
) -> None:
    choose(newcomer, ssh.settings(key=key))
    ssh.knows(known)
    assert said in refused(newcomer)
    assert list((ssh.folder / "store").iterdir()) == []


@real
def test_a_server_that_is_silent_is_told(newcomer: Clone, ssh: SshServer) -> None:
    with silent_port() as port:
        choose(newcomer, ssh.settings(port=port))
        assert "does not answer" in refused(newcomer)


@real
def test_fetching_from_a_server_with_another_key_brings_nothing(
    newcomer: Clone, ssh: SshServer, tmp_path: Path
) -> None:
    choose(newcomer, ssh.settings())
    newcomer.publish()
    newcomer.commit()
    colleague = newcomer.clone(tmp_path / "colleague")
    settle(colleague, ssh.settings())
    ssh.knows("stranger")
    with pytest.raises(UserError, match="somebody else may answer"):
        colleague.fetch()
    assert not any("dvc fetch" in command for command in colleague.commands)


@real
def test_a_push_that_is_killed_midway_is_finished_by_the_next(newcomer: Clone, ssh: SshServer) -> None:
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
    return next(child.pid for child in psutil.Process().children() if "push" in child.cmdline())


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@real
def test_what_is_published_by_webdav_is_fetched_by_webdav(
    newcomer: Clone, webdav: WebdavServer, tmp_path: Path
) -> None:
    choose(newcomer, webdav.settings())
    newcomer.publish()
    newcomer.commit()
    colleague = newcomer.clone(tmp_path / "colleague")
    settle(colleague, webdav.settings())
    colleague.fetch()
    assert colleague.files()[LEDGER] == newcomer.files()[LEDGER]


@real
def test_a_wrong_password_of_webdav_is_told(newcomer: Clone, webdav: WebdavServer) -> None:
    choose(newcomer, webdav.settings(password="wrong"))
    with pytest.raises(UserError, match=r"did not get everything|cannot be asked") as error:
        newcomer.publish()
    assert str(error.value).count("\n") == 0
