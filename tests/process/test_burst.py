"""Many pairs at once, and a daemon that is killed again and again: each is done exactly once."""

import pytest
from harness import HotFolder
from rig.burst import Burst


@pytest.mark.parametrize(
    ("pairs", "kills"), [(300, 5), pytest.param(5000, 20, marks=pytest.mark.torture)]
)
def test_each_of_a_burst_is_done_once(hot: HotFolder, pairs: int, kills: int) -> None:
    burst = Burst(hot, pairs, kills)
    burst.run()
    burst.assert_each_done_once()
