"""Whatever people do to an inbox, in whatever order: what must hold after every look."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from paper import FINAL, PART, PROMPT, RULES, TEXT, WHOLE, PaperInbox, names, states

from daemon.fs.names import Kind, kind_of
from daemon.inbox.settle import SettleRules
from daemon.job import Plan, State

NAMES_LOGO = b"prompt: add the logo\nimages: [logo.png]\n"
BROKEN = b"promt: red\n"
NFC, NFD = "\u00e9", "e\u0301"

images = st.sampled_from([f"{NFC}.jpg", f"{NFD}.png", "logo.png", f"s/{NFC}.jpg"])
texts = st.sampled_from([f"{NFC}.yaml", f"{NFD}.yml", f"{NFD}.png.txt", "_preset.yaml"])
pictures = st.sampled_from([WHOLE, WHOLE, PART, b"", TEXT])
instructions = st.sampled_from([PROMPT, PROMPT, NAMES_LOGO, BROKEN, b"", b"steps: 9\n"])
pauses_seconds = st.sampled_from([0.5, 1.5, 2.0, 130.0, 1000.0])


class InboxMachine(RuleBasedStateMachine):
    """Writes, appends, replaces, removes and waits, with a look after each."""

    @initialize(rules=st.sampled_from([RULES, FINAL]))
    def start(self, rules: SettleRules) -> None:
        self.inbox = PaperInbox({}, rules)
        self.contents: dict[str, bytes] = {}
        self.changed_at: dict[str, float] = {}
        self.plan = self.inbox.look()
        self.other = self.inbox.seen_by_another()
        self.others_plan = self.other.look()

    def write(self, path: str, content: bytes) -> None:
        self.inbox.write({path: content})
        self.contents[path], self.changed_at[path] = content, self.inbox.now
        self.plan = self.inbox.look()

    @rule(path=images, content=pictures)
    def drop_an_image(self, path: str, content: bytes) -> None:
        self.write(path, content)

    @rule(path=texts, content=instructions)
    def drop_a_text(self, path: str, content: bytes) -> None:
        self.write(path, content)

    @rule(picture=pictures, instruction=instructions)
    def drop_a_pair(self, picture: bytes, instruction: bytes) -> None:
        self.write(f"{NFC}.jpg", picture)
        self.write(f"{NFC}.yaml", instruction)

    @precondition(lambda self: PART in self.contents.values())
    @rule()
    def finish_a_copy(self) -> None:
        self.write(next(path for path, it in self.contents.items() if it == PART), WHOLE)

    @precondition(lambda self: self.contents)
    @rule(data=st.data())
    def file_away(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.contents)))
        self.inbox.remove(path)
        del self.contents[path], self.changed_at[path]
        self.plan = self.inbox.look()

    @precondition(lambda self: self.contents)
    @rule(data=st.data())
    def append(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.contents)))
        self.write(path, self.contents[path] + b" ")

    @precondition(lambda self: self.contents)
    @rule(data=st.data(), name=st.one_of(images, texts))
    def rename(self, data: st.DataObject, name: str) -> None:
        path = data.draw(st.sampled_from(sorted(self.contents)))
        if path != name:
            self.inbox.rename(path, name)
            self.contents[name], _ = self.contents.pop(path), self.changed_at.pop(path)
            self.changed_at[name] = self.inbox.now
            self.plan = self.inbox.look()

    @rule(seconds=pauses_seconds)
    def wait(self, seconds: float) -> None:
        self.other.wait(seconds)
        self.plan = self.inbox.wait(seconds).look()

    @rule(seconds=pauses_seconds)
    def the_share_is_away_and_nobody_can_look(self, seconds: float) -> None:
        self.other.wait(seconds)
        self.inbox.wait(seconds)
        self.plan = self.inbox.look()

    @rule(seconds=st.sampled_from([-1e7, -3600.0, 1e7]))
    def the_clock_on_the_wall_jumps(self, seconds: float) -> None:
        before, due = states(self.plan), self.plan.scan_again_at
        self.inbox.unix_at_zero += seconds
        self.plan = self.inbox.look()
        assert (states(self.plan), self.plan.scan_again_at) == (before, due)

    @rule()
    def the_daemon_dies_and_another_begins(self) -> None:
        self.inbox.begin_to_watch()
        self.changed_at = dict.fromkeys(self.contents, self.inbox.now)
        self.plan = self.inbox.look()

    @rule()
    def a_second_daemon_looks(self) -> None:
        self.others_plan = self.other.look()
        for candidate in self.others_plan.ready:
            assert self.inbox.files[candidate.image.path] == candidate.image
            if not candidate.problems:
                assert self.contents[candidate.image.path].startswith(WHOLE)

    @precondition(lambda self: self.contents)
    @rule()
    def two_daemons_that_watched_for_long_agree(self) -> None:
        for seconds in (0.0, 5000.0):
            self.others_plan = self.other.wait(seconds).look()
            self.plan = self.inbox.wait(seconds).look()
        assert states(self.plan) == states(self.others_plan)
        # Each in the order in which it saw them.
        assert sorted(names(self.plan.ready)) == sorted(names(self.others_plan.ready))

    @rule(longest_seconds=st.sampled_from([200.0, 2000.0, 1e6]))
    def sleep_until_something_is_due(self, longest_seconds: float) -> None:
        before, due = states(self.plan), self.plan.scan_again_at or float("inf")
        assert due > self.inbox.now
        self.plan = self.inbox.wait(min((due - self.inbox.now) * 0.999, longest_seconds)).look()
        if self.inbox.now < due:  # and not rounded up to it
            assert states(self.plan) == before

    @invariant()
    def every_file_has_one_state(self) -> None:
        assert sorted(state.path for state in self.plan.states) == sorted(self.contents)

    @invariant()
    def what_is_ready_is_said_to_be(self) -> None:
        ready = [path for path, state in states(self.plan).items() if state is State.READY]
        shown = [path for path in ready if kind_of(path.rpartition("/")[2]) is Kind.IMAGE]
        assert sorted(names(self.plan.ready)) == sorted(shown)

    @invariant()
    def nothing_is_ready_before_it_has_settled(self) -> None:
        for candidate in self.plan.ready:
            sidecar = [candidate.sidecar] if candidate.sidecar else []
            for file in (candidate.image, *sidecar, *candidate.companions):
                assert self.inbox.files[file.path] == file
                quiet_seconds = self.inbox.now - self.changed_at[file.path]
                assert quiet_seconds >= self.inbox.rules.settle_seconds

    @invariant()
    def a_job_without_problems_has_all_that_it_names(self) -> None:
        for candidate in self.plan.ready:
            if not candidate.problems:
                assert self.contents[candidate.image.path].startswith(WHOLE)
                assert all(self.contents[it.path].startswith(WHOLE) for it in candidate.companions)
                sidecar = candidate.sidecar
                # The same words in a .txt are all prompt, and name nothing.
                has_keys = sidecar is not None and not sidecar.path.endswith(".txt")
                if sidecar and has_keys and self.contents[sidecar.path] == NAMES_LOGO:
                    assert [it.name for it in candidate.companions] == ["logo.png"]

    @invariant()
    def the_rest_of_a_file_is_waited_for(self) -> None:
        for candidate in self.plan.ready:
            for path in (it.where for it in candidate.problems if "incomplete" in it.what):
                rules = self.inbox.rules
                wait = rules.settle_seconds if rules.final else rules.settle_max_seconds
                assert self.inbox.now - self.changed_at[path] >= wait

    @invariant()
    def what_a_job_takes_with_it_is_known_to_be_needed(self) -> None:
        for candidate in self.plan.ready:
            for file in (*filter(None, [candidate.sidecar]), *candidate.companions):
                assert candidate.image.path in self.plan.needed_by[file.path]

    @invariant()
    def looking_again_changes_nothing(self) -> None:
        again: Plan = self.inbox.look()
        assert again == self.plan


TestInbox = InboxMachine.TestCase
TestInbox.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
