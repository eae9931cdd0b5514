"""What becomes of a plan when a job takes its files."""

from sample import candidate, plan, seen

from daemon.job import FileState, Plan, State, kept, without_image

ONE, TWO, THREE = (seen(f"{stem}.png") for stem in ("one", "two", "three"))
SIDECAR, LOGO = seen("one.yaml"), seen("logo.png")


def needing(*images: str) -> dict[str, frozenset[str]]:
    return {"logo.png": frozenset(images)}


def test_a_file_that_only_this_picture_needs_is_moved() -> None:
    one = candidate(ONE, LOGO, sidecar=SIDECAR)
    needed = {"one.yaml": frozenset({"one.png"}), **needing("one.png")}
    assert kept(plan(one, needed_by=needed), one) == frozenset()


def test_a_file_is_copied_until_the_last_that_needs_it_comes() -> None:
    jobs = [candidate(it, LOGO) for it in (ONE, TWO, THREE)]
    now: Plan = plan(*jobs, needed_by=needing("one.png", "two.png", "three.png"))
    copied = []
    for job in jobs:
        copied.append(kept(now, job))
        now = without_image(now, job.image.path)
    assert copied == [{"logo.png"}, {"logo.png"}, frozenset()]
    assert (now.ready, now.needed_by) == ((), {})


def test_a_picture_that_another_uses_as_reference_is_copied_and_stays() -> None:
    one = candidate(ONE)
    both = plan(one, needed_by={"one.png": frozenset({"two.png"})})
    assert kept(both, one) == {"one.png"}
    assert without_image(both, "one.png").needed_by == both.needed_by


def test_what_a_job_takes_along_is_not_there_any_more_and_the_rest_is() -> None:
    one = candidate(ONE, LOGO, sidecar=SIDECAR)
    states = tuple(FileState(it.path, State.READY, "") for it in (ONE, SIDECAR, LOGO, TWO))
    needed = {"one.yaml": frozenset({"one.png"}), **needing("one.png", "two.png")}
    whole = Plan(states=states, ignored=(), ready=(one,), needed_by=needed, scan_again_at=None)
    left = without_image(whole, "one.png")
    assert [file.path for file in left.states] == ["logo.png", "two.png"]
    assert (left.ready, left.needed_by) == ((), needing("two.png"))
