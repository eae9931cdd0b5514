import errno

import pytest

from daemon.events.events import NotConfined, OfflineVerified
from daemon.service.preflight import network_event
from daemon.service.systemd import hindrance


def test_who_moves_or_waits_for_a_share_hinders_no_sign_of_life() -> None:
    assert hindrance([("/srv/hot", 0.0)], -590.0, 0.0) == ""


def test_a_scan_that_waits_for_itself_withholds_it() -> None:
    assert hindrance([("/a", 0.0), ("/b", 30.0)], -1.0, 0.0) == "the scan of /b stands still"


def test_an_editor_that_outlives_its_end_withholds_it() -> None:
    assert hindrance([], 29.0, 0.0) == ""
    assert "the editor hangs" in hindrance([], 30.0, 0.0)


def test_scans_that_fail_withhold_it_seldom() -> None:
    assert hindrance([], -1.0, failing_seconds=599.0) == ""
    assert hindrance([], -1.0, failing_seconds=600.0) == (
        "the scans of all hot folders fail again and again"
    )


@pytest.mark.parametrize(
    ("refusal", "interfaces", "kind"),
    [
        (errno.EAFNOSUPPORT, ["eth0", "lo"], OfflineVerified),
        (errno.EPERM, ["eth0", "lo"], OfflineVerified),
        (errno.ENETUNREACH, ["lo"], OfflineVerified),
        (errno.ENETUNREACH, [], OfflineVerified),
        (errno.ENETUNREACH, ["eth0", "lo"], NotConfined),  # of another kind of address, perhaps
        (None, ["lo"], NotConfined),
    ],
)
def test_offline_is_where_no_way_leads_out(
    refusal: int | None, interfaces: list[str], kind: type
) -> None:
    assert isinstance(network_event(refusal, interfaces), kind)
