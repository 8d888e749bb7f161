"""The journal: whatever happens to the process, the disk or the file, finished chunks stay."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import ENVIRONMENT, python

from decaf.errors import FeaturesError
from decaf.features import journal as journal_module
from decaf.features.contents import Block
from decaf.features.journal import Journal
from decaf.features.journal_records import scan

HEADER = {"made by": "a test", "odd": "\udce9 \0 Ä", "list": [1, None]}
LAYERS = {"relu6": 3, "fire9/concat": 2}


def chunk(first: int, count: int, *failed: int, layers: dict[str, int] = LAYERS) -> Block:
    random = np.random.default_rng(first)
    return Block(
        first,
        count,
        {index: f"photo {index} is \udce9 broken" for index in failed},
        {
            layer: random.standard_normal((count - len(failed), width), np.float32)
            for layer, width in layers.items()
        },
    )


CHUNKS = [chunk(0, 2, 1), chunk(2, 1), chunk(3, 2, 3, 4), chunk(5, 3)]
DONE = [0, 2, 3, 5, 8]


def same(found: Block, expected: Block) -> bool:
    return (
        found.first == expected.first
        and found.count == expected.count
        and found.failed == expected.failed
        and list(found.values) == list(expected.values)
        and all(
            found.values[layer].tobytes() == rows.tobytes()
            and found.values[layer].shape == rows.shape
            and found.values[layer].dtype == np.float32
            for layer, rows in expected.values.items()
        )
    )


def check(path: Path, kept: int) -> None:
    """Open a journal: so many of `CHUNKS` are there, intact, and more can be added."""
    with Journal.open(path) as journal:
        assert journal.done == DONE[kept]
        assert journal.header == HEADER and journal.layers == LAYERS
        found = list(journal.chunks())
        assert len(found) == kept and all(map(same, found, CHUNKS))
        for more in CHUNKS[kept:]:
            journal.append(more)
        found = list(journal.chunks())
        assert len(found) == len(CHUNKS) and all(map(same, found, CHUNKS))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of all chunks, closed."""
    path = tmp_path / "feats.h5.partial"
    with Journal.create(path, HEADER, LAYERS) as journal:
        for each in CHUNKS:
            journal.append(each)
    return path


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "decaf")


def ends(path: Path) -> list[int]:
    """Where the header and each chunk end; found here by hand."""
    data, at, found = path.read_bytes(), 16, []
    while at < len(data):
        at += 12 + int.from_bytes(data[at : at + 8], "little")
        found.append(at)
    return found


