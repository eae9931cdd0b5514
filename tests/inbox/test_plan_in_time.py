"""What an inbox waits for as time goes by, what goes first, and who needs what."""

from dataclasses import replace

import pytest
from paper import FINAL, PART, PROMPT, RULES, WHOLE, PaperInbox, about, names, states

from config.instruction_keys import Keys
from daemon.inbox.plan import preset_chain
from daemon.job import State

READY, WAITS, HELD, SETTLING = State.READY, State.WAITING_SIDECAR, State.HELD, State.SETTLING
NAMES_LOGO = b"prompt: add the logo\nimages: [logo.png]\n"
BROKEN = b"promt: red\n"


def test_nothing_is_ready_before_the_settle_time() -> None:
    inbox = PaperInbox({"a.jpg": WHOLE, "a.yaml": PROMPT})
    inbox.look()
    plan = inbox.wait(1.2).look()
    assert set(states(plan).values()) == {SETTLING}
    assert about(plan, "a.jpg").reason == "settling: unchanged for 1.2 s of 2 s"
    assert plan.scan_again_at == 1002.0
    assert names(inbox.wait(0.8).look().ready) == ["a.jpg"]


def test_a_growing_image_starts_its_wait_again() -> None:
    inbox = PaperInbox({"a.jpg": PART, "a.yaml": PROMPT})
    inbox.look()
    inbox.write({"a.jpg": WHOLE})
    inbox.wait(1.9).look()
    assert inbox.wait(1.9).look().ready == ()
    assert names(inbox.wait(0.1).look().ready) == ["a.jpg"]


def test_a_late_sidecar_is_waited_for_until_it_has_settled() -> None:
    inbox = PaperInbox({"a.jpg": WHOLE})
    inbox.settled()
    inbox.write({"a.yaml": PROMPT})
    plan = inbox.wait(60).look()
    assert about(plan, "a.jpg").reason == "waits for a.yaml: settling: unchanged for 0.0 s of 2 s"
    assert names(inbox.wait(2).look().ready) == ["a.jpg"]


def test_one_look_is_enough_without_a_settle_time() -> None:
    at_once = replace(RULES, settle_seconds=0.0)
    plan = PaperInbox({"a.jpg": WHOLE, "a.yaml": PROMPT, "b.jpg": b""}, at_once).look()
    assert states(plan) == {"a.jpg": READY, "a.yaml": READY, "b.jpg": SETTLING}


def test_an_incomplete_image_is_given_up_after_the_longest_wait() -> None:
    inbox = PaperInbox({"a.jpg": PART, "a.yaml": PROMPT})
    assert inbox.settled().scan_again_at == 1900.0
    assert inbox.wait(897.9).look().ready == ()
    (candidate,) = inbox.wait(0.1).look().ready
    assert str(candidate.problems[0]).startswith("a.jpg: is incomplete: ")


@pytest.mark.parametrize("empty", ["a.jpg", "a.yaml"])
def test_an_empty_file_is_given_up_after_the_longest_wait(empty: str) -> None:
    inbox = PaperInbox({"a.jpg": WHOLE, "a.yaml": PROMPT, empty: b""})
    assert inbox.settled().scan_again_at == 1900.0
    assert inbox.wait(897.9).look().ready == ()
    (candidate,) = inbox.wait(0.1).look().ready
    assert candidate.problems[0].where == empty
    assert "empty" in candidate.problems[0].what


def test_an_image_without_sidecar_is_held_at_last_but_never_fails() -> None:
    inbox = PaperInbox({"a.jpg": WHOLE})
    plan = inbox.settled()
    assert plan.scan_again_at == 4600.0
    plan = inbox.wait(3598).look()
    assert states(plan) == {"a.jpg": HELD}
    assert "add a.yaml or a.txt" in about(plan, "a.jpg").reason
    assert (plan.ready, plan.scan_again_at) == ((), None)


def test_a_held_image_runs_when_its_sidecar_comes() -> None:
    inbox = PaperInbox({"a.jpg": WHOLE})
    inbox.settled()
    inbox.wait(9999).look()
    inbox.write({"a.yaml": PROMPT})
    assert names(inbox.settled().ready) == ["a.jpg"]


def test_a_preset_lets_an_image_run_alone_after_a_grace_for_its_sidecar() -> None:
    inbox = PaperInbox({"_preset.yaml": PROMPT, "s/t/a.jpg": WHOLE})
    plan = inbox.settled()
    assert states(plan)["s/t/a.jpg"] is WAITS
    assert plan.scan_again_at == 1122.0
    (candidate,) = inbox.wait(120).look().ready
    assert (candidate.image.path, candidate.sidecar) == ("s/t/a.jpg", None)


