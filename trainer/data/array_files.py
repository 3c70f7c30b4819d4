"""The arrays of npz, npy and safetensors files: a large one stays on disk, mapped, and is never held whole."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.errors import DataError

Array = npt.NDArray[np.generic]

# Bytes from which an array is mapped. A smaller one is read, since overwriting a mapped file in place kills the
# processes that access it (SIGBUS).
MAPPED_FROM = 2**26
READ_AT_ONCE = 2**24

# Types that torch can use in place; anything else is read and converted.
HELD_AS_IT_IS = frozenset(np.dtype(name) for name in ("uint8", "float16", "float32", "float64"))
# safetensors' names; numpy has no bfloat16.
SAFETENSORS = {"U8": "u1", "F16": "<f2", "F32": "<f4", "F64": "<f8"}
SAFETENSORS |= {"I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "U16": "<u2", "U32": "<u4", "U64": "<u8"}


class Arrays(NamedTuple):
    """Images or latents, and their labels, as a file has them; `y` is of `y_file`."""

    x: Array
    y: Array
    y_file: Path


def from_npz(path: Path) -> Arrays:
    """Read x and y of an npz file; x is mapped where it is large and not compressed.

    Raises DataError, which names the file, for one that is missing, damaged, or has other arrays.
    """
    _refuse_missing(path, "an npz file with arrays x and y")
    with (
        _readable(path, "npz", "write it with numpy.savez(file, x=x, y=y)"),
        np.load(path, allow_pickle=False) as archive,
    ):
        keys = sorted(archive.files)
        if not {"x", "y"} <= set(keys):
            raise DataError(f"{path}: has arrays {keys}; name the images (or latents) x and the labels y")
        _check_memory(path, archive.zip)
        stored = next((member for member in archive.zip.infolist() if _is_mapped(member, "x")), None)
        x = np.asarray(archive["x"]) if stored is None else _member(path, archive.zip, stored)
        return Arrays(x, np.asarray(archive["y"]), path)


def from_npy(path: Path, labels: Path) -> Arrays:
    """Read an npy file of images or latents, mapped where it is large, and one of labels; raise DataError as above."""
    return Arrays(_npy(path, "data.path", "images"), _npy(labels, "data.labels", "labels"), labels)


def from_safetensors(path: Path, labels: Path | None = None) -> Arrays:
    """Read x and y of a safetensors file, x mapped where it is large; y may be an npy file of its own.

    Raises DataError as above.
    """
    _refuse_missing(path, "a safetensors file with tensors x and y")
    with _readable(path, "safetensors", "write it with safetensors.numpy.save_file({'x': x, 'y': y}, file)"):
        header, start = _safetensors_header(path)
        wanted = ("x", "y") if labels is None else ("x",)
        if not set(wanted) <= set(header):
            known = f"has tensors {sorted(header)}"
            raise DataError(f"{path}: {known}; name the images (or latents) x and the labels y, or give data.labels")
        tensors = {name: _tensor(path, name, header[name], start) for name in wanted}
    if labels is None:
        return Arrays(tensors["x"], tensors["y"], path)
    return Arrays(tensors["x"], _npy(labels, "data.labels", "labels"), labels)


def _refuse_missing(path: Path, wanted: str, key: str = "data.path") -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such file; give {key} {wanted}")


@contextmanager
def _readable(path: Path, kind: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib, numpy, safetensors and pickle each have errors of their own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not a readable {kind} ({reason}); {remedy}") from error


def _npy(path: Path, key: str, what: str) -> Array:
    _refuse_missing(path, f"an npy file of {what}", key)
    with _readable(path, "npy", f"write it with numpy.save(file, {what})"), path.open("rb") as file:
        return _mapped(path, file, 0, path.stat().st_size)


def _mapped(path: Path, npy: IO[bytes], start: int, size: int) -> Array:
    """Map the npy of `size` bytes that begins at `start` of the file, `npy` being open at its beginning."""
    version = np.lib.format.read_magic(npy)
    if version > (2, 0):
        raise ValueError(f"npy version {version}, which is for named fields")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(npy)
    offset = npy.tell()
    _refuse_beyond(dtype, shape, size - offset)
    return _at(path, dtype, shape, start + offset, is_fortran)


def _refuse_beyond(dtype: np.dtype[Any], shape: tuple[int, ...], size: int) -> None:
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    needed = dtype.itemsize
    for extent in shape:  # as Python's integers, which do not overflow
        needed *= extent
    if needed > size:
        raise ValueError(f"it should hold {list(shape)} numbers of {dtype} and has {size:,} bytes")


def _at(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int, is_fortran: bool = False) -> Array:
    if 0 in shape or not shape:
        return np.zeros(shape, dtype)  # of which there is nothing to map
    # Read only: a mapping that may be written to is refused where it is larger than the machine's memory.
    array = np.memmap(path, dtype, "r", offset, shape, "F" if is_fortran else "C")
    return array if array.nbytes >= MAPPED_FROM and dtype in HELD_AS_IT_IS else np.array(array)


def _is_mapped(member: zipfile.ZipInfo, name: str) -> bool:
    stored = member.compress_type == zipfile.ZIP_STORED
    return stored and member.filename == f"{name}.npy" and member.file_size >= MAPPED_FROM


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    with archive.open(member) as whole:
        while whole.read(READ_AT_ONCE):  # for its checksum
            pass
    with path.open("rb") as file, archive.open(member) as npy:
        file.seek(member.header_offset)
        # A local header: 30 bytes, the last four the lengths of a name and of more, which lie before the data.
        name, more = struct.unpack("<HH", file.read(30)[26:])
        return _mapped(path, npy, member.header_offset + 30 + name + more, member.file_size)


def _check_memory(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse a file whose arrays cannot be held; no more is unpacked of a member than its size in the directory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    members = [member for member in archive.infolist() if Path(member.filename).stem in ("x", "y")]
    needed = sum(member.file_size for member in members if not _is_mapped(member, "x"))
    if needed > memory:
        raise DataError(
            f"{path}: unpacks to {needed / 2**30:,.0f} GiB and this machine has {memory / 2**30:,.0f}; "
            "write it with numpy.savez, which does not compress: then it stays on disk"
        )


def _safetensors_header(path: Path) -> tuple[Mapping[str, Any], int]:
    """Return what the file says of each tensor, and where its data begin."""
    from safetensors import safe_open

    with safe_open(path, framework="np"):  # which checks all of the header
        pass
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return {name: said for name, said in header.items() if name != "__metadata__"}, 8 + length


def _tensor(path: Path, name: str, said: Mapping[str, Any], start: int) -> Array:
    if said["dtype"] not in SAFETENSORS:
        raise DataError(f"{path}: {name} is {said['dtype']}; save it as one of {', '.join(SAFETENSORS)}")
    return _at(path, np.dtype(SAFETENSORS[said["dtype"]]), tuple(said["shape"]), start + said["data_offsets"][0])