def rewrite(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


# Create, append, read


def test_round_trip(path: Path) -> None:
    check(path, len(CHUNKS))
    assert os.listdir(path.parent) == [path.name]


def test_the_format_is_as_described(path: Path) -> None:
    data = path.read_bytes()
    assert data[:16] == b"decaf-journal 1\n"
    records, at = [], 16
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        payload = data[at + 12 : at + 12 + length]
        assert zlib.crc32(data[at : at + 8] + payload) == int.from_bytes(
            data[at + 8 : at + 12], "little"
        )
        records.append(payload)
        at += 12 + length
    assert json.loads(records[0]) == {"header": HEADER, "layers": LAYERS}
    for record, expected in zip(records[1:], CHUNKS, strict=True):
        size = int.from_bytes(record[:4], "little")
        assert json.loads(record[4 : 4 + size]) == {
            "first": expected.first,
            "count": expected.count,
            "failed": [[index, reason] for index, reason in expected.failed.items()],
        }
        assert record[4 + size :] == b"".join(rows.tobytes() for rows in expected.values.values())


def test_the_same_chunks_give_the_same_bytes(path: Path, tmp_path: Path) -> None:
    with Journal.create(tmp_path / "other", HEADER, LAYERS) as journal:
        for each in CHUNKS:
            values = {name: np.asfortranarray(rows) for name, rows in each.values.items()}
            journal.append(Block(each.first, each.count, each.failed, values))
    assert (tmp_path / "other").read_bytes() == path.read_bytes()


def test_a_new_journal_has_no_photos(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j", {}, {"x": 1}) as journal:
        assert journal.done == 0 and list(journal.chunks()) == []
    with Journal.open(tmp_path / "j") as journal:
        assert journal.done == 0 and list(journal.chunks()) == []


def test_iterators_are_independent(path: Path) -> None:
    with Journal.open(path) as journal:
        for a, b in zip(journal.chunks(), journal.chunks(), strict=True):
            assert same(a, b)
        started = journal.chunks()
        next(started)
        journal.append(chunk(8, 4))
        assert len(list(started)) == 3  # those that were there when it began
        assert len(list(journal.chunks())) == 5


def test_long_reasons_are_cut(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j", {}, {"x": 1}) as journal:
        journal.append(Block(0, 1, {0: "x" * 10_000}, {"x": np.zeros((0, 1), np.float32)}))
        assert next(journal.chunks()).failed == {0: "x" * 1000}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (chunk(7, 1), "must be of photos from 8 on; got 1 from 7"),
        (chunk(9, 1), "must be of photos from 8 on"),
        (Block(8, 0, {}, chunk(8, 0).values), "got 0 from 8"),
        (Block(8, 1, {9: "x"}, chunk(8, 0).values), "must be of photos"),
        (Block(8, 1, {}, chunk(8, 2).values), "values of a chunk must fit"),
        (Block(8, 1, {}, {"relu6": chunk(8, 1).values["relu6"]}), "values of a chunk must fit"),
        (chunk(8, 1, layers={"relu6": 3, "fire9/concat": 3}), "values of a chunk must fit"),
        (Block(8, 1, {}, {n: v.astype(float) for n, v in chunk(8, 1).values.items()}), "float64"),
    ],
)  # fmt: skip
def test_chunks_that_do_not_fit(path: Path, wrong: Block, said: str) -> None:
    before = path.read_bytes()
    with Journal.open(path) as journal, pytest.raises(FeaturesError) as caught:
        journal.append(wrong)
    assert str(caught.value).startswith(f"{path}: ") and said in str(caught.value)
    assert path.read_bytes() == before


# Create


def test_create_replaces_nothing(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(FeaturesError, match=f"^{path}: must not exist"):
        Journal.create(path, HEADER, LAYERS)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("header", "layers", "said"),
    [
        ({"x": float("nan")}, LAYERS, "JSON can hold"),
        ({"x": object()}, LAYERS, "JSON can hold"),
        ({"x": "y" * 2**19}, LAYERS, "at most 524,288 bytes"),
        ({}, {}, "layers must be at least one"),
        ({}, {"paths": 3}, "none that feature files use"),
        ({}, {"x": 0}, "x: features must be 1 to"),
        ({}, {"x": True}, "x: features must be 1 to"),
        ({}, {"x": 2**29}, "x: features must be 1 to"),
    ],
)
def test_not_created(tmp_path: Path, header: Any, layers: Any, said: str) -> None:
    with pytest.raises(FeaturesError, match=said):
        Journal.create(tmp_path / "j", header, layers)
    assert os.listdir(tmp_path) == []


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match="none.j: must be a place"):
        Journal.create(tmp_path / "none" / "j", HEADER, LAYERS)
    with pytest.raises(FeaturesError, match="got no such file"):
        Journal.open(tmp_path / "j")
    with pytest.raises(FeaturesError, match="must be a plain file, or not exist; got a folder"):
        Journal.open(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace", "sync"])
def test_a_kill_inside_create(tmp_path: Path, step: str) -> None:
    """Either there is no journal, or one of no photos; what is left over does not pile up."""
    path = tmp_path / "j"
    code = f"""if True:
        import os, sys
        from pathlib import Path
        from decaf.features import journal
        def die(*_):
            os.kill(os.getpid(), 9)
        def half(file, *parts):
            file.write(parts[0][:9])
            die()
        step = {step!r}
        if step == "open": journal.FileIO = die
        if step == "write": journal.write = half
        if step == "fsync": os.fsync = die
        if step == "replace": Path.replace = die
        if step == "sync": journal.sync_folder = die
        journal.Journal.create(sys.argv[1], {{"a": 1}}, {{"x": 1}})
    """
    for _ in range(3):
        done = python("-c", code, str(path))
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert set(os.listdir(tmp_path)) <= {"j", "j.lock", "j.new"}
        if path.exists():
            assert step == "sync"
            with Journal.open(path) as journal:
                assert journal.done == 0 and journal.header == {"a": 1}
            path.unlink()
    Journal.create(path, HEADER, LAYERS).close()
    assert os.listdir(tmp_path) == ["j"]


# Links and files of others


def plant(place: Path, what: str) -> None:
    """Put something there that is not decaf's; ``precious`` beside it is what links lead to."""
    if what == "file":
        place.write_bytes(b"of the user")
    elif what == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("there are no pipes with names")
        os.mkfifo(place)
    elif what == "folder":
        place.mkdir()
    else:
        if what == "link":
            place.with_name("precious").write_bytes(b"precious")
        try:
            place.symlink_to(place.with_name("precious"))
        except OSError:
            pytest.skip("links cannot be made here")


def standing(folder: Path) -> dict[str, object]:
    """All that is in a folder, links not followed."""
    return {
        path.name: os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else "other"
        for path in folder.iterdir()
    }


every_plant = pytest.mark.parametrize("what", ["file", "link", "dangling", "pipe", "folder"])


@every_plant
@pytest.mark.parametrize("suffix", ["", ".new", ".lock"])
def test_nothing_of_others_is_touched_by_create(tmp_path: Path, suffix: str, what: str) -> None:
    plant(tmp_path / f"j{suffix}", what)
    before = standing(tmp_path)
    with pytest.raises(FeaturesError, match=rf"^{tmp_path}/j({suffix})?: must "):
        Journal.create(tmp_path / "j", HEADER, LAYERS)
    assert standing(tmp_path) == before


@every_plant
@pytest.mark.parametrize("suffix", ["", ".lock"])
def test_nothing_of_others_is_touched_by_open(path: Path, suffix: str, what: str) -> None:
    place = path.with_name(f"{path.name}{suffix}")
    if not suffix:
        place.rename(path.with_name("precious"))  # a link leads to a journal that is intact
    if what != "link" or suffix:
        plant(place, what)
    else:
        place.symlink_to(path.with_name("precious"))
    if what == "dangling" and not suffix:
        path.with_name("precious").unlink()
    before = standing(path.parent)
    with pytest.raises(FeaturesError, match=rf"^{path}({suffix})?: "):
        Journal.open(path)
    assert standing(path.parent) == before


@pytest.mark.parametrize("left", [b"", b"decaf", b"decaf-journal 1\n", b"decaf-journal 1\n abc"])
def test_what_a_kill_left_is_replaced(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "j.new").write_bytes(left)
    (tmp_path / "j.lock").touch()
    Journal.create(tmp_path / "j", HEADER, LAYERS).close()
    assert os.listdir(tmp_path) == ["j"]


def test_a_header_that_is_not_accepted(path: Path) -> None:
    """It is refused before anything is cut off, and the lock is let go."""

    def refuse(header: dict[str, Any]) -> None:
        assert header == HEADER
        raise FeaturesError("another one")

    rewrite(path, path.read_bytes() + b"of the user")
    before = path.read_bytes()
    with pytest.raises(FeaturesError, match="another one"):
        Journal.open(path, refuse)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]
    with Journal.open(path, lambda header: None) as journal:
        assert journal.done == 8