def test_a_sidecar_within_the_grace_is_used() -> None:
    inbox = PaperInbox({"_preset.yaml": PROMPT, "a.jpg": WHOLE})
    inbox.settled()
    inbox.write({"a.yaml": b"priority: 9\n"})
    (candidate,) = inbox.settled().ready
    assert candidate.sidecar == inbox.files["a.yaml"]
    assert candidate.priority == 9


def test_a_sidecar_waits_for_its_image_and_is_reported_when_none_comes() -> None:
    inbox = PaperInbox({"a.yaml": PROMPT, "photo.jpg.txt": b"blue"})
    plan = inbox.settled()
    assert states(plan) == dict.fromkeys(("a.yaml", "photo.jpg.txt"), State.WAITING_SIDECAR)
    assert about(plan, "a.yaml").reason.startswith("waits for its picture since ")
    assert plan.scan_again_at == 1000.0 + 3600
    plan = inbox.wait(3600).look()
    assert about(plan, "a.yaml").state is State.HELD
    assert "no picture has come since" in about(plan, "a.yaml").reason
    assert "or remove it" in about(plan, "photo.jpg.txt").reason
    inbox.write({"a.jpg": WHOLE})
    assert names(inbox.settled().ready) == ["a.jpg"]


def test_a_named_preset_with_a_prompt_lets_an_image_run_alone() -> None:
    presets = {"product": Keys(prompt="a white background")}
    inbox = PaperInbox({"_preset.yaml": b"preset: product\n", "a.jpg": WHOLE}, presets=presets)
    inbox.settled()
    assert names(inbox.wait(120).look().ready) == ["a.jpg"]


def test_a_preset_that_is_being_written_holds_up_its_images() -> None:
    inbox = PaperInbox({"s/a.jpg": WHOLE, "s/a.yaml": PROMPT})
    inbox.look()
    inbox.write({"_preset.yaml": b"steps: 9\n"})
    plan = inbox.wait(2).look()
    assert about(plan, "s/a.jpg").reason.startswith("waits for _preset.yaml: settling")
    assert names(inbox.wait(2).look().ready) == ["s/a.jpg"]


def test_mending_a_preset_frees_its_images() -> None:
    inbox = PaperInbox({"_preset.yaml": BROKEN, "a.jpg": WHOLE, "a.yaml": b"steps: 9\n"})
    assert inbox.settled().ready == ()
    inbox.write({"_preset.yaml": PROMPT})
    (candidate,) = inbox.settled().ready
    assert candidate.problems == ()


def test_a_file_taken_away_while_we_look_is_not_ready() -> None:
    inbox = PaperInbox({"a.jpg": WHOLE, "a.yaml": PROMPT})
    inbox.look()
    gone = inbox.files.pop("a.jpg")
    inbox.files["A.jpg"] = gone  # listed under a path that opens nothing
    assert states(inbox.settled()) == {"a.jpg": SETTLING, "a.yaml": SETTLING}


class TestFinal:
    """What has settled will not change any more."""

    @pytest.mark.parametrize(
        "contents",
        [
            {"a.jpg": PART, "a.yaml": PROMPT},
            {"a.jpg": b"", "a.yaml": PROMPT},
            {"a.jpg": WHOLE, "a.yaml": b""},
            {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO},
            {"a.jpg": WHOLE, "a.yaml": NAMES_LOGO, "logo.png": PART},
            {"a.jpg": WHOLE, "a.yaml": PROMPT, "_preset.yaml": BROKEN},
            {"a.jpg": WHOLE, "_preset.yaml": BROKEN},
        ],
        ids=str,
    )
    def test_what_is_not_there_now_never_comes(self, contents: dict[str, bytes]) -> None:
        (candidate,) = PaperInbox(contents, FINAL).settled().ready
        assert candidate.image.path == "a.jpg"
        assert candidate.problems

    @pytest.mark.parametrize("path", ["a.jpg", "a.yaml"])
    def test_what_is_alone_stays_and_is_no_failure(self, path: str) -> None:
        plan = PaperInbox({path: WHOLE if path == "a.jpg" else PROMPT}, FINAL).settled()
        assert states(plan) == {path: WAITS}
        assert plan.ready == ()

    def test_a_preset_lets_an_image_run_alone_at_once(self) -> None:
        plan = PaperInbox({"_preset.yaml": PROMPT, "a.jpg": WHOLE}, FINAL).settled()
        assert names(plan.ready) == ["a.jpg"]

    def test_a_sidecar_still_on_its_way_may_name_the_image_as_its_reference(self) -> None:
        inbox = PaperInbox({"_preset.yaml": PROMPT, "logo.png": WHOLE, "a.jpg": WHOLE}, FINAL)
        inbox.look()
        inbox.write({"a.yaml": NAMES_LOGO})
        plan = inbox.wait(2).look()
        assert states(plan)["logo.png"] is WAITS
        assert names(inbox.wait(2).look().ready) == ["a.jpg"]


