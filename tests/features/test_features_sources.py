"""Folders, files and lists: which photos, in which order, which labels, and what is refused."""

from __future__ import annotations

import io
import os
import threading
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decaf import decoding
from decaf.errors import FeaturesError, ImageError
from decaf.features import folders, naming, sources
from decaf.features.listing import LONGEST_LINE, read_list
from decaf.features.sources import Source, find_photos, open_photo
from decaf.image import load_image


def touch(root: Path, *files: str) -> Path:
    """Files that hold their own names: enough where nothing is decoded."""
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(os.fsencode(name))
    return root


def paths(found: sources.Found) -> list[str]:
    return [photo.path for photo in found.photos]


def pairs(photos) -> list[tuple[str, str]]:
    return [(photo.path, photo.label) for photo in photos]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory called `work`."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


# ---- what is found --------------------------------------------------------------------------


def test_a_folder_is_sorted_by_components_and_labelled_by_the_last_folder(here):
    files = ("a.jpg", "a/2.jpg", "a/10.jpg", "a b/1.PNG", "é/1.jpg", "B/c/d.tif", "z/notes.txt")
    touch(here / "flowers", *files)
    found = find_photos(["flowers"])
    assert pairs(found.photos) == [
        ("flowers/B/c/d.tif", "c"),
        ("flowers/a/10.jpg", "a"),
        ("flowers/a/2.jpg", "a"),
        ("flowers/a b/1.PNG", "a b"),
        ("flowers/a.jpg", "flowers"),
        ("flowers/é/1.jpg", "é"),
    ]
    assert found.ignored == 1
    components = [photo.path.split("/") for photo in found.photos]
    assert components == sorted(components)  # said another way


@pytest.mark.parametrize(
    ("given", "path", "label"),
    [
        ("photos", "photos/1.jpg", "photos"),
        ("photos/", "photos/1.jpg", "photos"),
        ("./photos", "./photos/1.jpg", "photos"),
        (".", "./photos/1.jpg", "photos"),
        ("photos/.", "photos/./1.jpg", "photos"),
        ("photos/../photos", "photos/../photos/1.jpg", "photos"),
        ("photos/1.jpg", "photos/1.jpg", "photos"),
        (Path("photos"), "photos/1.jpg", "photos"),
    ],
)
def test_paths_stay_as_given_and_labels_are_real_names(here, given, path, label):
    touch(here, "photos/1.jpg")
    assert pairs(find_photos([given]).photos) == [(path, label)]


def test_at_the_top_the_label_is_the_folders_own_name(here, monkeypatch):
    touch(here, "1.jpg", "sub/2.jpg")
    assert pairs(find_photos(["."]).photos) == [("./1.jpg", "work"), ("./sub/2.jpg", "sub")]
    assert pairs(find_photos(["1.jpg"]).photos) == [("1.jpg", "work")]
    monkeypatch.chdir("sub")
    assert pairs(find_photos([".."]).photos)[0] == ("../1.jpg", "work")
    assert pairs(find_photos([here]).photos)[0] == (f"{here.as_posix()}/1.jpg", "work")


def test_paths_keep_their_order_and_may_repeat(here):
    touch(here, "b/1.jpg", "a/1.jpg", "notes.txt")
    found = find_photos(["b", "notes.txt", "a", "b"])
    assert paths(found) == ["b/1.jpg", "notes.txt", "a/1.jpg", "b/1.jpg"]
    assert found.ignored == 0  # a file that is named is taken
    assert paths(find_photos("b")) == ["b/1.jpg"]  # one path is not a list of letters


def test_hidden_files_are_left_out_and_not_counted(here):
    touch(here / "p", "1.jpg", ".2.jpg", ".git/3.jpg", "__MACOSX/4.jpg", "Thumbs.db", "x.txt")
    found = find_photos(["p"])
    assert (paths(found), found.ignored) == (["p/1.jpg"], 1)
    touch(here / ".hidden", "1.jpg")
    assert paths(find_photos([".hidden"])) == [".hidden/1.jpg"]  # it was named


