"""What the editor process says of its work stands in the log and in the receipt."""

from pathlib import Path

from harness import HotFolder


def test_the_log_warns_of_fp16_once_and_says_where_the_model_computes(
    hot: HotFolder, tiny_model: Path
) -> None:
    hot.settle_fast()
    hot.environment |= {"DTYPE": "fp16", "NUM_STEPS": "1", "CUDA_VISIBLE_DEVICES": ""}
    hot.drop("cat.png", cfg=1.0)
    told = hot.call("run", "--once", "--model", tiny_model).stderr
    assert told.count("fp16 gives black pictures") == 1
    assert 'level=info action=explained text="No GPU: the model computes on' in told
    (day,) = (hot.root / "logs").glob("LOG-*.txt")
    assert "fp16 gives black pictures" in day.read_text()
    assert "No GPU" not in day.read_text()


def test_the_receipt_names_format_kernel_and_compilation(hot: HotFolder, tiny_model: Path) -> None:
    hot.write_settings("model: {attention: _native_math}", "defaults: {settle_seconds: 0.2}")
    hot.drop("cat.png", cfg=1.0, steps=1)
    assert hot.call("run", "--once", "--model", tiny_model).returncode == 0
    model = hot.receipt("cat.png")["model"]
    assert (model["dtype"], model["attention"], model["compiled"]) == (
        "bf16",
        "_native_math",
        False,
    )
