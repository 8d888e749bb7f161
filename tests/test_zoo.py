"""The zoo: names become weights files, once, whoever asks and however it fails.

The networks here are random SqueezeNets, on a server of the test's own.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import pytest
from PIL import Image
from processes import ENVIRONMENT, python
from support_server import Page, Server, cut, honest, in_turn, slowly, status

from decaf import DecafNet, ops, zoo
from decaf.architectures import ARCHITECTURES
from decaf.cli import main
from decaf.errors import WeightsError
from decaf.labels import imagenet
from decaf.preprocessing import CAFFE_IMAGENET
from decaf.weights import load_weights, save_weights
from decaf.zoo import cache
from decaf.zoo import download as download_module

MEAN = (104.0, 117.0, 123.0)
# A fresh Python in which the zoo has the network that its first argument describes.
FETCH = """
import json, sys
from decaf import zoo
fields = json.loads(sys.argv[1])
zoo.ZOO["test"] = zoo.Entry(**{**fields, "urls": tuple(fields["urls"]), "mean": None})
print(zoo.fetch("test"))
"""


@pytest.fixture(scope="session")
def parameters() -> dict[str, Any]:
    random = np.random.default_rng(1)
    shapes = ARCHITECTURES["squeezenet1_1"]().parameter_shapes
    return {
        name: (0.1 * random.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


@pytest.fixture(scope="session")
def data(parameters: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **parameters)
    return file.getvalue()


@pytest.fixture
def server(data: bytes) -> Iterator[Server]:
    with Server() as server:
        server.pages["/net.npz"] = honest(data)
        yield server


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of nothing, a folder of nothing, no proxy, and little patience."""
    for name in ("DECAF_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    monkeypatch.setenv("DECAF_HOME", str(home))
    hasty = download_module.Patience(timeout=2, window=1, slowest=100, attempts=2, pause=0.01)
    monkeypatch.setattr(download_module, "PATIENCE", hasty)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return home


@pytest.fixture(autouse=True)
def entry(server: Server, data: bytes, monkeypatch: pytest.MonkeyPatch) -> zoo.Entry:
    entry = zoo.Entry(
        name="test",
        title="a test",
        urls=(server.url("/net.npz"),),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        architecture="squeezenet1_1",
        preprocessing="caffe",
        licence="none",
        top1=0.1,
        top5=0.5,
    )
    monkeypatch.setitem(zoo.ZOO, "test", entry)
    return entry


def files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(path.relative_to(folder).as_posix() for path in found)


def failure(name: str = "test") -> str:
    with pytest.raises(WeightsError) as caught:
        zoo.fetch(name)
    return str(caught.value)


def start(entry: zoo.Entry, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, json.dumps(dataclasses.asdict(entry))],
        env={**ENVIRONMENT, "DECAF_HOME": os.environ["DECAF_HOME"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


# What there is


@pytest.mark.parametrize("entry", zoo.ENTRIES, ids=lambda entry: entry.name)
def test_entries_are_well_formed(entry: zoo.Entry) -> None:
    assert zoo.ZOO[entry.name] is entry
    assert re.fullmatch(r"[a-z][a-z0-9_]*", entry.name)  # neither a path nor with a suffix
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert entry.size > 10**6
    assert all(re.match(r"https?://[a-z.]+/", url) for url in entry.urls)
    assert re.fullmatch(r"[\w.-]+\.(pth|caffemodel)", entry.file)
    assert 50 < entry.top1 < 60 < 75 < entry.top5 < 85
    architecture = ARCHITECTURES[entry.architecture]()
    # float32 and little else: the sizes cannot be those of other networks.
    parameters = 4 * sum(int(np.prod(s)) for s in architecture.parameter_shapes.values())
    assert 0 <= entry.size - parameters < 20_000


def test_the_hash_in_the_name_of_torchvisions_file() -> None:
    entry = zoo.ZOO["alexnet"]
    assert entry.file == f"alexnet-owt-{entry.sha256[:8]}.pth"


def test_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DECAF_HOME", "somewhere")
    assert zoo.home() == Path.cwd() / "somewhere"
    monkeypatch.setenv("DECAF_HOME", "")
    assert zoo.home() == pooch.os_cache("decaf")
    monkeypatch.delenv("DECAF_HOME")
    assert zoo.home() == pooch.os_cache("decaf")


# Fetching


def test_fetch(
    empty_home: Path, entry: zoo.Entry, server: Server, parameters: dict[str, Any]
) -> None:
    path = zoo.fetch("test")
    assert path == empty_home / f"test-{entry.sha256[:8]}.h5"
    weights = load_weights(path)
    for name, array in parameters.items():
        np.testing.assert_array_equal(weights.parameters[name], array)
    assert weights.preprocessing == CAFFE_IMAGENET
    assert (weights.labels, weights.label_ids) == imagenet()
    assert weights.provenance["source"]["sha256"] == entry.sha256
    assert files(empty_home) == [path.name]  # neither the download nor anything else is left

    before = path.stat()
    assert zoo.fetch("test") == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert len(server.asked) == 1


def test_a_mean_of_its_own(
    entry: zoo.Entry, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(zoo.ZOO, "test", dataclasses.replace(entry, mean=MEAN))
    path = zoo.fetch("test")
    wanted = dataclasses.replace(CAFFE_IMAGENET, mean=MEAN)
    weights = load_weights(path)
    assert weights.preprocessing == wanted
    assert weights.provenance["options"]["preprocessing"] == wanted.to_dict()
    assert files(empty_home) == [path.name]


def test_the_logger_says_what_happens(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], entry: zoo.Entry
) -> None:
    with caplog.at_level(logging.INFO, "decaf"):
        zoo.fetch("test")
    lines = [record.getMessage() for record in caplog.records if record.name == "decaf"]
    assert [line.split()[0] for line in lines] == ["fetching", "downloading", "converting"]
    assert capfd.readouterr() == ("", "")  # pooch's own notes would be on stderr


def test_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    zoo.fetch("test")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.rpartition("\r")[2].startswith("test: 100%")


def test_a_failure_names_the_file_and_the_command(server: Server, entry: zoo.Entry) -> None:
    server.pages.clear()
    message = failure()
    assert message.startswith("test: could not be downloaded; ")
    assert f"{entry.urls[0]} (HTTP status 404 Not Found)" in message
    for part in (f"{entry.file}, ", f"{entry.size:,} bytes", entry.sha256, *entry.urls):
        assert message.count(part) == 1  # each fact once
    assert message.endswith("decaf zoo add test net.npz")
    assert len(message.splitlines()) == 5
    assert not cache.part(entry).exists()  # nothing came to be continued


def test_a_failure_is_one_traceback(server: Server) -> None:
    server.pages.clear()
    with pytest.raises(WeightsError) as caught:
        zoo.fetch("test")
    assert "another exception" not in "".join(traceback.format_exception(caught.value))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


def test_a_download_that_failed_is_continued(server: Server, data: bytes, empty_home: Path) -> None:
    server.pages["/net.npz"] = in_turn(cut(data, 2_000_000), cut(data, 0), cut(data, 0))
    failure()
    assert files(empty_home) == ["downloads/net.npz.part"]
    server.pages["/net.npz"] = honest(data)
    zoo.fetch("test")
    assert server.asked[-1] == ("/net.npz", "bytes=2000000-")


def test_a_process_that_is_killed(
    server: Server, data: bytes, entry: zoo.Entry, empty_home: Path
) -> None:
    """Its part is continued, and its lock is gone with it."""
    server.pages["/net.npz"] = slowly(data, pieces=100, seconds=0.05)
    part = empty_home / "downloads" / "net.npz.part"
    with start(entry) as process:
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size > 200_000):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    assert files(empty_home) == ["downloads/net.npz.part"]
    have = part.stat().st_size
    assert have < len(data)
    assert data.startswith(part.read_bytes())
    server.pages["/net.npz"] = honest(data)
    zoo.fetch("test")
    assert server.asked[1:] == [("/net.npz", f"bytes={have}-")]


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to a process on Windows")
def test_ctrl_c(server: Server, data: bytes, entry: zoo.Entry, empty_home: Path) -> None:
    server.pages["/net.npz"] = slowly(data, pieces=100, seconds=0.05)
    with start(entry) as process:
        part = empty_home / "downloads" / "net.npz.part"
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
    assert files(empty_home) == ["downloads/net.npz.part"]


def test_processes_at_once_download_once(server: Server, data: bytes, entry: zoo.Entry) -> None:
    server.pages["/net.npz"] = slowly(data, pieces=5, seconds=0.3)
    workers = [start(entry) for _ in range(3)]
    answers = [worker.communicate(timeout=120) for worker in workers]
    assert answers == [(f"{zoo.place(entry)}\n".encode(), b"")] * 3
    assert len(server.asked) == 1


def test_threads_at_once_download_once(server: Server, data: bytes) -> None:
    server.pages["/net.npz"] = slowly(data, pieces=5, seconds=0.1)
    threads = [threading.Thread(target=zoo.fetch, args=("test",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 1


def test_who_waits_says_so(
    entry: zoo.Entry, caplog: pytest.LogCaptureFixture, server: Server
) -> None:
    with caplog.at_level(logging.INFO, "decaf"):
        with cache.alone(entry):
            thread = threading.Thread(target=zoo.fetch, args=("test",))
            thread.start()
            while "waiting for another process that fetches test" not in caplog.messages:
                assert thread.is_alive()
                time.sleep(0.01)
            assert not server.asked
        thread.join()
    assert len(server.asked) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="limits on file sizes are POSIX")
def test_a_file_system_that_takes_no_more(
    server: Server, data: bytes, entry: zoo.Entry, empty_home: Path
) -> None:
    """A limit on the size of files stands for a full disk: the same error, from the system."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))\n"
    arguments = ("-c", limited + FETCH, json.dumps(dataclasses.asdict(entry)))
    done = python(*arguments, env={**ENVIRONMENT, "DECAF_HOME": str(empty_home)})
    assert done.returncode == 1
    last = done.stderr.decode().splitlines()[-1]
    assert "WeightsError: test: " in last and "must be a folder to write" in last
    assert os.strerror(errno.EFBIG) in last and "DECAF_HOME" in last
    assert (empty_home / "downloads" / "net.npz.part").read_bytes() == data[: 10**6]
    zoo.fetch("test")
    assert server.asked[-1] == ("/net.npz", "bytes=1000000-")


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download_module.Part, "append", full)
    assert re.search(r"^test: .*must be a folder to write .* bytes to; got .*No space", failure())


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / ("a" * 300), "a" * 300):
        monkeypatch.setenv("DECAF_HOME", str(home))
        assert re.search(r"must be a folder to write .* to; .*DECAF_HOME", failure())
        monkeypatch.setenv("DECAF_OFFLINE", "1")
        assert "not here, and DECAF_OFFLINE is set" in failure()
        monkeypatch.delenv("DECAF_OFFLINE")


def test_a_folder_that_may_not_be_searched(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    entry: zoo.Entry,
    empty_home: Path,
) -> None:
    """The system refuses even to say whether there is a file; the tests may run as root."""
    real = os.stat

    def closed(path: Any, *rest: Any, **options: Any) -> os.stat_result:
        if isinstance(path, (str, os.PathLike)) and str(path).startswith(str(empty_home)):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "stat", closed)
    monkeypatch.setenv("DECAF_OFFLINE", "1")
    assert "not here, and DECAF_OFFLINE is set" in failure()
    assert main(["zoo", "--json"]) == 0
    assert not any(fact["here"] for fact in json.loads(capsys.readouterr().out))


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps the current folder")
def test_a_relative_folder_in_a_folder_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("DECAF_HOME", "somewhere")
    assert "must be a folder to write" in failure()


def test_weights_that_are_here_need_no_folder_to_write_to(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zoo.fetch("test")

    def nothing(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", nothing)
    monkeypatch.setattr(os, "open", nothing)
    assert zoo.fetch("test") == path


def test_a_file_that_decaf_cannot_read(
    entry: zoo.Entry, server: Server, monkeypatch: pytest.MonkeyPatch, empty_home: Path
) -> None:
    data = b"no network at all" * 99
    sha256 = hashlib.sha256(data).hexdigest()
    other = dataclasses.replace(entry, size=len(data), sha256=sha256)
    monkeypatch.setitem(zoo.ZOO, "test", other)
    server.pages["/net.npz"] = honest(data)
    assert failure().startswith("test: ")
    assert files(empty_home) == ["downloads/net.npz"]  # another decaf may read it


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes in the file system")
def test_what_is_no_file_in_the_place_of_the_download(
    entry: zoo.Entry, server: Server, empty_home: Path, tmp_path: Path
) -> None:
    """Whoever opens a pipe to read waits for somebody to write."""
    source, pipe = cache.source(entry), tmp_path / "pipe"
    source.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    for number, make in enumerate(
        (os.mkfifo, lambda path: path.symlink_to(pipe), lambda path: path.symlink_to("nowhere"))
    ):
        make(source)
        thread = threading.Thread(target=zoo.fetch, args=("test",), daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        assert files(empty_home) == [zoo.place(entry).name]
        assert len(server.asked) == number + 1
        zoo.place(entry).unlink()
    assert pipe.is_fifo()
    source.mkdir()
    assert "must be a folder to write" in failure()


# Without a network


def test_offline(
    monkeypatch: pytest.MonkeyPatch, server: Server, entry: zoo.Entry, empty_home: Path
) -> None:
    monkeypatch.setenv("DECAF_OFFLINE", "1")
    message = failure()
    assert message.splitlines() == [
        "test: not here, and DECAF_OFFLINE is set; get this file, and type the command:",
        f"  file:     net.npz, {entry.size:,} bytes",
        f"  SHA-256:  {entry.sha256}",
        f"  from:     {entry.urls[0]}",
        "  command:  decaf zoo add test net.npz",
    ]
    assert not server.asked
    assert not empty_home.exists()

    monkeypatch.setenv("DECAF_OFFLINE", "0")
    path = zoo.fetch("test")
    monkeypatch.setenv("DECAF_OFFLINE", "1")
    assert zoo.fetch("test") == path


def test_offline_with_the_download_in_place(
    monkeypatch: pytest.MonkeyPatch, server: Server, entry: zoo.Entry, data: bytes
) -> None:
    monkeypatch.setenv("DECAF_OFFLINE", "1")
    source = cache.source(entry)
    source.parent.mkdir(parents=True)
    source.write_bytes(data[:-1])
    assert "is another file, and DECAF_OFFLINE is set" in failure()
    source.write_bytes(data)
    assert zoo.fetch("test").is_file()
    assert not server.asked


def test_add(
    tmp_path: Path, data: bytes, server: Server, entry: zoo.Entry, empty_home: Path
) -> None:
    file = tmp_path / "from a stick"
    file.write_bytes(data)
    cache.part(entry).parent.mkdir(parents=True)
    cache.part(entry).write_bytes(data[:5])
    path = zoo.add("test", file)
    assert load_weights(path).provenance["source"]["sha256"] == entry.sha256
    assert zoo.fetch("test") == path
    assert not server.asked
    assert file.read_bytes() == data
    assert files(empty_home) == [path.name]  # the part is of no more use

    path.write_bytes(b"damaged")
    assert zoo.add("test", file) == path
    load_weights(path)


def test_add_refuses_other_files(
    tmp_path: Path, data: bytes, entry: zoo.Entry, empty_home: Path
) -> None:
    file = tmp_path / "net.npz"
    other = bytes([*data[:-1], data[-1] ^ 1])
    for wrong, got in (
        (data[:-1], f"got {len(data) - 1:,} bytes\n"),
        (data + b"x", f"got {len(data) + 1:,} bytes\n"),
        (other, f"got SHA-256 {hashlib.sha256(other).hexdigest()}\n"),
    ):
        file.write_bytes(wrong)
        with pytest.raises(WeightsError, match=f"must be net.npz, .*{entry.sha256}; {got}") as why:
            zoo.add("test", file)
        assert str(why.value).endswith(f"decaf convert {file} test.h5, then --weights test.h5")
    for missing in (tmp_path, tmp_path / "nothing", "a\0b"):
        with pytest.raises(WeightsError, match="must be a"):
            zoo.add("test", missing)
    assert not empty_home.exists()


def test_a_file_that_is_exchanged_after_its_hash_was_checked(
    tmp_path: Path,
    data: bytes,
    parameters: dict[str, Any],
    empty_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the check and the conversion, which reads the file again."""
    file = tmp_path / "net.npz"
    file.write_bytes(data)
    check = pooch.file_hash

    def exchange(path: str, alg: str) -> str:
        found = check(path, alg=alg)
        np.savez(file, **{name: array + 1 for name, array in parameters.items()})
        return found

    monkeypatch.setattr(pooch, "file_hash", exchange)
    with pytest.raises(WeightsError, match=r"^test: .*net\.npz: must not change"):
        zoo.add("test", file)
    assert files(empty_home) == []


# What lies in the place of the weights


def planted(path: Path, parameters: dict[str, Any], provenance: dict[str, Any]) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    architecture = ARCHITECTURES["squeezenet1_1"]()
    labels = imagenet()[0]
    save_weights(path, architecture, parameters, CAFFE_IMAGENET, labels, None, provenance)
    return path.read_bytes()


@pytest.mark.parametrize(
    "provenance",
    [None, {}, {"source": "net.npz"}, {"source": {}}, {"source": {"sha256": "0" * 64}}],
    ids=["truncated", "none", "text", "empty", "other"],
)
def test_what_is_not_the_entrys_is_made_anew(
    entry: zoo.Entry,
    server: Server,
    parameters: dict[str, Any],
    provenance: dict[str, Any] | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = zoo.place(entry)
    mine = {"source": {"sha256": entry.sha256}}
    content = planted(path, parameters, mine if provenance is None else provenance)
    if provenance is None:
        path.write_bytes(content[:100_000])
    assert not zoo.is_here(entry)
    monkeypatch.setenv("DECAF_OFFLINE", "1")
    message = failure()
    assert str(path) in message and "DECAF_OFFLINE is set" in message
    monkeypatch.delenv("DECAF_OFFLINE")
    assert zoo.resolve("test") == path
    assert len(server.asked) == 1
    assert load_weights(path).provenance["source"]["sha256"] == entry.sha256
    assert f"test is made anew: {path}" in caplog.text
    assert zoo.is_here(entry)


# Names and paths


def test_a_name_of_the_zoo_is_never_a_file(server: Server) -> None:
    """What a name means does not depend on the folder; a path does, and says so."""
    Path("test").write_bytes(b"planted")
    assert zoo.resolve("test") == zoo.fetch("test")
    for path in ("./test", Path("test"), os.path.abspath("test")):
        assert zoo.resolve(path) == Path(path)
        assert not zoo.is_name(path)
    with pytest.raises(WeightsError, match="HDF5"):
        DecafNet("./test")


def test_other_strings_are_paths() -> None:
    Path("mine").touch()
    for path in ("mine", "nothing.h5", "folder/nothing", "TEST.h5", ""):
        assert zoo.resolve(path) == Path(path)
    for path in ("nothing", "Test", "alexnet2"):
        with pytest.raises(WeightsError, match=rf"^{path}: must be .* in the zoo \(alexnet, "):
            zoo.resolve(path)
    assert zoo.resolve(Path("nothing")) == Path("nothing")


@pytest.mark.parametrize("name", ["nothing", "Alexnet", "", 7, None, ["alexnet"]])
def test_names_that_the_zoo_has_not(name: Any, tmp_path: Path) -> None:
    for ask in (zoo.fetch, lambda name: zoo.add(name, tmp_path)):
        with pytest.raises(WeightsError, match=r"^the zoo has alexnet, .*; got "):
            ask(name)


def test_a_net_by_name(
    server: Server, parameters: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (60, 70, 3)).astype(np.uint8)
    net = DecafNet("test", backend=ops.available()[0])
    save_weights(
        tmp_path / "same.h5",
        ARCHITECTURES["squeezenet1_1"](),
        parameters,
        preprocessing=CAFFE_IMAGENET,
        labels=imagenet()[0],
    )
    same = DecafNet(tmp_path / "same.h5", backend=ops.available()[0])
    np.testing.assert_array_equal(net.classify(photo), same.classify(photo))
    assert net.weights_path == str(zoo.place(zoo.ZOO["test"]))

    pickled = pickle.dumps(net)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DECAF_HOME", str(tmp_path / "another machine"))
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(net.classify(photo), again.classify(photo))
    assert again.weights_path.startswith(str(tmp_path / "another machine"))
    assert len(server.asked) == 2


# The commands


def test_command_fetch(
    capsys: pytest.CaptureFixture[str], server: Server, entry: zoo.Entry
) -> None:
    for _ in range(2):
        assert main(["fetch", "test"]) == 0
        assert capsys.readouterr() == (f"{zoo.place(entry)}\n", "")
    assert len(server.asked) == 1


def test_command_fetch_goes_on_after_a_failure(
    capsys: pytest.CaptureFixture[str],
    server: Server,
    entry: zoo.Entry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = dataclasses.replace(entry, name="gone", urls=(server.url("/gone"),))
    monkeypatch.setitem(zoo.ZOO, "gone", gone)
    assert main(["fetch", "gone", "test"]) == 2
    out, err = capsys.readouterr()
    assert out == f"{zoo.place(entry)}\n"
    lines = err.splitlines()
    assert lines[0].startswith("decaf: error: gone: could not be downloaded")
    assert lines[1:] == [  # on lines of their own, to be copied
        f"  file:     gone, {entry.size:,} bytes",
        f"  SHA-256:  {entry.sha256}",
        f"  from:     {gone.urls[0]} (HTTP status 404 Not Found)",
        "  command:  decaf zoo add gone gone",
    ]


def test_command_fetch_knows_all_names_first(
    capsys: pytest.CaptureFixture[str], server: Server
) -> None:
    assert main(["fetch", "test", "nothing"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"decaf: error: the zoo has alexnet, .*; got 'nothing'\n", err)
    assert not server.asked


def test_command_zoo(
    capsys: pytest.CaptureFixture[str],
    empty_home: Path,
    server: Server,
    parameters: dict[str, Any],
) -> None:
    assert main(["zoo"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = out.splitlines()
    for entry, row in zip(zoo.ENTRIES, rows[2:], strict=False):
        assert row.startswith(entry.name) and row.endswith("no")
        for cell in (entry.title, entry.licence, f"{entry.top1:.1f}", f"{entry.size / 1e6:.1f} MB"):
            assert f" {cell} " in row
    assert rows[-1].endswith(str(empty_home))
    assert not empty_home.exists()

    caffenet = zoo.ZOO["caffenet"]
    planted(zoo.place(caffenet), parameters, {"source": {"sha256": caffenet.sha256}})
    zoo.place(zoo.ZOO["alexnet"]).touch()  # nothing to use
    assert main(["zoo", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [fact["name"] for fact in facts if fact["here"]] == ["caffenet"]
    for fact, entry in zip(facts, zoo.ENTRIES, strict=True):
        assert fact["path"] == str(zoo.place(entry))
        assert fact["urls"] == list(entry.urls)
        for key in ("title", "licence", "top1", "top5", "file", "size", "sha256"):
            assert fact[key] == getattr(entry, key)
    assert not server.asked


def test_command_zoo_add(
    capsys: pytest.CaptureFixture[str], data: bytes, entry: zoo.Entry, server: Server
) -> None:
    Path("net.npz").write_bytes(data)
    assert main(["zoo", "add", "test", "net.npz"]) == 0
    assert capsys.readouterr() == (f"{zoo.place(entry)}\n", "")
    Path("net.npz").write_bytes(data[1:])
    assert main(["zoo", "add", "test", "net.npz"]) == 2
    assert capsys.readouterr().err.startswith("decaf: error: net.npz: must be net.npz, ")
    assert not server.asked


def test_commands_that_take_weights_take_names(
    capsys: pytest.CaptureFixture[str], entry: zoo.Entry
) -> None:
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save("black.png")
    backend = ("--backend", ops.available()[0])
    assert main(["classify", "--weights", "test", *backend, "--json", "black.png"]) == 0
    assert len(json.loads(capsys.readouterr().out)["top"]) == 5
    assert main(["info", "test", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["provenance"]["source"]["sha256"] == entry.sha256
    for command in (["info", "nothing"], ["classify", "--weights", "nothing", "black.png"]):
        assert main(command) == 2
        assert "nothing: must be a weights file, or in the zoo" in capsys.readouterr().err


def test_what_offline_costs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a name is here is known without any library for the network."""
    code = (
        "import sys; from decaf import zoo\n"
        "try: zoo.fetch('alexnet')\n"
        "except Exception as error: print(type(error).__name__)\n"
        "print({'pooch', 'requests', 'urllib.request', 'ssl'} & set(sys.modules))"
    )
    done = python("-c", code, env={**ENVIRONMENT, "DECAF_OFFLINE": "1"})
    assert done.stdout.decode().split("\n")[:2] == ["ByHandError", "set()"]


def test_squeezenet_as_its_authors_have_it(
    shared_data: Path, entry: zoo.Entry, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real network, re-packed, through the entry of the zoo but for hash and address."""
    file = shared_data / "squeezenet" / "squeezenet_v1.1.caffemodel"
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    content = file.read_bytes()
    real = zoo.ZOO["squeezenet"]
    served: Page = in_turn(cut(content, 2_000_000), status(503), honest(content))
    server.pages["/squeezenet_v1.1.caffemodel"] = served
    pinned = dataclasses.replace(
        real,
        urls=(server.url("/gone"), server.url("/squeezenet_v1.1.caffemodel")),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    monkeypatch.setitem(zoo.ZOO, "squeezenet", pinned)
    net = DecafNet("squeezenet", backend=ops.available()[0])
    assert net.preprocessing.mean == MEAN
    with zipfile.ZipFile(shared_data / "imagenet" / "photos-100.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".JPEG")]
        photos = [archive.read(name) for name in names]
    answers = zip(names, net.top_k(net.classify(photos), k=1), strict=True)
    right = sum(int(Path(name).name[:4]) == best.index for name, (best,) in answers)
    assert right >= 0.58 * len(names)  # as published
