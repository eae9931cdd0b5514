"""The kinds of events that administrators look for: an id for each, which never changes."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.log.story import Event


@dataclass(frozen=True, slots=True)
class Kind:
    """What the journal knows of one kind of event."""

    message_id: str  # systemd/hotfolder.catalog explains it
    state: str = ""  # in which a job or hot folder is after it
    error_class: str = ""  # what is at fault: "job", "share", "config", …


KINDS = {  # by the name of the class
    "Started": Kind("28a7fc734ff14404a2de850e20127221"),
    "EditorReady": Kind("4594e40e4549464cac16771339f94970"),
    "OfflineVerified": Kind("8f2481f6196842ddaccb114e45d2c3e9"),
    "NotConfined": Kind("04fad3b2a41a4e65a296162a0b8fa57d"),
    "JobClaimed": Kind("e27e1f2e0ebe4bb8a3709d84f14eb320", state="claimed"),
    "JobDone": Kind("d28e285d4cf249aea9bed5d82027d2a9", state="done"),
    "JobFailed": Kind("4a4fc1bbe05740efa581f29a364a2095", state="failed", error_class="job"),
    "JobQuarantined": Kind(
        "d915fcc837fe4cc6a888bbcdd93f7bb8", state="quarantined", error_class="crash"
    ),
    "JobRetry": Kind("d6a22861a7554e85a7a22deeda833d10", state="claimed", error_class="transient"),
    "EditorLost": Kind("5b68e568bf85436baf85b1c9dab305ca", error_class="crash"),
    "PixelWorkerLost": Kind("0c6a3f5d8e7b4b1f9a52d4c7e81b6f30", error_class="crash"),
    "FolderOnline": Kind("e87b7276901e4fa2a502377178abd7a5", state="online"),
    "FolderOffline": Kind(
        "527db6ef032342f4a636c4b14e1a3dd3", state="offline", error_class="share"
    ),
    "FolderLowSpace": Kind(
        "aa08d2fd011f418ba92f7897a1abf2d0", state="low-space", error_class="space"
    ),
    "FolderDegraded": Kind("23246448053d4868ac0db78d52c65636", error_class="share"),
    "FolderStandby": Kind("6224cb68e1294652aae333fdb0fb83df", state="standby"),
    "WorkHalted": Kind("bf4083c6b63a4b93a780f8de0c6a8525", state="paused", error_class="machine"),
    "WorkGoesOn": Kind("219e454804eb42cca04049cfa155e175"),
    "SettingsReloaded": Kind("54b48100f5ee42a7af3b3dbf85c44fda"),
    "SettingsRefused": Kind("08e6302640f644aea9ff195b90b48680", error_class="config"),
    "NotStarted": Kind("eb244a866c274993a7d024f3bace4a59", error_class="config"),
    "Withheld": Kind("23b48959d7854f80aad8ed6e67433a7e", error_class="hang"),
    "ThreadFailed": Kind("5d27a3fd1b7a4c6c9f0c0e5cf7a1b6e2", error_class="bug"),
    "Stopping": Kind("23ad8e23e40d46a5a390adbffea7558c"),
    "FolderRests": Kind("ee9da2fc2d2f47b9aa04587aeb3077e5", state="paused"),
    "FolderGoesOn": Kind("785a483d0b4147dfa8fbc5efb38540d8", state="online"),
    "JobGivenBack": Kind("46f1934f5e2245b7ae332fc9a04f5131", state="ready"),
}
_NONE = Kind("")


def kind_of(event: Event) -> Kind:
    """What kind of event it is; one without id where nobody looks for it."""
    return KINDS.get(type(event).__name__, _NONE)
