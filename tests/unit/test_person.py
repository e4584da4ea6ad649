"""Who calls: behind sudo, who called sudo; and nobody becomes another by an environment variable."""

from __future__ import annotations

import os
import pwd
import socket

from drd.wiring.person import caller

HOST = socket.gethostname()
NAMELESS = 4_000_000_001


def test_root_is_who_called_sudo() -> None:
    assert caller(0, {"SUDO_USER": "eva"}) == f"eva@{HOST}"
    assert caller(0, {}) == f"{pwd.getpwuid(0).pw_name}@{HOST}"
    assert caller(0, {"SUDO_USER": ""}) == f"{pwd.getpwuid(0).pw_name}@{HOST}"


def test_only_root_can_have_been_called_by_sudo() -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    assert caller(nobody, {"SUDO_USER": "eva"}) == f"nobody@{HOST}"


def test_a_user_without_a_name_is_a_number() -> None:
    assert caller(NAMELESS, {}) == f"{NAMELESS}@{HOST}"


def test_without_arguments_it_is_this_process() -> None:
    assert caller() in {caller(os.geteuid()), caller(0, os.environ)}
