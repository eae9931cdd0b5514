"""Pictures that come through SSH and Samba servers are edited once and whole."""

from pathlib import Path

import pytest
from rig.crowd import Crowd
from rig.servers import missing, serving

pytestmark = pytest.mark.torture


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_what_comes_over_the_network_is_edited_once_and_whole(tmp_path: Path) -> None:
    with serving(tmp_path / "servers", tmp_path) as clients:
        crowd = Crowd(tmp_path / "crowd", clients)
        try:
            for client in clients:
                assert not client.missing, client.missing
                crowd.assert_served(client)
        finally:
            crowd.close()
