"""Data and weight files that are damaged, or made to do harm: each is one line with the file's name, at once."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save as safetensors

from trainer.data.dataset import load
from trainer.errors import DataError
from trainer.evaluation.extractors import load_extractor
from trainer.recipe import DataRecipe, EvalRecipe
from trainer.runtime.weight_files import read_weights

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
MUTANTS = 25  # of each kind of file


def image_bytes(kind: str) -> bytes:
    pixels = np.random.RandomState(0).randint(0, 256, (12, 12, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, kind)
    return written.getvalue()


def npz_bytes(save: Callable[..., None]) -> bytes:
    written = io.BytesIO()
    save(written, x=np.random.RandomState(0).randint(0, 256, (8, 6, 6), dtype=np.uint8), y=np.arange(8) % 2)
    return written.getvalue()


def npy_bytes() -> bytes:
    written = io.BytesIO()
    np.save(written, np.random.RandomState(0).randint(0, 256, (8, 6, 6), dtype=np.uint8))
    return written.getvalue()


def state_bytes(save: Callable[..., object]) -> bytes:
    written = io.BytesIO()
    save({"patch_embed.proj.weight": torch.arange(64.0), "norm.bias": torch.ones(3)}, written)
    return written.getvalue()


def read_image(path: Path) -> None:
    load(DataRecipe(name="folder", path=str(path.parent.parent), image_size=6))


def read_arrays(path: Path) -> None:
    load(DataRecipe(name="npz", path=str(path)))


def read_npy(path: Path) -> None:
    np.save(path.parent / "labels.npy", np.arange(8) % 2)
    load(DataRecipe(name="npy", path=str(path), labels=str(path.parent / "labels.npy")))


def read_tensors(path: Path) -> None:
    load(DataRecipe(name="safetensors", path=str(path)))


def read_extractor(path: Path) -> None:
    data = load(DataRecipe())
    load_extractor(EvalRecipe(extractor="dinov2", weights=str(path)), data, path.parent, torch.device("cpu"))


KINDS: dict[str, tuple[bytes, Callable[[Path], None]]] = {
    "0.png": (image_bytes("PNG"), read_image),
    "0.jpg": (image_bytes("JPEG"), read_image),
    "0.gif": (image_bytes("GIF"), read_image),
    "0.tif": (image_bytes("TIFF"), read_image),
    "x.npz": (npz_bytes(np.savez), read_arrays),
    "x.npy": (npy_bytes(), read_npy),
    "x.safetensors": (safetensors({"x": torch.rand(8, 1, 6, 6), "y": torch.arange(8) % 2}), read_tensors),
    "z.npz": (npz_bytes(np.savez_compressed), read_arrays),
    "w.pth": (state_bytes(torch.save), read_extractor),
    "w.safetensors": (safetensors({"norm.bias": torch.ones(3)}), read_extractor),
}


def mutant(content: bytes, dice: random.Random) -> bytes:
    """Cut a file off, overwrite, drop or double a part of it, or change some of its bits."""
    start = dice.randrange(len(content))
    end = min(len(content), start + dice.randint(1, 40))
    match dice.randrange(5):
        case 0:
            return content[:start]
        case 1:
            return content[:start] + dice.randbytes(end - start) + content[end:]
        case 2:
            return content[:start] + content[end:]
        case 3:
            return content[:end] + content[start:]
        case _:
            flipped = bytearray(content)
            for _ in range(dice.randint(1, 8)):
                flipped[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
            return bytes(flipped)


@pytest.mark.parametrize("mapped_from", [0, 2**26], ids=["mapped", "read"])
@pytest.mark.parametrize("name", KINDS)
def test_a_mutated_file_is_read_or_refused_in_one_line(
    name: str, mapped_from: int, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.data.array_files.MAPPED_FROM", mapped_from)
    content, read = KINDS[name]
    (tmp_path / "class").mkdir()
    for other in range(2, 14):
        (tmp_path / "class" / f"{other}.png").write_bytes(image_bytes("PNG"))
    file, dice, refused = tmp_path / "class" / name, random.Random(name), []
    for _ in range(MUTANTS):
        file.write_bytes(mutant(content, dice))
        try:
            read(file)
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > MUTANTS // 5
    assert [told for told in refused if str(file) not in told or "\n" in told] == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif"])
def test_postscript_by_an_images_name_never_reaches_ghostscript(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = tmp_path / "called"
    (tmp_path / "gs").write_text(f"#!/bin/sh\necho > {called}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    file = tmp_path / "data" / "class" / f"x.{suffix}"
    file.parent.mkdir(parents=True)
    file.write_bytes(POSTSCRIPT)
    with pytest.raises(DataError, match=rf"x\.{suffix}: cannot be read as an image \(none of PNG, JPEG, .*\); replace"):
        read_image(file)
    assert not called.exists()


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    header, data = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0), zlib.compress(bytes(10**6))
    file = tmp_path / "class" / "bomb.png"
    file.parent.mkdir()
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data))
    with pytest.raises(DataError, match=r"bomb\.png: cannot be read as an image \(Image size .* decompression bomb"):
        read_image(file)


def npy_header(shape: tuple[int, ...]) -> bytes:
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return written.getvalue()


def archive(path: Path, x: bytes) -> Path:
    labels = io.BytesIO()
    np.save(labels, np.arange(8) % 2)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", x)
        file.writestr("y.npy", labels.getvalue())
    return path


@pytest.mark.parametrize("mapped_from", [0, 2**26], ids=["mapped", "read"])
@pytest.mark.parametrize("shape", [(10**13, 8, 8), (2**62, 8, 8), (2**70, 2, 2), (10**18, 0, 3), (8, 0, 3), (8,), ()])
def test_an_npz_that_claims_what_it_does_not_hold_is_refused(
    shape: tuple[int, ...], mapped_from: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.data.array_files.MAPPED_FROM", mapped_from)
    with pytest.raises(DataError, match=r"x\.npz: (not a readable npz|x is uint8)") as caught:
        read_arrays(archive(tmp_path / "x.npz", npy_header(shape)))
    assert "\n" not in str(caught.value)


def test_an_npz_that_unpacks_to_more_than_the_machine_has_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = archive(tmp_path / "x.npz", npy_header((8, 4, 4)) + bytes(128))
    read_arrays(sound)
    monkeypatch.setattr("os.sysconf", {"SC_PHYS_PAGES": 1, "SC_PAGE_SIZE": 256}.__getitem__)
    with pytest.raises(DataError, match=r"x\.npz: unpacks to 0 GiB and this machine has 0"):
        read_arrays(sound)


@pytest.mark.parametrize("state", [[torch.zeros(2)], {"a": {"b": torch.zeros(2)}}, torch.zeros(2), {"a": 1}])
def test_weights_that_are_no_state_dict_say_what_to_write(state: object, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(DataError, match=r"w\.pth: holds no plain state dict, tensors by name"):
        read_weights(tmp_path / "w.pth")


def test_latents_with_channels_last_are_refused_with_what_to_write(tmp_path: Path) -> None:
    y = np.arange(8) % 2
    for shape in ((8, 6, 6, 4), (8, 6, 8, 4), (8, 4, 4, 6)):
        np.savez(tmp_path / "x.npz", x=np.random.rand(*shape), y=y)
        with pytest.raises(DataError, match=r"x\.npz: x is float64 .* looks like channels last; set data\.layout"):
            read_arrays(tmp_path / "x.npz")
    for shape in ((8, 4, 6, 6), (8, 16, 6, 6), (8, 4, 6, 8)):
        np.savez(tmp_path / "x.npz", x=np.random.rand(*shape), y=y)
        assert load(DataRecipe(name="npz", path=str(tmp_path / "x.npz"))).shape == shape[1:]