def test_every_suffix_is_of_a_format_that_is_read_and_every_format_has_one(tmp_path):
    assert list(naming.SUFFIXES) == [form.name for form in decoding.FORMATS]
    writers = {"PNM": "PPM", "JPEG 2000": "JPEG2000"}
    image = Image.new("RGB", (8, 8), (200, 100, 50))
    for form, suffixes in naming.SUFFIXES.items():
        for suffix in suffixes:
            file = tmp_path / f"photo{suffix}"
            mode = {".pbm": "1", ".pgm": "L", ".pfm": "F"}.get(suffix, "RGB")
            try:
                image.convert(mode).save(file, writers.get(form, form))
            except KeyError:
                pytest.skip(f"this Pillow writes no {form}")
            assert load_image(file).shape == (8, 8, 3)
    found = find_photos([tmp_path])
    assert len(found.photos) == sum(map(len, naming.SUFFIXES.values()))
    assert found.ignored == 0


def test_what_pillow_reads_and_decaf_does_not_is_no_photo(here):
    touch(
        here / "p", "1.jpg", *(f"1.{s}" for s in ("eps", "ico", "tga", "psd", "svg", "heic", "zip"))
    )
    found = find_photos(["p"])
    assert (paths(found), found.ignored) == (["p/1.jpg"], 7)


def test_names_that_are_no_utf8(here):
    try:
        touch(here / "p", os.fsdecode(b"\xff/\xfe.jpg"))
    except (OSError, UnicodeError):
        pytest.skip("this system has no such names")
    (photo,) = find_photos(["p"]).photos
    assert (photo.path, photo.label) == ("p/\udcff/\udcfe.jpg", "\udcff")
    with photo.open() as opened:
        assert opened.read() == b"\xff/\xfe.jpg"
    os.remove(photo.path)
    with pytest.raises(ImageError, match=r"^'p/\\udcff/\\udcfe.jpg': must be"), photo.open():
        pass
    with pytest.raises(FeaturesError, match=r"^'\\udcff': must be"):
        find_photos(["\udcff"])


def test_windows_paths_become_slashes(here, monkeypatch):
    monkeypatch.setattr(os, "sep", "\\")
    assert naming.slashes(r"C:\photos\rose") == "C:/photos/rose"
    assert naming.slashes(r"..\1.jpg") == "../1.jpg"
    listed = read_list(io.BytesIO(b"C:\\photos\\rose\\1.jpg\r\n"))
    assert pairs(listed) == [("C:/photos/rose/1.jpg", "rose")]


# ---- links, and what is no file ---------------------------------------------------------------


def link(place: Path, target: str) -> None:
    try:
        place.symlink_to(target)
    except OSError:
        pytest.skip("this system lets nobody link")


def test_links_are_followed_but_not_in_circles(here):
    touch(here, "p/rose/1.jpg", "elsewhere/2.jpg")
    link(here / "p/other", "../elsewhere")
    link(here / "p/rose/up", "..")  # a circle
    link(here / "p/rose/me", "me")  # and a shorter one
    link(here / "elsewhere/back", "../p")  # a circle by way of a link
    assert pairs(find_photos(["p"]).photos) == [
        ("p/other/2.jpg", "other"),
        ("p/rose/1.jpg", "rose"),
    ]
    link(here / "q", "p")
    assert find_photos(["q"]).photos[0].path == "q/other/2.jpg"


def test_a_link_to_nothing_is_a_photo_that_fails(here):
    touch(here, "p/1.jpg")
    link(here / "p/2.jpg", "nothing")
    link(here / "p/3.txt", "nothing")
    found = find_photos(["p"])
    assert (paths(found), found.ignored) == (["p/1.jpg", "p/2.jpg"], 1)
    with pytest.raises(ImageError, match=r"^p/2.jpg: must be a readable file"):
        found.photos[1].open().__enter__()


needs_pipes = pytest.mark.skipif(
    not hasattr(os, "mkfifo"), reason="this system has no pipes with names"
)


