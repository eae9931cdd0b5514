from dataclasses import replace
from pathlib import Path

import pytest

from daemon.install import plan
from daemon.install.plan import InstallRequest, Machine, request_problems
from daemon.install.steps import Call, Remove, Write

ORDER = InstallRequest(
    root=Path("/srv/hot"),
    model=Path("/models/Qwen"),
    user="hotfolder",
    group="design",
    is_to_start=False,
)
MACHINE = Machine(
    program=Path("/opt/other/bin/hotfolder"),
    memory_bytes=128 << 30,
    model_bytes=60 << 30,
    mount_point=None,
    mount_unit="",
    is_booted=True,
)
ON_A_SHARE = replace(MACHINE, mount_point="/srv", mount_unit="srv.mount")


def written(request: InstallRequest, machine: Machine) -> dict[str, str]:
    steps = plan.install(request, machine)
    return {str(step.path): step.content for step in steps if isinstance(step, Write)}


def test_the_unit_calls_this_program_as_this_user_with_memory_for_this_model() -> None:
    files = written(ORDER, MACHINE)
    assert "ExecStart=/opt/other/bin/hotfolder " in files["/etc/systemd/system/hotfolder.service"]
    lines = files["/etc/systemd/system/hotfolder.service.d/10-install.conf"].splitlines()
    wanted = ["User=hotfolder", "Group=design", "ReadWritePaths=-/srv/hot", "MemoryMax=80G"]
    assert [line for line in lines if line in wanted] == wanted


@pytest.mark.parametrize(
    ("memory_gib", "model_gib", "limit"),
    [
        (128, 54.8, "75G"),
        (128, 2.0, "22G"),
        (62.5, 54.8, "64000M"),  # no more than there is
        (31.25, 30.2, "32000M"),
        (7.5, 2.0, "7680M"),
    ],
)
def test_memory_is_limited_to_what_the_model_takes_and_pictures(
    memory_gib: float, model_gib: float, limit: str
) -> None:
    memory, model = (int(gib * 2**30) for gib in (memory_gib, model_gib))
    files = written(ORDER, replace(MACHINE, memory_bytes=memory, model_bytes=model))
    lines = files["/etc/systemd/system/hotfolder.service.d/10-install.conf"].splitlines()
    assert f"MemoryMax={limit}" in lines


def test_on_a_share_the_service_is_bound_to_its_mount() -> None:
    name = "/etc/systemd/system/hotfolder.service.d/20-nas.conf"
    assert name not in written(ORDER, MACHINE)
    lines = written(ORDER, ON_A_SHARE)[name].splitlines()
    assert "BindsTo=srv.mount" in lines
    assert "AssertPathIsMountPoint=/srv" in lines
    assert "RequiresMountsFor=/srv" in lines
    assert "WantedBy=srv.mount" in lines


def test_settings_that_are_there_stay() -> None:
    steps = list(plan.install(ORDER, MACHINE))
    kept = [step.path for step in steps if isinstance(step, Write) and step.keep]
    assert kept == [Path("/etc/hotfolder/hotfolder.yaml")]


def test_without_systemd_running_nothing_is_asked_of_it() -> None:
    steps = list(plan.install(ORDER, replace(MACHINE, is_booted=False)))
    assert Call(("systemctl", "daemon-reload")) not in steps


def test_what_was_written_for_the_service_is_removed_with_it_and_settings_are_not() -> None:
    removed = {str(it.path) for it in plan.uninstall(is_booted=True) if isinstance(it, Remove)}
    assert removed == set(written(ORDER, ON_A_SHARE)) - {"/etc/hotfolder/hotfolder.yaml"}


def test_the_shipped_users_are_those_that_are_written_by_default() -> None:
    request = replace(ORDER, group="hotfolder")
    assert plan.users(request) == plan.shipped("hotfolder.sysusers")


def test_all_that_would_keep_it_from_working_is_named_at_once() -> None:
    request = replace(
        ORDER, root=Path("/home/a/hot"), model=Path("/models/a b"), user="root", group="Design!"
    )
    told = " ".join(map(str, request_problems(request, Path("/root/venv/bin/hotfolder"))))
    for word in ("/home/a/hot lies in /home", "/root", "/models/a b", "'Design!'", "run as root"):
        assert word in told
