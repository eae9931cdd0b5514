import pytest

from daemon.fs.mounts import is_share, mount_of, parse

TABLE = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw - proc proc rw
30 22 0:44 / /mnt/nas rw shared:7 master:3 - autofs systemd-1 rw,fd=30
31 30 0:45 /hot /mnt/nas rw,relatime shared:8 - nfs4 nas:/hot rw,vers=4.2
32 22 0:46 / /mnt/the\\040picture\\134share rw - cifs //nas/a\\040b rw
33 22 8:17 / /media/disk rw - fuseblk /dev/sdb1 rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "type_", "device"),
    [
        ("/srv/hot", "ext4", "8:1"),
        ("/mnt/nas", "nfs4", "0:45"),  # the last mount on a point hides those before
        ("/mnt/nas/inbox/a.png", "nfs4", "0:45"),
        ("/mnt/nasty", "ext4", "8:1"),  # not below /mnt/nas
        ("/mnt/the picture\\share/x", "cifs", "0:46"),
        ("/media/disk/x", "fuseblk", "8:17"),
    ],
)
def test_a_path_lies_on_the_deepest_mount(path: str, type_: str, device: str) -> None:
    mount = mount_of(path, parse(TABLE))
    assert mount is not None
    assert (mount.type, mount.device) == (type_, device)


def test_escapes_in_the_source_are_undone() -> None:
    mount = mount_of("/mnt/the picture\\share", parse(TABLE))
    assert mount is not None
    assert mount.source == "//nas/a b"


def test_a_path_without_a_mount_has_none() -> None:
    assert mount_of("/x", parse("no table")) is None


@pytest.mark.parametrize(
    "type_", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse", "9p", "virtiofs", "vboxsf"]
)
def test_shares_are_known(type_: str) -> None:
    assert is_share(type_)


@pytest.mark.parametrize("type_", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk"])
def test_local_disks_are_no_shares(type_: str) -> None:
    assert not is_share(type_)
