"""Weights and cards that are forged, damaged, of something else or no files."""

import hashlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from fusionprep.models.registry import get_model
from tests.faults.attacks import Attack, Scene, in_table
from tests.faults.command import fusionprep, gray, pipe, refused, save

MODEL = "densefuse"


@pytest.fixture
def scene(tmp_path) -> Scene:
    save(tmp_path / "mri.png")
    save(tmp_path / "pet.png", gray(seed=1))
    return Scene(tmp_path, tmp_path / "out", tmp_path / "work")


def tensors() -> dict[str, torch.Tensor]:
    return {key: each.clone() for key, each in get_model(MODEL).build().state_dict().items()}


def changed(change: Callable[[dict[str, torch.Tensor], str], object]) -> Callable:
    """Weights of the right model, one tensor of which is changed."""

    def prepare(scene: Scene) -> None:
        state = tensors()
        change(state, next(iter(state)))
        safetensors.torch.save_file(state, scene.bids / "own.safetensors")

    return prepare


def put(content: bytes) -> Callable:
    return lambda scene: (scene.bids / "own.safetensors").write_bytes(content)


def placed(make: Callable[[Path], object]) -> Callable:
    return lambda scene: make(scene.bids / "own.safetensors")


def headed(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def carded(card: Callable[[Path], object] | bytes) -> Callable:
    """Good weights with a card beside them."""

    def prepare(scene: Scene) -> None:
        safetensors.torch.save_file(tensors(), scene.bids / "own.safetensors")
        path = scene.bids / "own.json"
        path.write_bytes(card) if isinstance(card, bytes) else card(path)

    return prepare


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


def of(name: str) -> Callable:
    state = get_model(name).build().state_dict()
    return put(safetensors.torch.save({key: each.contiguous() for key, each in state.items()}))


ONE = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
WRONG = "does not hold weights of densefuse"
NO = "is not a safetensors file"

WEIGHTS = {
    "empty": Attack("no bytes", put(b""), (1,), "is an empty file"),
    "seven-bytes": Attack("less than a length", put(b"1234567"), (1,), NO),
    "length-huge": Attack("a header of 16 EB", put(headed(ONE, bytes(4), 2**64 - 1)), (1,), NO),
    "length-gigabyte": Attack("a header of 1 GB", put(headed(ONE, bytes(4), 2**30)), (1,), NO),
    "length-short": Attack("a header cut off", put(headed(ONE, bytes(4), 9)), (1,), NO),
    "length-zero": Attack("a header of nothing", put(headed(b"", b"")), (1,), NO),
    "header-text": Attack("no JSON", put(headed(b"{weights}")), (1,), NO),
    "header-list": Attack("a list", put(headed([1])), (1,), NO),
    "header-deep": Attack("100,000 lists deep", put(headed(b"[" * 100000)), (1,), NO),
    "header-not-text": Attack("not UTF-8", put(headed(b"\xff\xfe{}")), (1,), NO),
    "data-missing": Attack("no data", put(headed(ONE)), (1,), NO),
    "data-surplus": Attack("data of no tensor", put(headed(ONE, bytes(99))), (1,), NO),
    "offsets-back": Attack(
        "an end before its begin",
        put(headed({"a": ONE["a"] | {"data_offsets": [4, 0]}}, bytes(4))), (1,), NO,
    ),
    "shape-huge": Attack(
        "10^18 numbers", put(headed({"a": ONE["a"] | {"shape": [10**9, 10**9]}}, bytes(4))), (1,),
        NO,
    ),
    "shape-overflow": Attack(
        "2^64 numbers", put(headed({"a": ONE["a"] | {"shape": [2**63, 2]}}, bytes(4))), (1,), NO
    ),
    "type-unknown": Attack(
        "a type that does not exist", put(headed({"a": ONE["a"] | {"dtype": "F99"}}, bytes(4))),
        (1,), NO,
    ),
    "type-small": Attack(
        "numbers of 4 bits",
        put(headed({"a": {"dtype": "F4", "shape": [8], "data_offsets": [0, 4]}}, bytes(4))),
        (1,), "own.safetensors",
    ),
    "no-tensors": Attack("none", put(safetensors.torch.save({})), (1,), WRONG),
    "one-tensor": Attack("another one", put(headed(ONE, bytes(4))), (1,), WRONG),
    "other-model": Attack("a U-Net", of("unet"), (1,), WRONG),
    "pickle": Attack(
        "what torch.save writes", lambda s: torch.save(tensors(), s.bids / "own.safetensors"),
        (1,), NO,
    ),
    "nan": Attack(
        "NaN", changed(lambda t, k: t[k].view(-1)[0].fill_(float("nan"))), (1,), "finite"
    ),
    "infinite": Attack("infinity", changed(lambda t, k: t[k].fill_(float("inf"))), (1,), "finite"),
    "half-infinite": Attack(
        "infinity in half precision",
        changed(lambda t, k: t.update({k: t[k].half().fill_(float("-inf"))})), (1,), "finite",
    ),
    "shape-other": Attack("a shape", changed(lambda t, k: t.update({k: t[k][:1]})), (1,), "shape"),
    "shape-none": Attack(
        "a single number", changed(lambda t, k: t.update({k: torch.ones(())})), (1,), "shape"
    ),
    "whole-numbers": Attack(
        "whole numbers", changed(lambda t, k: t.update({k: t[k].long()})), (1,), "torch.int64"
    ),
    "complex": Attack(
        "complex numbers", changed(lambda t, k: t.update({k: t[k].to(torch.complex64)})), (1,),
        "complex64",
    ),
    "tensor-missing": Attack("one less", changed(lambda t, k: t.pop(k)), (1,), "no tensor"),
    "tensor-more": Attack(
        "one more", changed(lambda t, _: t.update(more=torch.ones(1))), (1,), "unknown tensor more"
    ),
    "sparse": Attack("a terabyte", placed(sparse), (1,), "1,099,512 MB"),
    "fifo": Attack("a pipe", placed(pipe), (1,), "is a pipe"),
    "device": Attack("endless", placed(lambda p: p.symlink_to("/dev/zero")), (1,), "a device"),
    "folder": Attack("a folder", placed(Path.mkdir), (1,), "is a folder"),
    "dangling": Attack("a link to nowhere", placed(lambda p: p.symlink_to("no")), (1,), "No such"),
    "loop": Attack("a link to itself", placed(lambda p: p.symlink_to(p.name)), (64,), "links"),
    "card-text": Attack("a card that is not JSON", carded(b"weights"), (1,), "model card"),
    "card-deep": Attack("a card 100,000 deep", carded(b"[" * 100000), (1,), "nested too deeply"),
    "card-empty": Attack("an empty card", carded(b""), (1,), "model card"),
    "card-not-text": Attack("a card not in UTF-8", carded(b'{"\xff": 1}'), (1,), "model card"),
    "card-other": Attack("a card of others", carded(b'{"sha256": "ab"}'), (1,), "SHA-256 differs"),
    "card-number": Attack("a number for it", carded(b'{"sha256": 5}'), (1,), "SHA-256 differs"),
    "card-fifo": Attack("a pipe as card", carded(pipe), (1,), "is a pipe"),
    "card-folder": Attack("a folder as card", carded(Path.mkdir), (1,), "is a folder"),
    "card-sparse": Attack("a card of a terabyte", carded(sparse), (1,), "1,099,512 MB"),
}  # fmt: skip

VGG19 = {
    "vgg19-empty": Attack("no bytes", put(b""), (1,), "is an empty file"),
    "vgg19-text": Attack("text", put(b"weights"), (1,), "does not hold a VGG-19"),
    "vgg19-zip": Attack("the start of a ZIP", put(b"PK\3\4" + bytes(99)), (1,), "VGG-19"),
    "vgg19-pickle": Attack("a pickle cut off", put(b"\x80\x02}q\x00("), (1,), "VGG-19"),
    "vgg19-code": Attack(
        "a pickle that runs a command", put(b"cos\nsystem\n(S'true'\ntR."), (1,), "VGG-19"
    ),
    "vgg19-number": Attack(
        "no table", lambda s: torch.save(5, s.bids / "own.safetensors"), (1,), "VGG-19"
    ),
    "vgg19-numbers": Attack(
        "a table of numbers", lambda s: torch.save({"a": 1}, s.bids / "own.safetensors"), (1,),
        "table of tensors",
    ),
    "vgg19-fifo": Attack("a pipe", placed(pipe), (1,), "is a pipe"),
}  # fmt: skip


@in_table(WEIGHTS)
def test_weights_that_cannot_be_used_are_said_in_one_line(attack, scene):
    attack.prepare(scene)
    own, out = scene.bids / "own.safetensors", scene.out / "fused.png"
    images = scene.bids / "mri.png", scene.bids / "pet.png"
    refused(
        fusionprep(scene, "fuse", *images, "--model", MODEL, "--weights", own, "-o", out), attack
    )
    assert not scene.out.exists()


@in_table(VGG19)
def test_a_vgg19_that_cannot_be_used_is_said_in_one_line(attack, scene):
    attack.prepare(scene)
    path = (scene.bids / "own.safetensors").rename(scene.bids / "vgg19.pth")
    out = scene.out / "joined.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "00000000"
    refused(fusionprep(scene, "join-vgg19", path, "--sha256", digest, "-o", out), attack)
    assert not scene.out.exists()
