"""The service comes onto a machine in one command, and leaves it again; data stays."""

from pathlib import Path

from service.bed import Bed

WORDS = ("install", "--root", "/srv/hot", "--model", "/models/tiny", "--group", "design")


def test_a_dry_run_names_the_steps_and_does_none(bed: Bed) -> None:
    said = bed.run("hotfolder", "install", "--root", "/srv/dry", "--dry-run")
    assert "would     make /srv/dry a hot folder" in said
    assert "would     write /etc/systemd/system/hotfolder.service" in said
    assert not bed.path("/srv/dry").exists()


def test_one_command_makes_it_a_service(installed: Bed) -> None:
    assert installed.run("systemctl", "is-enabled", "hotfolder").strip() == "enabled"
    assert installed.run("stat", "-c", "%U:%G %a", "/srv/hot/inbox") == "hotfolder:design 2770\n"
    settings = installed.path("/etc/hotfolder/hotfolder.yaml").read_text(encoding="utf-8")
    assert '  path: "/models/tiny"\n' in settings
    assert installed.property("hotfolder", "MemoryMax") != "infinity"


def test_the_page_that_the_unit_names_is_there(installed: Bed) -> None:
    named = installed.property("hotfolder", "Documentation").removeprefix("file://")
    assert installed.path(named).read_text(encoding="utf-8").startswith("# Operations")


def test_a_second_time_changes_nothing(installed: Bed) -> None:
    files = installed.run("find", "/etc", "/srv/hot", "-newer", "/etc/hostname", "-type", "f")
    stamps = installed.run("stat", "-c", "%n %Z", *files.split())
    said = installed.run("hotfolder", *WORDS)
    assert "done  " not in said
    assert "as it is  write /etc/systemd/system/hotfolder.service" in said
    assert installed.run("stat", "-c", "%n %Z", *files.split()) == stamps


def test_settings_that_say_otherwise_stay_and_are_named(installed: Bed) -> None:
    settings = installed.path("/etc/hotfolder/hotfolder.yaml")
    before = settings.read_text(encoding="utf-8")
    settings.write_text(before.replace("/srv/hot", "/srv/other"), encoding="utf-8")
    done = installed.call("hotfolder", *WORDS, "--start")
    assert done.returncode == 78
    assert "does not name /srv/hot: add `- root: /srv/hot`" in done.stdout
    assert installed.property("hotfolder", "ActiveState") == "inactive"
    settings.write_text(before, encoding="utf-8")


def test_uninstalling_only_says_so_in_a_dry_run(installed: Bed) -> None:
    said = installed.run("hotfolder", "uninstall", "--dry-run")
    assert "would     remove /etc/systemd/system/hotfolder.service" in said
    assert installed.path("/etc/systemd/system/hotfolder.service").exists()


def test_what_the_service_could_not_see_is_refused_before_anything_is_done(bed: Bed) -> None:
    done = bed.call("hotfolder", "install", "--root", "/home/anna/hot")
    assert done.returncode == 78
    assert "/home/anna/hot lies in /home, which the service cannot see" in done.stderr
    assert not Path(bed.path("/home/anna")).exists()


def test_only_root_installs(bed: Bed) -> None:
    user = ("setpriv", "--reuid=1", "--regid=1", "--clear-groups")
    done = bed.call(*user, "/opt/hotfolder/bin/hotfolder", "install", "--root", "/srv/other")
    assert (done.returncode, "run it with sudo" in done.stderr) == (78, True)