# Torn and damaged files


def test_cut_at_every_byte(path: Path) -> None:
    whole, places = path.read_bytes(), ends(path)
    assert places[-1] == len(whole) and len(places) == 5
    for size in range(len(whole)):
        rewrite(path, whole[:size])
        kept = sum(end <= size for end in places) - 1
        if kept < 0:
            with pytest.raises(FeaturesError, match=f"^{path}: "):
                Journal.open(path)
            assert path.read_bytes() == whole[:size]  # left alone
        else:
            check(path, kept)
            assert path.read_bytes() == whole
        assert os.listdir(path.parent) == [path.name]


def test_flipped_bits(path: Path) -> None:
    """Any bit: the chunks before it are kept, and nothing wrong is given out."""
    whole, places = path.read_bytes(), ends(path)
    for bit in range(0, 8 * len(whole), 5):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        rewrite(path, data)
        kept = sum(8 * end <= bit for end in places) - 1
        if kept < 0:
            with pytest.raises(FeaturesError, match=f"^{path}: "):
                Journal.open(path)
            assert path.read_bytes() == data  # left alone
        else:
            check(path, kept)


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 5000, b"\xff" * 40, b"decaf-journal 1\n"])
def test_what_a_power_failure_leaves_behind(path: Path, tail: bytes) -> None:
    whole = path.read_bytes()
    rewrite(path, whole + tail)
    check(path, 4)
    assert path.read_bytes() == whole


