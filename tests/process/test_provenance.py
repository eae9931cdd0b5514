import exiftool
from harness import HotFolder


def test_the_settings_of_a_folder_say_what_is_beside_and_inside_a_result(hot: HotFolder) -> None:
    choices = "settle_seconds: 0.2, preview: true, embed_prompt: false, gps: strip"
    hot.write_settings(f"defaults: {{{choices}}}")
    photo = hot.drop("cat.jpg", "a secret", seed=11)
    exiftool.write(photo, "-Artist=Ann", "-GPSLatitude=48.2", "-GPSLatitudeRef=N")
    assert hot.call("run", "--once", "--editor", "echo").returncode == 0
    assert hot.files("outbox") == {"cat.jpg", "cat.jpg.json", "cat.jpg.preview.jpg"}
    said = exiftool.said(hot.outbox / "cat.jpg")
    assert said["IFD0:Artist"] == "Ann"
    assert "Seed: 11" in said["ExifIFD:UserComment"]
    assert not any("GPS" in tag for tag in said)
    assert b"secret" not in (hot.outbox / "cat.jpg").read_bytes()
    about = hot.call("why", "outbox/cat.jpg.preview.jpg", "--root", hot.root)
    assert "cat.jpg was edited: outbox/cat.jpg." in about.stdout


def test_by_default_a_result_holds_its_prompt_and_lies_alone(hot: HotFolder) -> None:
    hot.drop("cat.png", "Make it 蓝色", seed=11)
    assert hot.once().returncode == 0
    assert hot.files("outbox") == {"cat.png", "cat.png.json"}
    said = exiftool.said(hot.outbox / "cat.png")
    assert said["PNG:Parameters"].startswith("Make it 蓝色\nSteps: 2, ")
    receipt = hot.receipt("cat.png")
    assert receipt["job_id"] in str(said["XMP-xmpMM:History"])
    assert receipt["input"]["sha256"] in str(said["XMP-xmpMM:History"])
