"""Pictures that real programs copy into the inbox, slowly, are edited once and whole."""

from collections.abc import Iterator

import pytest
from rig.clients import LOCAL, Client
from rig.crowd import Crowd


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """All of them at work at the same time."""
    one = Crowd(tmp_path_factory.mktemp("crowd"), LOCAL)
    yield one
    one.close()


@pytest.mark.parametrize("client", LOCAL, ids=lambda client: client.name)
def test_what_a_client_copies_is_edited_once_and_whole(crowd: Crowd, client: Client) -> None:
    if client.missing:
        pytest.skip(client.missing)
    crowd.assert_served(client)
