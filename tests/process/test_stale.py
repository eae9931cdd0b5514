"""A share that shows old attributes for longer than files have to rest."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import wait_for
from rig.nas import Nas
from rig.share import unavailable

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())


@pytest.fixture
def nas(tmp_path: Path) -> Iterator[Nas]:
    """A share on which a growing file seems to rest for two seconds."""
    one = Nas(tmp_path, stale_seconds=2.0)
    yield one
    one.close()


def test_pictures_are_taken_whole_though_half_of_them_seems_to_rest(nas: Nas) -> None:
    names = ["png.png", "jpeg.jpg", "webp.webp", "tiff.tif", "bitmap.bmp"]
    contents = {name: nas.far.drop(name).read_bytes() for name in names}
    for name in names:
        (nas.far.inbox / name).write_bytes(b"")
    daemon = nas.start()
    for third in range(3):
        for name, content in contents.items():
            with (nas.far.inbox / name).open("ab") as file:
                file.write(content[len(content) * third // 3 : len(content) * (third + 1) // 3])
        threading.Event().wait(1.0)
    wait_for(lambda: all((nas.far.outbox / f"{name}.json").exists() for name in names))
    receipts = {name: nas.far.receipt(name) for name in names}
    taken = {name: receipt["input"]["sha256"] for name, receipt in receipts.items()}
    assert taken == {name: hashlib.sha256(it).hexdigest() for name, it in contents.items()}
    assert {receipt["attempts"] for receipt in receipts.values()} == {1}
    assert daemon.stop() == 0
