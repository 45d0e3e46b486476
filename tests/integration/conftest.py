"""Fixtures of the integration tests: one running server for each test module and kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration import servers
from tests.integration.servers import Server


@pytest.fixture(scope="module", params=servers.EVERY)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The plain application on every server."""
    with servers.running(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture(scope="module", params=servers.MAIN)
def flask_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The Flask application on the main servers."""
    folder = tmp_path_factory.mktemp(request.param)
    with servers.running(request.param, folder, "flask") as server:
        yield server