def test_the_log_says_what_was_cut(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "decaf")
    Journal.open(path).close()
    assert not caplog.messages
    data = bytearray(path.read_bytes())
    data[ends(path)[2] - 1] ^= 1
    rewrite(path, data)
    Journal.open(path).close()
    (record,) = caplog.records
    assert record.levelname == "WARNING" and record.name == "decaf"
    assert "were cut off; 2 photos are kept" in record.message and str(path) in record.message


def test_chunks_that_do_not_follow(path: Path) -> None:
    """A record that is whole but out of its place ends the journal."""
    data, places = path.read_bytes(), ends(path)
    first, third = data[places[0] : places[1]], data[places[2] : places[3]]
    for wrong in (first, third):
        rewrite(path, data[: places[1]] + wrong)
        check(path, 1)


def record(payload: bytes) -> bytes:
    length = len(payload).to_bytes(8, "little")
    return length + zlib.crc32(length + payload).to_bytes(4, "little") + payload


def head(text: bytes) -> bytes:
    return len(text).to_bytes(4, "little") + text


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\0\0\0",
        b"\xff\xff\xff\xff",
        head(b""),
        head(b"[]"),
        head(b"{}"),
        head(b'{"first": 8, "count": 0, "failed": []}'),
        head(b'{"first": 8, "count": -1, "failed": [[8, ""], [9, ""]]}'),
        head(b'{"first": 8, "count": 1, "failed": []}'),
        head(b'{"first": 8, "count": 1, "failed": []}') + bytes(19),
        head(b'{"first": 8, "count": 1, "failed": []}') + bytes(21),
        head(b'{"first": 8.0, "count": 1, "failed": []}') + bytes(20),
        head(b'{"first": true, "count": 1, "failed": []}') + bytes(20),
        head(b'{"first": 8, "count": 1, "failed": {}}') + bytes(20),
        head(b'{"first": 8, "count": 1, "failed": [[7, "x"]]}'),
        head(b'{"first": 8, "count": 1, "failed": [[9, "x"]]}'),
        head(b'{"first": 8, "count": 1, "failed": [[8, 3]]}'),
        head(b'{"first": 8, "count": 1, "failed": [[8]]}'),
        head(b'{"first": 8, "count": 2, "failed": [[8, ""], [8, ""]]}'),
        head(b'{"first": 8, "count": 2, "failed": [[9, ""], [8, ""]]}'),
        head(b'{"first": 8, "count": 1e999, "failed": []}'),
        head(b'{"first": 8, "count": ' + b"9" * 5000 + b', "failed": []}'),
        head(b'{"first": 8, "count": ' + b"9" * 4000 + b', "failed": []}'),
        head('{"first": 8, "count": 1, "failed": []}'.encode("utf-16")) + bytes(20),
        head(b"[" * 100_000),
        head(b"\xff"),
    ],
)  # fmt: skip
def test_forged_chunks(path: Path, payload: bytes) -> None:
    """Right checksums say nothing: what a record claims is compared with what it has."""
    data = path.read_bytes()
    rewrite(path, data + record(payload))
    check(path, 4)
    assert path.read_bytes() == data


