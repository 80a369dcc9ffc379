"""What a start refuses, each with its remedy."""

import os
import socket
from pathlib import Path

import pytest

from meshkit.config import ConfigError
from services.up.config import Config
from services.up.lock import AlreadyRunning, only_one
from services.up.ports import PortsTaken, check_free
from services.up.secrets import Secrets


def test_a_second_mesh_on_a_folder_is_refused(tmp_path: Path) -> None:
    """The error names the folder and the process that holds it."""
    with (
        only_one(tmp_path),
        pytest.raises(AlreadyRunning, match=f"{tmp_path} .process {os.getpid()}"),
        only_one(tmp_path),
    ):
        pass
    with only_one(tmp_path):
        pass


def test_taken_ports_are_named(tmp_path: Path) -> None:
    """Each taken port comes with who wanted it and the variable that moves it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(PortsTaken, match=rf"{address}, wanted by gateway \(MESH_X\)"):
            check_free({"gateway (MESH_X)": address})
    check_free({"gateway (MESH_X)": address})


def test_a_bad_configuration_is_a_list(tmp_path: Path) -> None:
    """Every fault is told at once."""
    with pytest.raises(ConfigError) as caught:
        Config.read({"MESH_GATEWAY_LISTEN": "here", "MESH_HTTP_BASE_PORT": "80"}, tmp_path)
    assert len(caught.value.faults) == 2


def test_secrets_stay_and_are_ours_alone(tmp_path: Path) -> None:
    """A secret is made once, and nobody else can read it."""
    secret = Secrets(tmp_path / "secrets.json").get("one")
    assert Secrets(tmp_path / "secrets.json").get("one") == secret
    assert Secrets(tmp_path / "secrets.json").get("two") != secret
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
