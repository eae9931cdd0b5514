import re
import socket
from pathlib import Path

from daemon.events import events, job_events
from daemon.events.events import DaemonEvent, Detail, Noted
from daemon.events.job_events import JobFailed
from daemon.events.sinks import JournalLog, record

CATALOG = Path(__file__).parents[2] / "systemd" / "hotfolder.catalog"
FAILED = JobFailed(
    root=Path("/srv/hot"),
    job_id="j1",
    path="a\n\udcff.png",
    cause="It is black.",
    advice="Try again.",
    originals="failed/2026-11-22/a",
)
KINDS = {
    name: it.kind
    for module in (events, job_events)
    for name, it in vars(module).items()
    if isinstance(it, type) and issubclass(it, DaemonEvent) and it.kind.message_id
}


def test_an_event_is_a_message_with_fields_that_the_journal_keeps() -> None:
    told = record(FAILED)
    assert told["MESSAGE"].startswith("a\\n\\xff.png was not edited: It is black.")
    assert (told["PRIORITY"], told["SYSLOG_IDENTIFIER"]) == ("3", "hotfolder")
    assert told["HOTFOLDER_JOB"] == "j1"
    assert told["HOTFOLDER_INBOX"] == "/srv/hot"
    assert told["HOTFOLDER_FILE"] == "a\\n\\xff.png"
    assert told["HOTFOLDER_STATE"] == "failed"
    assert told["HOTFOLDER_ERRCLASS"] == "job"
    assert re.fullmatch(r"[0-9a-f]{32}", told["MESSAGE_ID"])
    assert all(re.fullmatch(r"[A-Z][A-Z_]*", name) for name in told)


def test_a_record_reaches_the_socket_in_the_journals_own_words(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        journal.settimeout(5.0)
        log = JournalLog(tmp_path / "journal", verbose=False)
        log.tell(Detail(text="Not for now."))
        log.tell(Noted(text="Beware."))
        lines = journal.recv(9999).decode().split("\n")
    assert lines[:3] == ["MESSAGE=Beware.", "PRIORITY=4", "SYSLOG_IDENTIFIER=hotfolder"]


def test_a_field_holds_so_many_bytes_and_whole_characters(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        journal.settimeout(5.0)
        JournalLog(tmp_path / "journal", verbose=False).tell(Noted(text="\u6d77" * 4096))
        fields = dict(line.split(b"=", 1) for line in journal.recv(99999).splitlines())
    assert fields[b"MESSAGE"] == fields[b"HOTFOLDER_TEXT"] == "\u6d77".encode() * 1365
    assert (
        len(fields[b"MESSAGE"]) == 4095
    )  # of 4096: a character of three bytes is whole or absent


def test_a_journal_that_does_not_listen_hinders_nothing(tmp_path: Path) -> None:
    JournalLog(tmp_path / "nobody", verbose=True).tell(FAILED)


def test_every_kind_has_an_id_of_its_own() -> None:
    assert len({kind.message_id for kind in KINDS.values()}) == len(KINDS)


def test_the_catalog_explains_every_kind_and_no_other() -> None:
    text = CATALOG.read_text(encoding="utf-8")
    explained = re.findall(r"^-- (\w+)\nSubject: \S.*\nDefined-By: Hotfolder$", text, re.MULTILINE)
    assert sorted(explained) == sorted(kind.message_id for kind in KINDS.values())
