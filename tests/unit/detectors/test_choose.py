"""Which backend runs, and what becomes of built models that are missing, damaged or of no use here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inferwatch.detectors.encoder import build, choose
from inferwatch.detectors.encoder.built import FILES, INT8, MANIFEST, SAMPLES, STATIC, Built, models_folder, place
from inferwatch.detectors.encoder.choose import Chosen
from inferwatch.detectors.encoder.folder import family_of, model_folder
from inferwatch.detectors.registry import load_detectors
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import EncoderSettings

FAMILY = family_of(model_folder("bundled"))


@pytest.fixture
def models(built_models: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(built_models, tmp_path / "models"))


def chosen(models: Path, prefer: str | None = None, backend: str = "auto") -> Chosen:
    return choose.choose(EncoderSettings.model_validate({"backend": backend, "models_dir": str(models)}), prefer)


@pytest.fixture
def alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both backends are as fast."""
    monkeypatch.setattr(choose, "short_rate", lambda encoder: 100)
    monkeypatch.setattr(choose, "torch_rate", lambda settings: 100)


def test_where_it_cannot_be_built_it_is_torch_and_the_reason_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = chosen(tmp_path / "file" / "models")
    assert found.encoder.backend == "torch"
    assert "no int8 model" in found.reason
    assert "file/models cannot be written" in found.reason


def test_with_references_of_torch_nothing_is_built(tmp_path: Path) -> None:
    held = chosen(tmp_path, backend="torch").encoder.revision
    assert chosen(tmp_path / "models", held).encoder.revision == held
    assert not (tmp_path / "models").exists()


