"""What OpenSSH's answers about a server mean; the real server is in test_servers.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from avbalance.sharing import hosts


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Let `ssh` write down its words, complain, and end with a status."""

    def pretend(complaint: str = "", status: int = 0) -> Path:
        script = tmp_path / "ssh"
        words = tmp_path / "words"
        script.write_text(f"#!/bin/sh\necho \"$@\" > '{words}'\necho '{complaint}' >&2\nexit {status}\n")
        script.chmod(0o755)
        return words

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return pretend


def refusal(url: str, **settings: str) -> str | None:
    return hosts.refusal(url, settings, lambda line: None)


@pytest.mark.parametrize("url", ["s3://bucket/x", "webdavs://server/x", "https://server/x"])
def test_other_remotes_are_not_asked(ssh, url):
    words = ssh(status=1)
    assert refusal(url) is None
    assert not words.exists()


def test_the_server_is_asked_as_dvc_would_ask_it(ssh):
    words = ssh()
    assert refusal("ssh://ada@server:2222/srv/x", keyfile="/k", user="ben", port="2200") is None
    said = words.read_text()
    assert "-p 2200 -l ben -i /k -s -- server sftp" in said
    assert "StrictHostKeyChecking=yes" in said and "BatchMode=yes" in said
    refusal("ssh://ada@server:2222/srv/x")
    assert "-p 2222 -l ada -s -- server sftp" in words.read_text()


def test_a_host_that_looks_like_an_option_stays_a_host(ssh):
    words = ssh()
    refusal("ssh://-oProxyCommand=x/srv")
    assert "-s -- -oproxycommand=x sftp" in words.read_text()


def test_with_a_password_of_dvc_only_the_key_of_the_server_counts(ssh):
    ssh("ada@server: Permission denied (publickey,password).", 255)
    assert refusal("ssh://server/x", ask_password="true") is None
    assert "does not accept your key" in (refusal("ssh://server/x") or "")
    ssh("Host key verification failed.", 255)
    assert "not in known_hosts" in (refusal("ssh://server/x", ask_password="true") or "")


def test_what_is_new_is_told_as_it_is(ssh):
    ssh("ssh: Could not resolve hostname server: Name or service not known", 255)
    assert "Could not resolve hostname" in (refusal("ssh://server/x") or "")


def test_an_address_without_a_port_that_is_one_is_told(ssh):
    ssh()
    assert "not an address with a port" in (refusal("ssh://server:many/x") or "")
