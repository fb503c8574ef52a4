import json
import random

import pytest

from symgraph.runtime import artifact
from symgraph.runtime.artifact import InvalidArtifact, Key, decode, decode_header, encode, why
from symgraph.runtime.digest import digest

KEY = Key("function", {"graph": "f00d", "cpu": "znver4", "llvm": "22.1"})
META = {"name": "train", "inputs": ["x", "y"], "seconds": 0.25}
SECTIONS = {"object": bytes(range(256)) * 5, "empty": b"", "constants": b"\1\2\3"}


def test_round_trip():
    found = decode(encode(KEY, META, SECTIONS))
    assert found.key == KEY and found.meta == META and found.sections == SECTIONS


def test_no_sections():
    assert decode(encode(KEY, {}, {})).sections == {}


def test_the_layout_is_the_documented_one():
    content = encode(KEY, META, SECTIONS)
    assert content[:8] == b"SYMGRAPH" and content[8:12] == (1).to_bytes(4, "little")
    length = int.from_bytes(content[12:16], "little")
    header = json.loads(content[16 : 16 + length])
    assert sorted(header) == ["ingredients", "kind", "meta", "sections"]
    assert header["kind"] == "function" and header["ingredients"]["cpu"] == "znver4"
    start = -(-(16 + length) // 16) * 16
    for row in header["sections"]:
        assert row["offset"] % 16 == 0
        first = start + row["offset"]
        assert content[first : first + row["size"]] == SECTIONS[row["name"]]
    assert content[-32:] == digest(content[:-32])


def test_the_same_content_has_the_same_bytes():
    other = Key("function", dict(reversed(KEY.ingredients.items())))
    assert encode(other, dict(reversed(META.items())), SECTIONS) == encode(KEY, META, SECTIONS)


def test_a_file_written_today_stays_readable():
    """The bytes of schema 1, spelt out: whoever changes them must raise the schema."""
    text = (
        b'{"ingredients":{"g":"1"},"kind":"kernel","meta":{"n":2},'
        b'"sections":[{"name":"o","offset":0,"size":2}]}'
    )
    content = b"SYMGRAPH" + b"\1\0\0\0" + bytes([len(text), 0, 0, 0]) + text
    content += bytes(-len(content) % 16) + b"ab"
    content += digest(content)
    assert content == encode(Key("kernel", {"g": "1"}), {"n": 2}, {"o": b"ab"})
    assert Key("kernel", {"g": "1"}).hexdigest == (
        "9561a7bbfad9a9694c3f80e2646b66a84eed43e6b7684497fc26c5223729ea7f"
    )


@pytest.mark.parametrize("region", range(12))
def test_flipped_bits_are_found_everywhere(region):
    content = encode(KEY, META, SECTIONS)
    width = len(content) // 12 + 1
    for position in range(region * width, min(len(content), (region + 1) * width)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        with pytest.raises(InvalidArtifact):
            decode(bytes(damaged))


def test_every_truncation_is_found():
    content = encode(KEY, META, SECTIONS)
    for size in range(len(content)):
        with pytest.raises(InvalidArtifact):
            decode(content[:size])
    with pytest.raises(InvalidArtifact):
        decode(content + b"\0")


def resealed(change):
    """A file with a valid digest over changed content."""
    content = encode(KEY, META, SECTIONS)[:-32]
    changed = change(content)
    return changed + digest(changed)


def with_header(header):
    text = artifact.canonical_json(header)
    head = b"SYMGRAPH" + (1).to_bytes(4, "little") + len(text).to_bytes(4, "little") + text
    return head + bytes(-len(head) % 16) + bytes(64)


def seal(content):
    return content + digest(content)


GOOD = {"kind": "k", "ingredients": {}, "meta": {}, "sections": []}


@pytest.mark.parametrize(
    "header",
    [
        {**GOOD, "sections": [{"name": "a", "offset": 0, "size": 65}]},
        {**GOOD, "sections": [{"name": "a", "offset": -16, "size": 4}]},
        {**GOOD, "sections": [{"name": "a", "offset": 8, "size": -4}]},
        {**GOOD, "sections": [{"name": "a", "offset": "0", "size": 4}]},
        {**GOOD, "sections": [{"name": "a", "size": 4}]},
        {**GOOD, "sections": [{"name": [], "offset": 0, "size": 4}]},
        {**GOOD, "sections": [3]},
        {**GOOD, "sections": None},
        {**GOOD, "meta": []},
        {**GOOD, "ingredients": []},
        {**GOOD, "ingredients": {"a": 1}},
        {**GOOD, "kind": 3},
        {"kind": "k"},
        [],
        3,
    ],
)
def test_strange_headers_with_a_good_digest_are_refused(header):
    with pytest.raises(InvalidArtifact):
        decode(seal(with_header(header)))
    assert decode(seal(with_header(GOOD))).key == Key("k", {})


def test_another_schema_or_magic_is_refused():
    for change, reason in (
        (lambda c: c[:8] + (2).to_bytes(4, "little") + c[12:], "schema 2"),
        (lambda c: b"SOMEFILE" + c[8:], "no artefact"),
        (lambda c: c[:12] + b"\xff\xff\xff\xff" + c[16:], "header cut short"),
        (lambda c: c[:16] + b"?" + c[17:], "no JSON"),
        (lambda c: c[:16] + b"[" * (len(c) - 16), "header|JSON"),
    ):
        with pytest.raises(InvalidArtifact, match=reason):
            decode(resealed(change))


def test_random_bytes_are_refused():
    rng = random.Random(3)
    for _ in range(200):
        noise = rng.randbytes(rng.randrange(200))
        for content in (noise, b"SYMGRAPH\1\0\0\0" + noise, seal(noise)):
            with pytest.raises(InvalidArtifact):
                decode(content)
            with pytest.raises(InvalidArtifact):
                decode_header(content)


def test_keys():
    assert hash(KEY) == hash(Key("function", dict(KEY.ingredients)))
    assert KEY != Key("kernel", KEY.ingredients) and KEY != 3
    assert len({KEY.hexdigest, Key("kernel", KEY.ingredients).hexdigest}) == 2
    # ingredients do not run into each other
    assert Key("k", {"a": "b", "c": ""}).hexdigest != Key("k", {"a": "", "c": "b"}).hexdigest
    assert Key("k", {"é\ud800": "☃"}).hexdigest
    for wrong in ({"a": 1}, {1: "a"}, {"a": None}, {"a": b"x"}):
        with pytest.raises(TypeError):
            Key("k", wrong)
    with pytest.raises(TypeError):
        Key(3, {})


def test_what_json_cannot_hold_is_the_callers_mistake():
    with pytest.raises(TypeError):
        encode(KEY, {"a": object()}, {})
    with pytest.raises(ValueError):
        encode(KEY, {"a": float("nan")}, {})


def test_why_names_every_difference():
    a = Key("kernel", {"cpu": "znver4", "isa": "avx2", "graph": "1"})
    b = Key("function", {"cpu": "znver4", "graph": "2", "mode": "run"})
    assert why(a, a) == []
    assert why(a, b) == [
        ("kind", "kernel", "function"),
        ("graph", "1", "2"),
        ("isa", "avx2", None),
        ("mode", None, "run"),
    ]
