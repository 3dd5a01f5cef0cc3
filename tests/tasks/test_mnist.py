"""MNIST: the cache folder, mirrors that fail, damaged files, no network. A small stand-in is served from this machine."""

import gzip
import hashlib
import importlib
import io
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from tqdm import tqdm

from trajlib.tasks.mnist import cache_folder, mnist, parse_idx

MODULE = importlib.import_module("trajlib.tasks.mnist")  # trajlib.tasks.mnist itself may be the function
RNG = np.random.Generator(np.random.PCG64(0))
IMAGES, TEST_IMAGES = (RNG.integers(0, 256, (n, 4, 5), dtype=np.uint8) for n in (6, 3))
LABELS, TEST_LABELS = np.array([5, 0, 4, 1, 9, 2], dtype=np.uint8), np.array([7, 2, 1], dtype=np.uint8)
NOWHERE = "http://127.0.0.1:9/"  # the discard port: nothing listens


def idx(array):
    lengths = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes()


CONTENT = {
    "train-images-idx3-ubyte": idx(IMAGES),
    "train-labels-idx1-ubyte": idx(LABELS),
    "t10k-images-idx3-ubyte": idx(TEST_IMAGES),
    "t10k-labels-idx1-ubyte": idx(TEST_LABELS),
}
GZIPPED = {f"{name}.gz": gzip.compress(data) for name, data in CONTENT.items()}
FIRST = "train-images-idx3-ubyte.gz"


class Mirror:
    """An HTTP server on this machine with ``files``, or with one and the same ``answer``: (status, bytes, promised length)."""

    def __init__(self, files=GZIPPED, answer=None):
        self.asked = asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.removeprefix("/mnist/")
                asked.append(name)
                found = (200, files[name], len(files[name])) if name in files else (404, b"no such file", 12)
                status, body, length = answer or found
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/mnist/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def mirror():
    opened = []

    def start(*arguments, **options):
        opened.append(Mirror(*arguments, **options))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture(autouse=True)