def test_forged_lengths_allocate_nothing() -> None:
    for length in (2**64 - 1, 2**63, 2**40, 1):
        data = b"decaf-journal 1\n" + length.to_bytes(8, "little") + bytes(4)
        with pytest.raises(FeaturesError, match="must be whole"):
            scan(io.BytesIO(data), len(data))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "must be a journal of decaf"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "must be a journal of decaf"),
        (b"decaf-journal 2\n" + bytes(100), "must be of version 1"),
        (b"decaf-journal 1\n", "must be intact"),
        (b"decaf-journal 1\n" + record(b"{}"), "must hold a header and layers"),
        (b"decaf-journal 1\n" + record(b'{"header": {}, "layers": {}}'), "at least one"),
        (b"decaf-journal 1\n" + record(b'{"header": {}, "layers": {"x": 0}}'), "1 to"),
        (b"decaf-journal 1\n" + record(b'{"header": {}, "layers": {"x": 1.5}}'), "1 to"),
        (b"decaf-journal 1\n" + record(b'{"header": 1, "layers": {"x": 1}}'), "a header"),
        (b"decaf-journal 1\n" + record(b"{"), "valid JSON"),
        (b"decaf-journal 1\n" + record(b" " * (2**19 + 1)), "at most 524,288 bytes"),
    ],
)
def test_other_files_are_left_alone(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "j"
    path.write_bytes(data)
    with pytest.raises(FeaturesError) as caught:
        Journal.open(path)
    assert str(caught.value).startswith(f"{path}: ") and said in str(caught.value)
    assert path.read_bytes() == data and os.listdir(tmp_path) == ["j"]


def test_chunks_are_checked_again(path: Path) -> None:
    """What the disk gives back later need not be what it gave before."""
    with Journal.open(path) as journal:
        at = ends(path)[2] - 3
        with path.open("r+b") as file:
            file.seek(at)
            file.write(b"\xff")
        chunks = journal.chunks()
        assert same(next(chunks), CHUNKS[0])
        with pytest.raises(FeaturesError, match=f"^{path}: must be intact"):
            next(chunks)
        with path.open("r+b") as file:
            file.truncate(at)
        with pytest.raises(FeaturesError, match=f"^{path}: must be intact"):
            list(journal.chunks())


# A full disk, and kills


class Full:
    """A file on a disk with room for some more bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self.room = file, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        written = self._file.write(bytes(data)[: self.room])
        self.room -= written
        return int(written)


def test_a_full_disk_at_every_byte(path: Path) -> None:
    whole, places = path.read_bytes(), ends(path)
    for kept in range(4):
        for room in range(places[kept + 1] - places[kept]):
            rewrite(path, whole[: places[kept]])
            with Journal.open(path) as journal:
                journal._file = full = Full(journal._file, room)  # type: ignore[assignment]
                with pytest.raises(FeaturesError, match=f"^{path}: .*No space left.*resume"):
                    journal.append(CHUNKS[kept])
                assert journal.done == DONE[kept]
                assert path.read_bytes() == whole[: places[kept]]
                full.room = 10**6  # somebody made room
                journal.append(CHUNKS[kept])
                assert path.read_bytes() == whole[: places[kept + 1]]


def test_a_failing_sync_is_no_success(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    with Journal.open(path) as journal:

        def fail(_: int) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fail)
            with pytest.raises(FeaturesError, match="Input/output error"):
                journal.append(chunk(8, 1))
        assert journal.done == 8 and path.read_bytes() == before


def test_an_interrupt_while_writing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def interrupted(file: Any, *parts: bytes) -> None:
        file.write(parts[0])
        raise KeyboardInterrupt

    with Journal.open(path) as journal:
        with monkeypatch.context() as patched:
            patched.setattr(journal_module, "write", interrupted)
            with pytest.raises(KeyboardInterrupt):
                journal.append(chunk(8, 1))
        assert journal.done == 8 and path.read_bytes() == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs limits of Linux")
def test_a_real_limit(path: Path) -> None:
    """The system itself refuses to make the file larger, in the middle of a record."""
    before = path.read_bytes()
    code = """if True:
        import resource, signal, sys
        import numpy as np
        from decaf.errors import FeaturesError
        from decaf.features.contents import Block
        from decaf.features.journal import Journal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit = int(sys.argv[2])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        journal = Journal.open(sys.argv[1])
        values = {name: np.ones((1000, d), np.float32) for name, d in journal.layers.items()}
        try:
            journal.append(Block(journal.done, 1000, {}, values))
        except FeaturesError as error:
            print(error)
    """
    done = python("-c", code, str(path), str(len(before) + 5000))
    assert b"File too large" in done.stdout, done.stderr
    assert path.read_bytes() == before


WRITER = """if True:
    import sys
    import numpy as np
    from decaf.features.contents import Block
    from decaf.features.journal import Journal
    with Journal.open(sys.argv[1]) as journal:
        while True:
            first = journal.done
            values = {name: np.full((50, d), first, np.float32)
                      for name, d in journal.layers.items()}
            journal.append(Block(first, 50, {}, values))
            print(journal.done, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_kill(tmp_path: Path) -> None:
    """What a process said to be finished is there after kill -9 at any moment."""
    path = tmp_path / "j"
    Journal.create(path, {}, {"x": 1000}).close()
    random = np.random.default_rng(0)
    finished = 0
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], env=ENVIRONMENT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        finished = int(process.stdout.readline())
        timer = threading.Timer(float(random.uniform(0, 0.05)), process.kill)
        timer.start()
        finished = max([finished, *map(int, process.stdout.read().split())])
        process.wait()
        timer.join()
        process.stdout.close()
        with Journal.open(path) as journal:
            assert journal.done in (finished, finished + 50)
            finished = journal.done
            for number, each in enumerate(journal.chunks()):
                assert each.first == 50 * number and np.all(each.values["x"] == each.first)
    assert finished >= 300


# One process at a time


def test_two_processes(path: Path) -> None:
    code = "import sys; from decaf.features.journal import Journal; Journal.open(sys.argv[1])"
    before = path.read_bytes()
    with Journal.open(path) as journal:
        done = python("-c", code, str(path))
        assert b"another process is writing it" in done.stderr
        with pytest.raises(FeaturesError, match="another process is writing it"):
            Journal.open(path)
        with pytest.raises(FeaturesError, match="another process is writing it"):
            Journal.create(path, HEADER, LAYERS)
        assert sorted(os.listdir(path.parent)) == [path.name, f"{path.name}.lock"]
        journal.append(chunk(8, 1))
    assert path.read_bytes().startswith(before)
    assert python("-c", code, str(path)).returncode == 0
    rewrite(path, before)
    check(path, 4)


def test_closed_in_another_thread(path: Path) -> None:
    journal = Journal.open(path)
    thread = threading.Thread(target=journal.close)
    thread.start()
    thread.join()
    check(path, 4)


def test_close_and_remove_may_be_repeated(path: Path) -> None:
    journal = Journal.open(path)
    journal.close()
    journal.close()
    assert os.listdir(path.parent) == [path.name]
    journal = Journal.open(path)
    journal.remove()
    journal.close()
    assert os.listdir(path.parent) == []


def test_where_nothing_can_be_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import filelock

    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.raises(FeaturesError, match="to lock files; got FileSystem does not"):
        Journal.open(path)


# Memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize("kind", ["h5", "npz"])
def test_memory_is_flat(tmp_path: Path, kind: str) -> None:
    """200 MB through a journal into a file and back, in a process of its own."""
    code = """if True:
        import re, sys
        from pathlib import Path
        import h5py, filelock
        import numpy as np
        from decaf.features.contents import Features
        from decaf.features.files import load_features, write_features
        from decaf.features.contents import Block
        from decaf.features.journal import Journal
        def memory(name):
            return int(re.search(name + r":\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
        chunk, width = 64, 12_800  # 3.3 MB
        values = np.arange(chunk * width, dtype=np.float32).reshape(chunk, width)
        before = memory("VmRSS")
        journal = Journal.create(sys.argv[1] + "/j", {}, {"x": width})
        for first in range(0, 64 * chunk, chunk):
            journal.append(Block(first, chunk, {}, {"x": values + first}))
        journal.close()
        journal = Journal.open(sys.argv[1] + "/j")
        names = [f"{i}.jpg" for i in range(journal.done)]
        read = lambda layer: (c.values[layer] for c in journal.chunks())
        target = sys.argv[1] + "/f"
        write_features(target, Features({"x": width}, names, names, [], {}, read), sys.argv[2])
        journal.close()
        found = 0
        for block in load_features(target).blocks("x"):
            assert block[0, 0] == found // chunk * chunk + found % chunk * width
            found += len(block)
        assert found == 64 * chunk
        print(memory("VmHWM") - before)
    """
    done = python("-c", code, str(tmp_path), kind)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "j").stat().st_size > 200_000_000
    assert int(done.stdout) < 60_000  # kB; a fourth of the file
