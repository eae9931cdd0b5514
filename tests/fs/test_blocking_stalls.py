import os
import queue
import subprocess
import sys
import threading
from itertools import pairwise

from harness import DEADLINE_SECONDS, wait_for

from daemon.fs.blocking import StallDetector, effort_of, switches_of, waits_for_itself


def felt(*feelings: tuple[int | None, float], is_at_work: bool = True) -> list[float]:
    stall_detector = StallDetector()
    return [stall_detector.observe(count, now, is_at_work=is_at_work) for count, now in feelings]


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


def test_the_effort_of_a_process_grows_while_it_computes_and_ends_with_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    before = effort_of(process.pid)
    assert before is not None
    while (effort_of(process.pid) or 0) <= before:
        pass
    process.kill()
    process.wait()
    assert effort_of(process.pid) is None


def test_a_thread_that_waits_for_another_waits_for_itself() -> None:
    lock, (read, write) = threading.Lock(), os.pipe()
    lock.acquire()
    threads = [
        threading.Thread(target=lock.acquire),
        threading.Thread(target=os.read, args=(read, 1)),
    ]
    for thread in threads:
        thread.start()
    threading.Event().wait(0.1)  # both wait by then
    ids = [thread.native_id or 0 for thread in threads]
    told = [waits_for_itself(one) for one in ids]
    lock.release()
    os.write(write, b"x")
    for thread in threads:
        thread.join()
    os.close(read)
    os.close(write)
    assert told == [True, False]
