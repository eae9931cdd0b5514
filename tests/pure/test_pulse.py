import os
import queue
import threading
from itertools import pairwise

from harness import DEADLINE_SECONDS, wait_for

from daemon.pulse import Pulse, switches_of


def felt(*feelings: tuple[int | None, float], is_at_work: bool = True) -> list[float]:
    pulse = Pulse()
    return [pulse.feel(count, now, is_at_work=is_at_work) for count, now in feelings]


def test_a_thread_that_stands_in_one_call_grows_still() -> None:
    assert felt((7, 100.0), (7, 101.0), (7, 102.0)) == [0.0, 1.0, 2.0]


def test_one_that_waits_again_and_again_moves_however_long_its_work_takes() -> None:
    assert set(felt(*((count, 100.0 + count) for count in range(90)))) == {0.0}


def test_it_begins_anew_when_it_has_moved() -> None:
    assert felt((7, 100.0), (7, 101.0), (8, 102.0), (8, 103.0)) == [0.0, 1.0, 0.0, 1.0]


def test_one_that_waits_for_work_is_not_still() -> None:
    assert set(felt((7, 100.0), (7, 200.0), is_at_work=False)) == {0.0}


def test_one_that_has_ended_is_not_still() -> None:
    assert set(felt((None, 100.0), (None, 101.0))) == {0.0}


def test_a_long_sleep_of_the_whole_machine_is_no_stillness() -> None:
    assert felt((7, 100.0), (7, 4000.0)) == [0.0, 2.0]


def test_the_count_of_a_thread_grows_with_each_wait_and_ends_with_it() -> None:
    told: queue.SimpleQueue[int] = queue.SimpleQueue()
    read, write = os.pipe()

    def work() -> None:
        for _ in range(3):
            os.read(read, 1)
            told.put(switches_of(threading.get_native_id()) or 0)

    thread = threading.Thread(target=work)
    thread.start()
    number, counts = thread.native_id, [0]
    assert number is not None
    for _ in range(3):
        wait_for(lambda: (switches_of(number) or 0) > counts[-1])
        os.write(write, b"x")
        counts.append(told.get(timeout=DEADLINE_SECONDS))
    thread.join()
    assert all(one < other for one, other in pairwise(counts))
    wait_for(lambda: switches_of(number) is None)  # the kernel takes a moment for it
    os.close(read)
    os.close(write)