@needs_pipes
def test_a_pipe_is_never_waited_for(here):
    touch(here, "p/1.jpg")
    os.mkfifo("p/2.jpg")
    found = find_photos(["p"])
    assert (paths(found), found.ignored) == (["p/1.jpg"], 1)
    with pytest.raises(FeaturesError, match="^p/2.jpg: must be .* something else"):
        find_photos(["p/2.jpg"])
    for photo in (Source("p/2.jpg", ""), *read_list(io.BytesIO(b"p/2.jpg\n"))):
        with pytest.raises(ImageError, match="^p/2.jpg: must be .* something else"):
            photo.open().__enter__()


def test_a_folder_is_visited_once_on_the_first_way_in_sorted_order(here):
    """Two links in each of 40 folders make 2**40 ways to the last one."""
    depth = 40
    for i in range(depth):
        (here / f"d{i:02}").mkdir()
        for name in ("b", "a"):
            link(here / f"d{i:02}" / name, f"../d{i + 1:02}")
    touch(here, f"d{depth}/1.jpg")
    # Systems follow so many links one after the other only in part.
    assert paths(find_photos(["d30"])) == ["d30/" + "a/" * 10 + "1.jpg"]
    assert paths(find_photos(["d30", "d40"]))[1] == "d40/1.jpg"  # each path on its own

    touch(here, "p/z/deep/1.jpg", "p/z/2.jpg")
    link(here / "p/m", "z/deep")
    assert pairs(find_photos(["p"]).photos) == [("p/m/1.jpg", "m"), ("p/z/2.jpg", "z")]
    link(here / "p/zz", "z")
    link(here / "p/a", "z")
    assert paths(find_photos(["p"])) == ["p/a/2.jpg", "p/a/deep/1.jpg"]  # all of it, by a


def test_the_walk_does_not_depend_on_the_order_of_the_system(here, monkeypatch):
    touch(here, "p/z/1.jpg", "p/c/2.jpg")
    for name in ("y", "b", "d"):
        link(here / "p" / name, "z")
    expected = ["p/b/1.jpg", "p/c/2.jpg"]
    scan, backwards = os.scandir, [False]

    class Turned:
        def __init__(self, folder: str) -> None:
            with scan(folder) as entries:
                self.entries = sorted(entries, key=lambda e: e.name, reverse=backwards[0])

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Turned)
    for turned in (False, True):
        backwards[0] = turned
        assert paths(find_photos(["p"])) == expected


# ---- what is refused --------------------------------------------------------------------------


def test_what_can_be_known_before_work_starts_is_refused(here):
    touch(here, "p/1.jpg", "texts/1.txt", "texts/deep/b.txt", "boxes/b.zip", "boxes/a.tar.gz")
    touch(here, "hidden/.1.jpg")
    (here / "empty").mkdir()
    for given, message in [
        ([], "^there must be photos; .* got none"),
        (["p", "gone"], "^gone: must be a folder, an archive or a photo; got "),
        (["gone.jpg"], "^gone.jpg: must be a folder, an archive or a photo; got "),
        (["p/1.jpg/x"], "^p/1.jpg/x: must be a folder, an archive or a photo; got "),
        (["a\0b"], r"^'a\\x00b': must be a folder, an archive or a photo; got "),
        ([""], "^: must be a folder, an archive or a photo; got "),
        (["empty"], "^empty: must hold photos; .* got no files$"),
        (["hidden"], "^hidden: must hold photos; .* got no files$"),
        (["p", "texts"], "^texts: must hold photos; .* got 2 files of other kinds$"),
        (["boxes"], "^boxes: .* got 2 files .* named: boxes/a.tar.gz, boxes/b.zip"),
    ]:
        with pytest.raises(FeaturesError, match=message):
            find_photos(given)


def test_a_folder_that_cannot_be_read_is_no_silent_gap(here, monkeypatch):
    touch(here, "p/1.jpg", "p/deep/secret/2.jpg")
    scan = os.scandir

    def refusing(folder: str):
        if "secret" in folder:
            raise PermissionError(13, "Permission denied", folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refusing)  # root may read everything
    with pytest.raises(FeaturesError, match="^p/deep/secret/: must be .* got Permission denied"):
        find_photos(["p"])


