"""The other units: one of many daemons on a machine, and that of a user without rights."""

from PIL import Image
from service.bed import Bed, wait_for

ECHO = "hotfolder.yaml run --editor echo"


def drop(bed: Bed, root: str) -> None:
    """Drop a picture and its instruction."""
    inbox = bed.path(f"{root}/inbox")
    Image.effect_noise((96, 64), 60).convert("RGB").save(inbox / "a.png")
    (inbox / "a.txt").write_text("Make it blue", encoding="utf-8")


def hurry(bed: Bed, settings: str) -> None:
    """Have small settle times, and no need of much room."""
    words = ("s/min_free_gib: 2/min_free_gib: 0/", "s/settle_seconds: auto/settle_seconds: 0.2/")
    bed.run("sed", "-i", "-e", words[0], "-e", words[1], settings)


def test_one_of_many_has_settings_state_and_folders_of_its_own(installed: Bed) -> None:
    bed = installed
    bed.run("sh", "-c", "mkdir -p /srv/new && cd /srv/new && hotfolder init /srv/studio")
    bed.run("mv", "/srv/new/hotfolder.yaml", "/etc/hotfolder/studio.yaml")
    bed.run("chown", "-R", "hotfolder:design", "/srv/studio")
    hurry(bed, "/etc/hotfolder/studio.yaml")
    program = "/opt/hotfolder/bin/hotfolder --config /etc/hotfolder/studio.yaml run --editor echo"
    lines = f"ReadWritePaths=/srv/studio\nExecStart=\nExecStart={program}"
    bed.write("/etc/systemd/system/hotfolder@studio.service.d/x.conf", f"[Service]\n{lines}\n")
    bed.run("systemctl", "daemon-reload")
    bed.run("systemctl", "start", "hotfolder@studio")
    drop(bed, "/srv/studio")
    wait_for(bed.path("/srv/studio/outbox/a.png.json").exists)
    assert bed.path("/var/lib/hotfolder-studio/history.sqlite3").exists()
    bed.run("systemctl", "stop", "hotfolder@studio")


def test_a_user_without_rights_has_a_service_that_is_offline_too(bed: Bed) -> None:
    home = "/home/anna"
    bed.run("useradd", "--create-home", "anna")
    bed.run("loginctl", "enable-linger", "anna")
    number = bed.run("id", "-u", "anna").strip()
    mine = (f"XDG_RUNTIME_DIR=/run/user/{number}", f"HOME={home}")
    anna = ("runuser", "-u", "anna", "--", "env", *mine)
    folders = (".config/systemd/user", ".config/hotfolder", ".local/bin")
    bed.run(*anna, "mkdir", "-p", *(f"{home}/{name}" for name in folders))
    bed.run(*anna, "ln", "-s", "/opt/hotfolder/bin/hotfolder", f"{home}/.local/bin/hotfolder")
    init = f"cd {home}/.config/hotfolder && /opt/hotfolder/bin/hotfolder init {home}/hot"
    bed.run(*anna, "sh", "-c", init)
    hurry(bed, f"{home}/.config/hotfolder/hotfolder.yaml")
    unit = bed.run("cat", "/opt/bed/source/systemd/user/hotfolder.service")
    unit = unit.replace("hotfolder.yaml run", ECHO)
    bed.write(f"{home}/.config/systemd/user/hotfolder.service", unit)
    wait_for(lambda: bed.call(*anna, "systemctl", "--user", "daemon-reload").returncode == 0)
    bed.run(*anna, "systemctl", "--user", "enable", "--now", "hotfolder")
    said = bed.run("journalctl", "-o", "cat", f"_UID={number}")
    assert "Offline verified: no sockets but local ones may be made." in said
    drop(bed, f"{home}/hot")
    wait_for(bed.path(f"{home}/hot/outbox/a.png.json").exists)
    bed.run(*anna, "systemctl", "--user", "stop", "hotfolder")