def stand_in(request, tmp_path, monkeypatch):
    """The small data set in place of the real one, an empty cache folder, and no proxy between this test and its server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    if "real" in request.fixturenames:
        return None
    shapes = [IMAGES.shape, LABELS.shape, TEST_IMAGES.shape, TEST_LABELS.shape]
    files = [
        MODULE._File(name, shape, hashlib.sha256(data).hexdigest())
        for (name, data), shape in zip(CONTENT.items(), shapes, strict=True)
    ]
    monkeypatch.setattr(MODULE, "FILES", tuple(files))
    monkeypatch.setattr(MODULE, "MIRRORS", [NOWHERE])
    monkeypatch.setattr(MODULE, "TIMEOUT", 10.0)
    monkeypatch.setenv("TRAJLIB_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder, files=GZIPPED):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def assert_whole(task, n=6):
    assert task.name == "mnist" and task.class_names == tuple("0123456789")
    assert task.x.dtype == task.x_test.dtype == np.float64 and task.y.dtype == task.y_test.dtype == np.int64
    np.testing.assert_array_equal(task.x, IMAGES.reshape(6, 20)[:n] / 255)
    np.testing.assert_array_equal(task.x_test, TEST_IMAGES.reshape(3, 20) / 255)
    np.testing.assert_array_equal(task.y, LABELS[:n])
    np.testing.assert_array_equal(task.y_test, TEST_LABELS)


def assert_stored(folder):
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == GZIPPED


def test_downloaded_once_and_then_found(stand_in, mirror, monkeypatch):
    server = mirror()
    monkeypatch.setattr(MODULE, "MIRRORS", [server.url])
    assert_whole(mnist())
    assert server.asked == list(GZIPPED)
    assert_stored(stand_in)
    monkeypatch.setattr(MODULE, "MIRRORS", [NOWHERE])
    assert_whole(mnist())


FAILURES = {
    "not found": (404, b"no such file", 12),
    "server error": (503, b"", 0),
    "a page in place of the file": (200, b"<html>log in to this network</html>", 35),
    "another file": (200, gzip.compress(b"other"), len(gzip.compress(b"other"))),
    "cut off": (200, GZIPPED[FIRST][:50], len(GZIPPED[FIRST])),
    "a half file": (200, GZIPPED[FIRST][:50], 50),
    "nothing": (200, b"", 0),
}


@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES.keys())
def test_the_next_mirror_is_asked(answer, stand_in, mirror, monkeypatch):
    bad, good = mirror(answer=answer), mirror()
    monkeypatch.setattr(MODULE, "MIRRORS", [NOWHERE, bad.url, good.url])
    assert_whole(mnist())
    assert_stored(stand_in)
    assert bad.asked == [FIRST], "the mirror that answered is asked first for the other files"
    assert good.asked == list(GZIPPED)


@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES.keys())
def test_no_mirror_works(answer, stand_in, mirror, monkeypatch):
    bad = mirror(answer=answer)
    monkeypatch.setattr(MODULE, "MIRRORS", [bad.url])
    with pytest.raises(ConnectionError, match=f"{bad.url}{FIRST}: "):
        mnist()
    assert not stand_in.exists(), "a failed download leaves nothing behind"


def test_offline_is_one_clear_error(stand_in):
    with pytest.raises(ConnectionError) as caught:
        mnist()
    text = str(caught.value)
    assert str(stand_in) in text and "TRAJLIB_DATA" in text and "trajlib.digits()" in text and NOWHERE in text
    assert all(name in text for name in GZIPPED)
    assert "".join(traceback.format_exception(caught.value)).count("Traceback") == 1
    assert len(text) < 1000


def test_a_file_without_compression_is_accepted(stand_in):
    fill(stand_in, CONTENT)
    assert_whole(mnist())


def test_a_mirror_that_sends_it_without_compression(stand_in, mirror, monkeypatch):
    server = mirror({f"{name}.gz": data for name, data in CONTENT.items()})
    monkeypatch.setattr(MODULE, "MIRRORS", [server.url])
    assert_whole(mnist())
    assert {p.name: p.read_bytes() for p in stand_in.iterdir()} == CONTENT
    monkeypatch.setattr(MODULE, "MIRRORS", [NOWHERE])
    assert_whole(mnist())


DAMAGES = {
    "truncated": lambda data: data[:-20],
    "empty": lambda data: b"",
    "one bit": lambda data: data[:12] + bytes([data[12] ^ 1]) + data[13:],
    "foreign": lambda data: gzip.compress(b"other"),
    "a page": lambda data: b"<html></html>",
}


@pytest.mark.parametrize("name", GZIPPED)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_reported_and_fetched_anew(damage, name, stand_in, mirror, monkeypatch):
    fill(stand_in, GZIPPED | {name: damage(GZIPPED[name])})
    server = mirror()
    monkeypatch.setattr(MODULE, "MIRRORS", [server.url])
    with pytest.warns(RuntimeWarning, match=f"{stand_in / name} is damaged: .*; it is downloaded anew") as caught:
        assert_whole(mnist())
    assert len(caught) == 1 and caught[0].filename == __file__
    assert server.asked == [name]
    assert_stored(stand_in)
    assert_whole(mnist())


def test_the_warning_says_what_was_expected(stand_in, mirror, monkeypatch):
    fill(stand_in, GZIPPED | {FIRST: DAMAGES["foreign"](b"")})
    monkeypatch.setattr(MODULE, "MIRRORS", [mirror().url])
    with pytest.warns(RuntimeWarning, match=hashlib.sha256(CONTENT[FIRST.removesuffix(".gz")]).hexdigest()):
        mnist()


def test_damaged_and_offline(stand_in):
    fill(stand_in, GZIPPED | {FIRST: b"half"})
    with pytest.warns(RuntimeWarning, match="is damaged"), pytest.raises(ConnectionError, match="not complete"):
        mnist()
    assert (stand_in / FIRST).read_bytes() == b"half", (
        "what the user has is not thrown away before there is something better"
    )


def test_a_whole_copy_beside_a_damaged_one_is_used(stand_in):
    plain = FIRST.removesuffix(".gz")
    fill(stand_in, GZIPPED | {FIRST: b"half", plain: CONTENT[plain]})
    with pytest.warns(RuntimeWarning, match="is damaged.*the other copy"):
        assert_whole(mnist())


def test_a_file_that_cannot_be_read(stand_in, mirror, monkeypatch):
    fill(stand_in)
    (stand_in / FIRST).unlink()
    (stand_in / FIRST).mkdir()
    monkeypatch.setattr(MODULE, "MIRRORS", [mirror().url])
    with pytest.warns(RuntimeWarning) as caught:
        assert_whole(mnist())
    assert [("cannot be read" in str(w.message), "cannot be stored" in str(w.message)) for w in caught] == [
        (True, False),
        (False, True),
    ]
    assert sorted(p.name for p in stand_in.iterdir()) == sorted(GZIPPED), "no temporary file is left"


def test_a_folder_that_cannot_be_written(tmp_path, mirror, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TRAJLIB_DATA", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(MODULE, "MIRRORS", [mirror().url])
    with pytest.warns(RuntimeWarning, match="downloaded but cannot be stored in .* TRAJLIB_DATA") as caught:
        assert_whole(mnist())
    assert len(caught) == 4


def test_a_download_that_is_interrupted_leaves_nothing(stand_in, monkeypatch):
    def half(url, parts, given_up):
        parts.put(GZIPPED[FIRST][:50])
        parts.put(KeyboardInterrupt())  # raised where the parts are waited for, as Ctrl-C is

    monkeypatch.setattr(MODULE, "_fetch", half)
    with pytest.raises(KeyboardInterrupt):
        mnist()
    assert not stand_in.exists()


class Dripping:
    """A server that sends what it has byte by byte, and slowly: its headers, or the file after them; with its length or in chunks."""

    def __init__(self, seconds, part):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/mnist/"
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.serve, args=(seconds, part), daemon=True)
        self.thread.start()

    def serve(self, seconds, part):
        body = GZIPPED[FIRST]
        length = b"Transfer-Encoding: chunked" if part == "chunks" else b"Content-Length: %d" % len(body)
        head = b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n"
        while not self.stop.is_set():
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(4096)
                    if part != "headers":
                        connection.sendall(head)
                    for byte in head if part == "headers" else body:
                        connection.sendall(b"1\r\n%c\r\n" % byte if part == "chunks" else bytes([byte]))
                        if self.stop.wait(seconds):
                            return
                except OSError:
                    continue

    def close(self):
        self.stop.set()
        self.socket.close()


@pytest.mark.parametrize("part", ["body", "headers", "chunks"])
def test_a_mirror_that_never_comes_to_an_end(part, stand_in, mirror, monkeypatch):
    """No single read takes long: the time for the whole file is over, and the next mirror is asked."""
    slow, good = Dripping(0.05, part), mirror()
    monkeypatch.setattr(MODULE, "GRACE", 0.6)
    try:
        began = time.monotonic()
        monkeypatch.setattr(MODULE, "MIRRORS", [slow.url, good.url])
        assert_whole(mnist())
        assert 0.5 < time.monotonic() - began < 5
        assert_stored(stand_in)
        for path in stand_in.iterdir():
            path.unlink()
        monkeypatch.setattr(MODULE, "MIRRORS", [slow.url])
        with pytest.raises(ConnectionError, match=rf"{slow.url}{FIRST}: too slow: \d+ bytes in 1 seconds"):
            mnist()
    finally:
        slow.close()


def test_a_slow_mirror_that_gets_there_is_waited_for(stand_in, monkeypatch):
    monkeypatch.setattr(MODULE, "GRACE", 60.0)
    slow = Dripping(0.001, "body")
    try:
        file = MODULE.FILES[0]
        assert MODULE._get(f"{slow.url}{FIRST}", file, None) == GZIPPED[FIRST]
    finally:
        slow.close()


def test_the_time_that_a_whole_file_may_take():
    """At the slowest allowed, a connection of 20 kB a second gets the real images (9.9 MB compressed) in time."""
    images = importlib.import_module("trajlib.tasks.mnist")._File("x", (60_000, 28, 28), "")
    assert images.size == 47_040_016
    assert 9_912_422 / 20_000 < MODULE.GRACE + images.size / MODULE.SLOWEST < 600


def test_a_mirror_that_sends_without_end(stand_in, mirror, monkeypatch):
    endless = mirror(answer=(200, bytes(1 << 20), 1 << 30))
    monkeypatch.setattr(MODULE, "MIRRORS", [endless.url])
    with pytest.raises(ConnectionError, match="more than twice the 136 bytes of its content"):
        mnist()


def test_several_at_once(stand_in, mirror, monkeypatch):
    monkeypatch.setattr(MODULE, "MIRRORS", [mirror().url])
    tasks, gate = [], threading.Barrier(6)
    threads = [threading.Thread(target=lambda: (gate.wait(), tasks.append(mnist()))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tasks) == 6
    for task in tasks:
        assert_whole(task)
    assert_stored(stand_in)


def test_the_first_n_in_the_order_of_the_file(stand_in):
    fill(stand_in)
    for n in (1, 4, 6, np.int64(2)):
        assert_whole(mnist(n), n=int(n))


@pytest.mark.parametrize(
    "n, error", [(0, ValueError), (-1, ValueError), (7, ValueError), (2.0, TypeError), (True, TypeError)]
)
def test_n_that_is_refused(n, error, stand_in):
    with pytest.raises(error, match="n must be an integer"):
        mnist(n)


def test_names_of_pixels(stand_in):
    fill(stand_in)
    names = mnist().feature_names
    assert len(names) == 20 and names[0] == "pixel_0_0" and names[7] == "pixel_1_2"


def test_a_file_of_another_shape_is_refused(stand_in, monkeypatch):
    fill(stand_in)
    files = MODULE.FILES
    monkeypatch.setattr(MODULE, "FILES", (MODULE._File(files[0].name, (6, 5, 4), files[0].sha256), *files[1:]))
    with pytest.raises(ValueError, match=r"must hold an array of shape \(6, 5, 4\), got \(6, 4, 5\)"):
        mnist()


def test_the_users_own_cache_folder(monkeypatch, tmp_path):
    import platformdirs

    asked = []
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *a, **k: asked.append(a) or str(tmp_path / "own"))
    for unset in (lambda: monkeypatch.setenv("TRAJLIB_DATA", ""), lambda: monkeypatch.delenv("TRAJLIB_DATA")):
        unset()
        assert cache_folder() == tmp_path / "own" and asked.pop() == ("trajlib",)
    fill(tmp_path / "own")
    assert_whole(mnist())


def test_a_named_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("TRAJLIB_DATA", os.path.join("~", "data"))
    assert cache_folder() == tmp_path / "data"


@pytest.mark.skipif(os.name != "posix", reason="needs users as Unix knows them")
def test_without_a_home_folder(monkeypatch, tmp_path):
    """As in a container that runs under a number nobody knows."""
    import pwd

    def unknown(number):
        raise KeyError("unknown")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "TRAJLIB_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(MODULE.tempfile, "gettempdir", lambda: str(tmp_path))
    assert cache_folder() == tmp_path / f"trajlib-{os.getuid()}"
    fill(cache_folder())
    assert_whole(mnist())
    monkeypatch.setenv("TRAJLIB_DATA", "~/data")
    with pytest.raises(ValueError, match="got '~/data', but no home folder is known; give the whole path"):
        mnist()


def test_progress(stand_in, mirror, monkeypatch):
    bars, asked = [], []

    def bar(progress, total, label):
        asked.append((progress, label))
        bars.append(tqdm(total=total, desc=label, file=io.StringIO()))
        return bars[-1]

    monkeypatch.setattr(MODULE, "progress_bar", bar)
    monkeypatch.setattr(MODULE, "MIRRORS", [mirror(answer=FAILURES["not found"]).url, mirror().url])
    assert_whole(mnist(progress=True))
    names = list(CONTENT)
    assert asked == [(True, name) for name in [names[0], *names]], "one a download, the one that failed among them"
    assert all(b.disable for b in bars), "closed"
    assert [b.n for b in bars[1:]] == [len(data) for data in GZIPPED.values()] and bars[1].unit == "B"


def test_parse_idx():
    np.testing.assert_array_equal(parse_idx(idx(IMAGES)), IMAGES)
    assert parse_idx(idx(np.zeros((0, 3), np.uint8))).shape == (0, 3)


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "must start with the idx header"),
        (b"\x00\x00\x08", "must start with the idx header"),
        (b"\x1f\x8b\x08\x00", "must start with the idx header"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x01\x07", "got '00 00 0d 01'"),
        (b"\x00\x00\x08\x00", "must start with the idx header"),
        (b"\x00\x00\x08\x02\x00\x00\x00\x01", "ends within its idx header: 8 of 12 bytes"),
        (idx(LABELS)[:-1], r"must have 14 bytes for its shape \(6,\), got 13"),
        (idx(LABELS) + b"\x00", "must have 14 bytes .* got 15"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "must have 79228162458924105385300197391 bytes"),
    ],
)
def test_headers_that_are_refused(data, message):
    with pytest.raises(ValueError, match=f"^labels {message}|{message}"):
        parse_idx(data, "labels")


def test_import_is_quick():
    code = (
        "import sys, trajlib.tasks.mnist; print([m for m in ('requests', 'platformdirs', 'tqdm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def real():
    folder = cache_folder()
    for file in MODULE.FILES:
        if not any((folder / name).is_file() for name in (f"{file.name}.gz", file.name)):
            pytest.skip(
                f"needs the real MNIST files in {folder} (trajlib.tasks.mnist() downloads them; TRAJLIB_DATA names a folder)"
            )


def test_the_real_files(real, monkeypatch):
    monkeypatch.setattr(MODULE, "MIRRORS", [NOWHERE])
    task = mnist(n=10_000)
    assert task.x.shape == task.x_test.shape == (10_000, 784)
    assert task.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4] and task.y_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(task.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert task.x.min() == 0.0 and task.x.max() == 1.0
    np.testing.assert_array_equal(task.x, np.round(task.x * 255) / 255)
    assert np.bincount(task.y).min() > 850, "the order of the file is mixed"