def test_a_photo_that_is_gone_fails_by_name(here):
    touch(here, "p/1.jpg")
    (photo,) = find_photos(["p"]).photos
    os.remove("p/1.jpg")
    for _ in range(2):
        with pytest.raises(ImageError, match="^p/1.jpg: must be a readable file"), photo.open():
            pass
    os.mkdir("p/1.jpg")
    with pytest.raises(ImageError, match="^p/1.jpg: .* got a folder"), photo.open():
        pass


def test_memory_of_a_photo(here):
    names = [f"p/class{i % 10}/image_{i:04}.jpg" for i in range(4000)]
    touch(here, *names)
    with zipfile.ZipFile("p.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    for given in ("p", "p.zip"):
        tracemalloc.start()
        try:
            found = find_photos([given])
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(found.photos) == len(names)
        assert size / len(names) < 300  # a ZipInfo alone has more


# ---- lists ------------------------------------------------------------------------------------


def test_a_list_gives_paths_and_labels(here):
    text = (
        b"\xef\xbb\xbfrose/1.jpg\r\n"
        b"\r\n   \n"
        b"rose/2.jpg\ttulip\n"
        b"3.jpg\n"
        b"/4.jpg\t\n"
        b"a b/ \xc3\xa9\xff.jpg\ta label \xc3\xa9\n"
        b"../rose/5.jpg"
    )
    expected = [
        ("rose/1.jpg", "rose"),
        ("rose/2.jpg", "tulip"),
        ("3.jpg", "work"),
        ("/4.jpg", ""),
        ("a b/ é\udcff.jpg", "a label é"),
        ("../rose/5.jpg", "rose"),
    ]
    Path("list.txt").write_bytes(text)
    assert pairs(read_list("list.txt")) == expected
    assert pairs(read_list(Path("list.txt"))) == expected
    stream = io.BytesIO(text)
    assert pairs(read_list(stream)) == expected
    assert not stream.closed


def test_a_list_opens_files_and_members_and_misses_only_what_is_not_there(here):
    touch(here, "p/1.jpg")
    with zipfile.ZipFile("flowers.zip", "w") as archive:
        archive.writestr("top.jpg", b"top")
        archive.writestr("rose/2.jpg", b"two")
    Path("bad.zip").write_bytes(b"PK\3\4 not really")
    lines = ("p/1.jpg", "flowers.zip/rose/2.jpg", "flowers.zip/top.jpg")
    gone = ("p/9.jpg", "flowers.zip/9.jpg", "bad.zip/1.jpg", "p/1.jpg/x", "p", "flowers.zip/rose")
    listed = read_list(io.BytesIO("\n".join(lines + gone).encode()))
    assert [photo.label for photo in listed[:3]] == ["p", "rose", "flowers"]
    contents = []
    for photo in listed[:3]:
        with photo.open() as opened:
            contents.append(opened.read())
    assert contents == [b"p/1.jpg", b"two", b"top"]
    for photo, path in zip(listed[3:], gone, strict=True):
        for _ in range(2):
            with pytest.raises(ImageError, match=f"^{path}: "), photo.open():
                pass


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "must name photos, one a line; got none"),
        (b"\n \r\n", "must name photos, one a line; got none"),
        (b"a.jpg\nb\0.jpg\n", "line 2: .* got a NUL"),
        ("a.jpg\n".encode("utf-16"), "line 1: .* got a NUL"),
        (b"a.jpg\n\n\tlabel\n", "line 3: .* got 2 columns, of which the first is ''"),
        (b"a.jpg\tlabel\tmore\n", "line 1: .* got 3 columns"),
        (b"a.jpg\n" + b"x" * LONGEST_LINE + b"\n", "line 2: .* at most 32,768 bytes, got more"),
    ],
)
def test_lists_that_are_refused(here, text, message):
    Path("list.txt").write_bytes(text)
    with pytest.raises(FeaturesError, match=f"^list.txt(, |: ){message}"):
        read_list("list.txt")
    with pytest.raises(FeaturesError, match=f"^<list>(, |: ){message}"):
        read_list(io.BytesIO(text))