def test_a_candidate_has_all_that_its_job_needs() -> None:
    inbox = PaperInbox({"logo.png": WHOLE})
    inbox.look()
    instruction = b"prompt: red\nimages: [LOGO.png, b.png]\nmask: logo.png\npriority: 7\n"
    inbox.wait(10).write({"a.jpg": WHOLE, "a.yaml": instruction, "b.png": WHOLE})
    (candidate,) = inbox.settled().ready
    assert candidate.companions == (inbox.files["logo.png"], inbox.files["b.png"])
    assert (candidate.priority, candidate.since) == (7, 1000.0)


def test_the_urgent_go_first_then_the_early_then_by_number() -> None:
    inbox = PaperInbox({"img10.jpg": WHOLE, "img2.jpg": WHOLE})
    inbox.look()
    inbox.wait(1).write({"a.jpg": WHOLE, "z.jpg": WHOLE})
    inbox.write({f"{stem}.yaml": PROMPT for stem in ("img10", "img2", "a")})
    inbox.write({"z.yaml": PROMPT + b"priority: 9\n"})
    assert names(inbox.settled().ready) == ["z.jpg", "img2.jpg", "img10.jpg", "a.jpg"]


def test_a_shared_file_is_needed_by_every_image_that_waits_for_it() -> None:
    inbox = PaperInbox(
        {"a.jpg": WHOLE, "a.png": PART, "a.yaml": NAMES_LOGO, "b.yaml": NAMES_LOGO}
        | {"logo.png": WHOLE}
    )
    needed_by = inbox.settled().needed_by
    assert needed_by["a.yaml"] == {"a.jpg", "a.png"}
    assert needed_by["logo.png"] == {"a.jpg", "a.png", "b.yaml"}


def test_two_jobs_that_name_each_other_both_need_both() -> None:
    inbox = PaperInbox(
        {"a.jpg": WHOLE, "a.yaml": b"prompt: red\nimages: [b.jpg]\n"}
        | {"b.jpg": WHOLE, "b.yaml": b"prompt: red\nimages: [a.jpg]\n"}
    )
    plan = inbox.settled()
    assert names(plan.ready) == ["a.jpg", "b.jpg"]
    assert plan.needed_by["a.jpg"] == plan.needed_by["b.jpg"] == {"a.jpg", "b.jpg"}


@pytest.mark.parametrize(
    ("jobs", "said"), [(3, "a0.jpg, a1.jpg, a2.jpg"), (5, "a0.jpg, a1.jpg, a2.jpg and 2 more")]
)
def test_a_reference_says_three_that_need_it_and_how_many_more(jobs: int, said: str) -> None:
    pairs = {f"a{number}.jpg": WHOLE for number in range(jobs)}
    pairs |= {f"a{number}.yaml": NAMES_LOGO for number in range(jobs)}
    plan = PaperInbox({**pairs, "logo.png": WHOLE}).settled()
    assert about(plan, "logo.png").reason == f"reference of {said}"


def test_a_preset_keeps_its_reference_for_the_images_to_come() -> None:
    inbox = PaperInbox({"_preset.yaml": NAMES_LOGO, "logo.png": WHOLE, "a.jpg": WHOLE})
    plan = inbox.settled()
    assert plan.needed_by["logo.png"] == {"_preset.yaml", "a.jpg"}
    assert about(plan, "logo.png").reason == "reference of _preset.yaml, a.jpg"


def test_files_of_other_kinds_are_told_what_to_become() -> None:
    plan = PaperInbox({"s/a.heic": WHOLE}).settled()
    assert plan.states == ()
    (ignored,) = plan.ignored
    assert ignored.path == "s/a.heic"
    assert "save it as JPEG" in ignored.reason


@pytest.mark.parametrize(
    ("folder", "expected"), [("", [""]), ("a", ["", "a"]), ("a/b/c", ["", "a", "a/b", "a/b/c"])]
)
def test_presets_come_from_the_outside_in(folder: str, expected: list[str]) -> None:
    assert list(preset_chain(folder)) == expected


def test_a_report_of_ours_is_not_ignored_before_it_is_known() -> None:
    inbox = PaperInbox({"report.json": b"{}", "other.json": b"{}"})
    assert [it.path for it in inbox.look().ignored] == ["other.json"]
    assert inbox.look().scan_again_at is not None  # it is read then
    assert [it.path for it in inbox.settled().ignored] == ["other.json", "report.json"]