def test_the_faster_one_is_taken_and_never_the_static_tier(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for quick in ("torch", "onnx-int8"):
        rates = {"torch": 100, "onnx-int8": 100} | {quick: 200}
        monkeypatch.setattr(choose, "short_rate", lambda encoder, rates=rates: rates["onnx-int8"])
        monkeypatch.setattr(choose, "torch_rate", lambda settings, rates=rates: rates["torch"])
        found = chosen(models)
        assert found.encoder.backend == quick
        assert found.rates == rates
        assert f"{quick} 200/s" in found.reason


def test_of_backends_about_as_fast_the_one_whose_vectors_are_a_function_of_the_text_is_taken(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "short_rate", lambda encoder: 100)
    monkeypatch.setattr(choose, "torch_rate", lambda settings: 120)
    assert chosen(models).encoder.backend == "onnx-int8"


@pytest.mark.usefixtures("alike")
def test_a_missing_model_is_built_once_and_torch_does_not_stay_in_a_process_that_does_not_take_it(
    tmp_path: Path,
) -> None:
    program = f"""
import sys
from inferwatch.detectors.encoder import choose
from inferwatch.schemas.settings import EncoderSettings
choose.MARGIN = 1000.0
found = choose.choose(EncoderSettings(models_dir={str(tmp_path)!r}))
assert found.encoder.backend == "onnx-int8", found
assert min(found.rates.values()) > 5, found
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    made = place(tmp_path, FAMILY, INT8) / FILES[INT8]
    before = made.stat().st_mtime_ns
    assert chosen(tmp_path).encoder.backend == "onnx-int8"
    assert made.stat().st_mtime_ns == before
    assert [folder.name for folder in tmp_path.iterdir()] == [made.parent.name]


def test_where_torch_cannot_even_be_measured_the_other_is_taken(
    models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch.so is not there')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = chosen(models)
    assert found.encoder.backend == "onnx-int8"
    assert found.rates["torch"] == 0
    assert "torch cannot be measured: ImportError: libtorch.so is not there" in caplog.text


@pytest.mark.parametrize("backend", ["torch", "onnx-int8"])
def test_it_stays_with_the_vectors_that_references_are_of(models: Path, backend: str) -> None:
    held = chosen(models, backend=backend).encoder.revision
    found = chosen(models, held)
    assert (found.encoder.backend, found.encoder.revision) == (backend, held)
    assert held in found.reason


def test_a_configured_backend_that_is_not_built_is_refused_with_the_remedy(tmp_path: Path) -> None:
    for backend in ("onnx-int8", "static"):
        with pytest.raises(Misconfigured, match=f"'{backend}' is not built in .*: run `inferwatch models build`"):
            chosen(tmp_path, backend=backend)


@pytest.mark.parametrize("kind", [INT8, STATIC])
def test_a_damaged_model_is_refused(models: Path, kind: str) -> None:
    file = place(models, FAMILY, kind) / FILES[kind]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(Misconfigured, match="not the file that was built"):
        chosen(models, backend=kind)


@pytest.mark.usefixtures("alike")
def test_a_damaged_model_is_built_again_by_whom_no_backend_is_named(
    models: Path, built_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_apart(module: str, *arguments: str) -> tuple[str, str]:
        assert (module, arguments) == (build.__name__, ("bundled", str(models)))
        shutil.copytree(built_models, models, dirs_exist_ok=True)
        return "", ""

    monkeypatch.setattr(choose, "_apart", build_apart)
    file = place(models, FAMILY, INT8) / FILES[INT8]
    file.write_bytes(file.read_bytes()[:-1])
    assert chosen(models).encoder.backend == "onnx-int8"


def test_a_model_of_another_recipe_or_without_sense_is_refused(models: Path) -> None:
    manifest = place(models, FAMILY, STATIC) / MANIFEST
    good = manifest.read_text()
    manifest.write_text(good.replace('"recipe": 1', '"recipe": 0'))
    with pytest.raises(Misconfigured, match=r"by recipe 0 .* wanted 'static' by recipe 1"):
        Built.load(models, FAMILY, STATIC)
    manifest.write_text("{")
    with pytest.raises(Misconfigured, match=r"manifest\.json cannot be read"):
        Built.load(models, FAMILY, STATIC)


def test_a_processor_that_computes_other_vectors_gets_torch(models: Path) -> None:
    file = place(models, FAMILY, INT8) / SAMPLES
    held = np.load(file)
    np.save(file, np.roll(held, 1, axis=1))
    found = chosen(models)
    assert found.encoder.backend == "torch"
    assert "this processor computes other vectors" in found.reason
    with pytest.raises(Misconfigured, match=r"encoder\.backend: torch"):
        chosen(models, backend="onnx-int8")


def test_a_build_that_fails_leaves_what_was_there(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Built.load(models, FAMILY, STATIC).revision

    def fail(source: Path) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("inferwatch.detectors.encoder.distil.distil", fail)
    (place(models, FAMILY, STATIC) / "mark").touch()
    shutil.rmtree(place(models, FAMILY, INT8))
    monkeypatch.setattr(build, "_int8", lambda *_: fail(models))
    with pytest.raises(Misconfigured, match=r"no space left on device.*models_dir"):
        build.build_models(models, again=True)
    assert Built.load(models, FAMILY, STATIC).revision == before
    assert sorted(folder.name for folder in models.iterdir()) == [place(models, FAMILY, STATIC).name]


def test_what_is_there_is_not_built_again(models: Path) -> None:
    said: list[str] = []
    found = build.build_models(models, say=said.append)
    assert [one.manifest.kind for one in found] == [INT8, STATIC]
    assert all("already built" in line for line in said)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match=r"file/models cannot be written.*encoder\.models_dir"):
        build.build_models(tmp_path / "file" / "models")


def test_built_models_lie_in_the_users_cache_unless_configured() -> None:
    assert models_folder("/x") == Path("/x")
    assert models_folder(None, {"XDG_CACHE_HOME": "/c"}) == Path("/c/inferwatch/models")
    assert models_folder(None, {}) == Path.home() / ".cache" / "inferwatch" / "models"


def test_heads_fitted_on_the_model_fit_its_int8_and_not_its_static_vectors(models: Path) -> None:
    load_detectors(["toxicity", "hallucination"], chosen(models, backend="onnx-int8").encoder)
    with pytest.raises(Misconfigured, match=r"'toxicity' was trained for encoder st-\w+, not for static1-\w+"):
        load_detectors(["toxicity", "hallucination"], chosen(models, backend="static").encoder)