@pytest.mark.parametrize("name", ["gone.txt", ".", "a\0b"])
def test_a_list_that_is_not_there(here, name):
    with pytest.raises(FeaturesError, match="must be a list that can be read"):
        read_list(name)


# ---- never waiting, never much ----------------------------------------------------------------


def test_what_is_no_path_is_said(here):
    touch(here, "p/1.jpg")
    for given, kind in ((5, "int"), ([5], "int"), (None, "NoneType"), (["p", None], "NoneType")):
        with pytest.raises(FeaturesError, match=f"given as paths; expected .* got {kind}$"):
            find_photos(given)
    with pytest.raises(FeaturesError, match="a list must be a path or a binary file; got int"):
        read_list(5)


def test_an_empty_file_is_refused_before_it_is_opened(here, monkeypatch):
    """As those in /proc say that they are."""
    touch(here, "p/1.jpg", "p/2.jpg")
    Path("p/1.jpg").write_bytes(b"")
    Path("p/1.zip").write_bytes(b"")
    empty = find_photos(["p"]).photos[0]

    def refusing(*_: object) -> int:
        raise AssertionError("it was opened")

    monkeypatch.setattr(os, "open", refusing)
    for opening in (empty.open(), open_photo("p/1.jpg")):
        with pytest.raises(ImageError, match="^p/1.jpg: .* got an empty file$"), opening:
            pass
    with pytest.raises(FeaturesError, match="^p/1.zip: .* got an empty file$"):
        find_photos(["p/1.zip"])
    with pytest.raises(ImageError, match="^p/1.zip/x.jpg: .* got an empty file$"):
        open_photo("p/1.zip/x.jpg").__enter__()
    with pytest.raises(AssertionError, match="it was opened"):
        open_photo("p/2.jpg").__enter__()


@needs_pipes
def test_a_photo_that_turns_into_a_pipe_is_not_waited_for(here, monkeypatch):
    """Between the look at it and the opening, which would wait for a writer."""
    touch(here, "p/1.jpg")
    with zipfile.ZipFile("y.zip", "w") as archive:
        archive.writestr("1.jpg", b"one")
    (member,) = find_photos(["y.zip"]).photos
    real = os.stat("p/1.jpg")
    for path in ("p/1.jpg", "y.zip"):
        os.remove(path)
        os.mkfifo(path)
    look = os.stat
    pipes = ("p/1.jpg", "y.zip")
    monkeypatch.setattr(os, "stat", lambda p, **kw: real if p in pipes else look(p, **kw))
    for opening in (Source("p/1.jpg", "").open(), open_photo("p/1.jpg"), member.open()):
        with pytest.raises(ImageError, match=r"^(p|y.zip)/1.jpg: must be .* something else"):
            opening.__enter__()
    with pytest.raises(FeaturesError, match="^y.zip: must be .* something else"):
        find_photos(["y.zip"])


def test_only_what_is_called_an_archive_is_looked_into(here):
    with zipfile.ZipFile("y.zip", "w") as archive:
        archive.writestr("1.jpg", b"one")
    os.rename("y.zip", "y.dat")
    with pytest.raises(ImageError, match="^y.dat/1.jpg: must be a readable file"):
        open_photo("y.dat/1.jpg").__enter__()
    os.rename("y.dat", "y.ZIP")
    with open_photo("y.ZIP/1.jpg") as opened:
        assert opened.read() == b"one"


def test_nobody_waits_for_the_list_of_another_archive(here, monkeypatch):
    for name in ("slow.zip", "fast.zip"):
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr("1.jpg", name)
    started, go_on = threading.Event(), threading.Event()
    read, listed = sources.read_archive, []

    def slow(path: str):
        listed.append(path)
        if path == "slow.zip":
            started.set()
            assert go_on.wait(20)
        return read(path)

    monkeypatch.setattr(sources, "read_archive", slow)

    def contents(path: str) -> bytes:
        with open_photo(path) as opened:
            return opened.read()

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(contents, "slow.zip/1.jpg") for _ in range(3)]
        try:
            assert started.wait(20)
            assert pool.submit(contents, "fast.zip/1.jpg").result(20) == b"fast.zip"
        finally:
            go_on.set()
        assert {future.result(20) for future in waiting} == {b"slow.zip"}
    assert sorted(listed) == ["fast.zip", "slow.zip"]  # and each was listed once


def test_paths_and_labels_above_4096_bytes_are_refused(here, monkeypatch):
    long = "x" * 4093 + ".jpg"  # 4,097
    for path in (long, "é" * 2047 + ".jpg", "\udcff" * 5000, "\ud800" * 5000, "x" * 10**6):
        with pytest.raises(ImageError, match="a path of more than 4,096 bytes") as caught:
            open_photo(path).__enter__()
        assert len(str(caught.value)) < 1200
        with pytest.raises(FeaturesError, match="a path of at most 4,096 bytes") as caught:
            find_photos([path])
        assert len(str(caught.value)) < 1200
    for line in (long.encode(), b"1.jpg\t" + b"x" * 4097, "é".encode() * 2049):
        with pytest.raises(FeaturesError, match="line 1: .*, each of at most 4,096 bytes; got"):
            read_list(io.BytesIO(line))
    (listed,) = read_list(io.BytesIO(long[1:].encode() + b"\t" + b"\xff" * 4096))
    assert (listed.path, listed.label) == (long[1:], "\udcff" * 4096)

    with zipfile.ZipFile("y.zip", "w") as archive:
        archive.writestr("/".join(["x" * 200] * 20) + "/" + "y" * 65 + ".jpg", b"")  # 4,089
    assert len(find_photos(["y.zip"]).photos[0].path) == 4095
    with pytest.raises(FeaturesError, match="y.zip: must hold photos whose paths have at most"):
        find_photos([f"{'./' * 9}y.zip"])
    monkeypatch.setattr(folders, "is_too_long", lambda path: len(path) > 7)
    touch(here, "p/12345.jpg")
    with pytest.raises(FeaturesError, match="p/12345.jpg: must be a path of at most 4,096"):
        find_photos(["p"])


def test_errors_are_short_whatever_the_names_are(here):
    line = b"\xff" * 16_000 + b"\tb\tc\n"
    with pytest.raises(FeaturesError, match="line 1: .* got 3 columns") as caught:
        read_list(io.BytesIO(line))
    assert len(str(caught.value)) < 1000
    for name in ("a" * 10**6, "\udcff" * 10**6, "\n" * 10**6):
        assert len(naming.shown(name)) <= naming.LONGEST_SHOWN + 3
    assert naming.shown("x" * 1000) == "x" * 1000
    with pytest.raises(FeaturesError) as caught:
        read_list("\udcff" * 10**5)
    assert len(str(caught.value)) < 1200


# ---- by name ----------------------------------------------------------------------------------


def test_open_photo_is_the_inverse_of_path(here):
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    (here / "p/x.zip").mkdir(parents=True)  # a folder that is called as archives are
    Image.fromarray(pixels).save("p/x.zip/1.png")
    with zipfile.ZipFile("y.zip", "w") as archive:
        archive.write("p/x.zip/1.png", "a/1.png")
    assert pairs(find_photos(["p/x.zip/1.png"]).photos) == [("p/x.zip/1.png", "x.zip")]
    for photo in find_photos(["p", "y.zip"]).photos:
        with open_photo(photo.path) as opened:
            np.testing.assert_array_equal(load_image(opened), pixels)
    for path in ("p/x.zip/2.png", "y.zip/2.png", "z.zip/2.png", "p", "", "a\0b", "y.zip/a\0b"):
        with pytest.raises(ImageError), open_photo(path):
            pass


def test_open_photo_notices_that_an_archive_is_another_one(here):
    for content in (b"first", b"second one"):
        with zipfile.ZipFile("y.zip", "w") as archive:
            archive.writestr("1.jpg", content)
        with open_photo("y.zip/1.jpg") as opened:
            assert opened.read() == content
