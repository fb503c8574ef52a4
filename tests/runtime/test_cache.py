import os
import stat
import subprocess
import sys
import textwrap
import time

import pytest

from symgraph import config
from symgraph.runtime import artifact, private_files
from symgraph.runtime.cache import Cache, Key, default_directory, open_cache

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CODE = bytes(range(256)) * 8


def key(n=0, kind="kernel"):
    return Key(kind, {"graph": f"g{n}", "cpu": "znver4"})


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "deep" / "cache", 1 << 20)


def stored(cache, n=0):
    """The path of the entry of key(n), which is written first."""
    assert cache.put(key(n), {"name": f"f{n}"}, {"object": CODE})
    return cache._path(key(n).hexdigest)


def run(script, *args, **options):
    """A Python process with this repository; its standard output."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *map(str, args)],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# getting and putting ------------------------------------------------------------------------------


def test_what_is_put_is_got(cache):
    assert cache.get(key()) is None
    assert not os.path.exists(cache.directory)  # looking makes nothing
    stored(cache)
    found = cache.get(key())
    assert found.key == key() and found.meta == {"name": "f0"} and found.sections["object"] == CODE
    assert cache.get(key(1)) is None and cache.get(key(0, "function")) is None
    assert (cache.hits, cache.misses, cache.writes) == (1, 3, 1)


def test_another_process_finds_it(cache):
    stored(cache)
    script = """
        import sys
        from symgraph.runtime.cache import Cache, Key
        found = Cache(sys.argv[1]).get(Key("kernel", {"graph": "g0", "cpu": "znver4"}))
        print(len(found.sections["object"]))
        print("numpy" in sys.modules or "hashlib" in sys.modules)
    """
    assert run(script, cache.directory).split() == [str(len(CODE)), "False"]


def test_the_last_writer_wins(cache):
    stored(cache)
    cache.put(key(), {"name": "new"}, {"object": b"new"})
    assert cache.get(key()).sections["object"] == b"new"


def test_files_are_private_and_named_after_the_key(cache):
    path = stored(cache)
    digest = key().hexdigest
    assert path.endswith(os.path.join(digest[:2], digest[2:] + ".sgc"))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(cache.directory).st_mode) == 0o700
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]  # nothing temporary


# doubts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "part", ["magic", "schema", "length", "header", "padding", "object", "digest"]
)
def test_a_flipped_bit_is_a_miss_and_heals(cache, part):
    path = stored(cache)
    with open(path, "rb") as file:
        content = bytearray(file.read())
    length = int.from_bytes(content[12:16], "little")
    position = {"magic": 3, "schema": 8, "length": 13, "header": 40, "padding": 16 + length,
                "object": -100, "digest": -1}[part]  # fmt: skip
    content[position] ^= 4
    with open(path, "wb") as file:
        file.write(content)
    assert cache.get(key()) is None
    stored(cache)
    assert cache.get(key()).sections["object"] == CODE


@pytest.mark.parametrize("size", [0, 7, 12, 16, 50, 200, -33, -32, -1])
def test_a_file_cut_short_is_a_miss(cache, size):
    path = stored(cache)
    os.truncate(path, size if size >= 0 else os.path.getsize(path) + size)
    assert cache.get(key()) is None
    assert [e.kind for e in cache.ls()] in (["?"], ["kernel"])


def test_an_artefact_under_anothers_name_is_a_miss(cache):
    path = stored(cache)
    other = cache._path(key(1).hexdigest)
    os.makedirs(os.path.dirname(other), mode=0o700, exist_ok=True)
    os.rename(path, other)
    assert cache.get(key(1)) is None
    assert [r.reason for r in cache.verify()] == ["under a wrong name"]


def test_links_and_other_things_in_the_place_of_a_file(cache, tmp_path):
    path = stored(cache)
    os.rename(path, tmp_path / "real")
    for make in (
        lambda: os.symlink(tmp_path / "real", path),
        lambda: os.mkfifo(path),
        lambda: os.symlink(path, path),
    ):
        make()
        assert cache.get(key()) is None
        assert cache.ls()[0].kind == "?"
        assert [r.reason for r in cache.verify()] == ["no regular file"]
    os.mkdir(path)
    assert cache.get(key()) is None and cache.put(key(), {}, {}) is False
    cache.verify()
    cache.clear()
    assert (tmp_path / "real").exists()


def test_a_file_that_others_may_write_is_a_miss(cache):
    path = stored(cache)
    os.chmod(path, 0o620)
    assert cache.get(key()) is None
    os.chmod(path, 0o644)
    assert cache.get(key()) is not None


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_directory_that_others_may_write_is_refused(cache, mode):
    path = stored(cache)
    os.chmod(cache.directory, mode)
    assert cache.get(key()) is None and cache.put(key(1), {}, {}) is False
    assert "writable for other users" in cache.refusal()
    assert cache.ls() == [] and cache.clear() == 0 and cache.verify() == [] and cache.prune() == 0
    assert os.path.exists(path)
    os.chmod(cache.directory, 0o755)
    assert cache.get(key()) is not None and cache.refusal() is None


def test_a_foreign_directory_is_refused(cache, monkeypatch):
    path = stored(cache)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert cache.get(key()) is None and cache.put(key(), {}, {}) is False
    assert "belongs to another user" in cache.refusal()
    assert cache.clear() == 0 and os.path.exists(path)


def test_a_foreign_file_is_a_miss(cache, monkeypatch):
    path = stored(cache)
    real = os.fstat

    def foreign(handle):
        status = list(real(handle))
        status[4] += 1
        return os.stat_result(status)

    monkeypatch.setattr(os, "fstat", foreign)
    assert cache.get(key()) is None and os.path.exists(path)


def test_a_symbolic_link_in_the_place_of_the_directory(cache, tmp_path):
    stored(cache)
    os.rename(cache.directory, tmp_path / "moved")
    os.symlink(tmp_path / "moved", cache.directory)
    assert cache.get(key()) is None and cache.put(key(1), {}, {}) is False
    assert "symbolic link" in cache.refusal()
    assert cache.clear() == 0 and len(list((tmp_path / "moved").iterdir())) == 1


def test_a_symbolic_link_in_the_place_of_a_shard(cache, tmp_path):
    shard = os.path.dirname(stored(cache))
    os.rename(shard, tmp_path / "moved")
    os.symlink(tmp_path / "moved", shard)
    assert cache.get(key()) is None and cache.put(key(), {}, {}) is False
    assert cache.clear() == 0 and len(list((tmp_path / "moved").iterdir())) == 1


def test_a_file_in_the_place_of_the_directory(tmp_path):
    (tmp_path / "cache").write_text("mine")
    for directory in (tmp_path / "cache", tmp_path / "cache" / "below"):
        cache = Cache(directory)
        assert cache.get(key()) is None and cache.put(key(), {}, {}) is False
        assert cache.ls() == [] and cache.clear() == 0 and cache.refusal()
    assert (tmp_path / "cache").read_text() == "mine"


@pytest.mark.parametrize("call", ["open", "mkdir", "write", "replace", "close"])
@pytest.mark.parametrize("error", [PermissionError(13, "denied"), OSError(28, "disk full")])
def test_refused_system_calls_leave_nothing_behind(cache, monkeypatch, call, error):
    shard = os.path.dirname(stored(cache))
    real_close = os.close

    def refuse(*args, **_):
        if call == "close":
            real_close(args[0])
        raise error

    target = key(1)
    if call != "mkdir":
        os.makedirs(os.path.dirname(cache._path(target.hexdigest)), mode=0o700, exist_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        assert cache.put(target, {}, {"object": CODE}) is False
        if call == "open":
            assert cache.get(key()) is None
    names = [n for _, _, files in os.walk(cache.directory) for n in files]
    assert names == [os.path.basename(stored(cache))] and shard
    assert cache.put(target, {}, {"object": CODE}) is True


def test_a_disk_that_fills_up_while_writing(cache):
    """A limit on the size of files makes the system cut a real write short."""
    script = """
        import os, resource, sys
        from symgraph.runtime.cache import Cache, Key
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        cache = Cache(sys.argv[1])
        print(cache.put(Key("k", {"a": "b"}), {}, {"object": bytes(20000)}))
        print(sum(len(files) for _, _, files in os.walk(cache.directory)))
        print(cache.put(Key("k", {"a": "b"}), {}, {"object": bytes(2000)}))
    """
    assert run(script, cache.directory).split() == ["False", "0", "True"]


def test_a_read_only_directory_serves_reads(cache):
    """As an ordinary user, whom modes bind."""
    stored(cache)
    script = """
        import os, shutil, sys, tempfile
        from symgraph.runtime.cache import Cache, Key
        home = tempfile.mkdtemp(dir="/tmp")
        shutil.copytree(sys.argv[1], home + "/cache")
        if os.geteuid() == 0:
            for path, names, files in os.walk(home):
                for name in (".", *files):
                    os.chown(os.path.join(path, name), 65534, 65534)
            pid = os.fork()
            if pid:
                os.waitpid(pid, 0)
                shutil.rmtree(home)
                sys.exit()
            os.setgid(65534)
            os.setuid(65534)
        old = 1e9
        for path, names, files in os.walk(home, topdown=False):
            for name in files:
                os.utime(os.path.join(path, name), (old, old))
                os.chmod(os.path.join(path, name), 0o400)
            os.chmod(path, 0o500)
        cache = Cache(home + "/cache")
        key = Key("kernel", {"graph": "g0", "cpu": "znver4"})
        print(cache.get(key) is not None, cache.put(Key("k", {}), {}, {}), cache.clear())
        print(cache.verify(), Cache(home + "/cache/new").put(key, {}, {}))
        os.chmod(home + "/cache", 0)
        print(cache.get(key), cache.ls(), cache.put(key, {}, {}))
        os.chmod(home, 0o700)
        os.chmod(home + "/cache", 0o700)
    """
    words = "True False 0 [] False None [] False"
    assert run(script, cache.directory).split() == words.split()


# processes ----------------------------------------------------------------------------------------


def test_sixteen_processes_at_once(cache):
    """All write, read, prune and clear the same few entries; every hit is whole and right."""
    script = """
        import random, sys
        from symgraph.runtime.cache import Cache, Key
        me = int(sys.argv[2])
        rng, cache, hits = random.Random(me), Cache(sys.argv[1], 200_000), 0
        for turn in range(150):
            n = rng.randrange(12)
            key = Key("kernel", {"n": str(n)})
            found = cache.get(key)
            if found is not None:
                hits += 1
                writer, body = found.meta["writer"], found.sections["object"]
                assert body == bytes([n, writer]) * 8000, "torn"
            if found is None or rng.random() < 0.3:
                cache.put(key, {"writer": me}, {"object": bytes([n, me]) * 8000})
            if rng.random() < 0.02:
                rng.choice([cache.clear, cache.prune, cache.ls, cache.stats])()
            if rng.random() < 0.02:
                assert cache.verify() == []
        print(hits)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), cache.directory]
    environment = {**os.environ, "PYTHONPATH": ROOT}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([*command, str(n)], env=environment, **pipes) for n in range(16)]
    results = [w.communicate(timeout=120) for w in workers]
    assert [w.returncode for w in workers] == [0] * 16, [err for _, err in results if err][:1]
    assert sum(int(out) for out, _ in results) > 100
    assert cache.verify() == []
    names = [n for _, _, files in os.walk(cache.directory) for n in files]
    assert not any(n.startswith(private_files.TEMPORARY) for n in names)


def test_a_writer_that_is_killed_leaves_no_entry(cache):
    """Killed in the middle of a file, after the first half is on the disk."""
    script = """
        import os, signal, sys
        from symgraph.runtime.cache import Cache, Key
        real = os.write
        def half(handle, data):
            real(handle, data[:len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        os.write = half
        key = Key("kernel", {"graph": "g0", "cpu": "znver4"})
        Cache(sys.argv[1]).put(key, {}, {"o": bytes(9000)})
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), cache.directory],
        env={**os.environ, "PYTHONPATH": ROOT},
        timeout=60,
    )
    assert done.returncode == -9
    files = [os.path.join(d, n) for d, _, names in os.walk(cache.directory) for n in names]
    assert len(files) == 1 and os.path.basename(files[0]).startswith(private_files.TEMPORARY)
    assert cache.get(key()) is None and cache.ls() == []
    cache.prune()
    assert os.path.exists(files[0])  # it may belong to a writer that lives
    os.utime(files[0], (1e9, 1e9))
    cache.prune()
    assert not os.path.exists(files[0])


# keeping in order ---------------------------------------------------------------------------------


def age(cache, n, seconds):
    """Make the entry of key(n) look as if it was used so long ago."""
    when = time.time() - seconds
    os.utime(cache._path(key(n).hexdigest), (when, when))


def test_the_least_recently_used_goes_first(tmp_path):
    cache = Cache(tmp_path / "cache", 1 << 30)
    for n in range(6):
        stored(cache, n)
        age(cache, n, 100_000 - n)
    assert cache.get(key(0)) is not None  # used now
    cache.cap = 4 * 4096 + 4096 // 2
    assert cache.prune() == 2 * 4096
    assert [cache.get(key(n)) is not None for n in range(6)] == [
        True, False, False, True, True, True,
    ]  # fmt: skip


def test_use_is_noted_at_most_once_an_hour(cache):
    path = stored(cache)
    age(cache, 0, 1800)
    before = os.stat(path).st_mtime
    cache.get(key())
    assert os.stat(path).st_mtime == before
    age(cache, 0, 4000)
    cache.get(key())
    assert time.time() - os.stat(path).st_mtime < 60


def test_writing_keeps_the_cap(tmp_path):
    cache = Cache(tmp_path / "cache", 40 * 4096)
    for n in range(300):
        stored(cache, n)
    assert cache.stats()["entries"] <= 40 * 1.5
    assert cache.stats()["entries"] >= 30


def test_what_exceeds_the_cap_is_not_written(tmp_path):
    cache = Cache(tmp_path / "cache", 1000)
    assert cache.put(key(), {}, {"object": bytes(2000)}) is False
    assert cache.put(key(), {}, {"object": bytes(10)}) is True
    assert Cache(tmp_path / "none", 0).put(key(), {}, {}) is False


def test_clear_removes_only_what_is_ours(cache):
    for n in range(5):
        stored(cache, n)
    shard = os.path.dirname(cache._path(key().hexdigest))
    strangers = [
        os.path.join(cache.directory, "README"),
        os.path.join(shard, "notes.sgc"),
        os.path.join(shard, "x" * 62 + ".sgc"),
    ]
    os.makedirs(os.path.join(cache.directory, "photos"))
    strangers.append(os.path.join(cache.directory, "photos", "a" * 62 + ".sgc"))
    for path in strangers:
        with open(path, "w") as file:
            file.write("mine")
    assert cache.clear() == 5
    left = [os.path.join(d, n) for d, _, names in os.walk(cache.directory) for n in names]
    assert sorted(left) == sorted(strangers)
    assert cache.clear() == 0 and cache.ls() == []


def test_verify_takes_away_bad_entries_and_says_why(cache):
    paths = [stored(cache, n) for n in range(4)]
    assert cache.verify() == []
    os.truncate(paths[0], 100)
    os.truncate(paths[1], 3)
    with open(paths[2], "r+b") as file:
        file.seek(8)
        file.write(b"\x09")
    found = {r.path: r.reason for r in cache.verify()}
    assert found == {paths[0]: "damaged", paths[1]: "too short", paths[2]: "schema 9"}
    assert [e.hexdigest for e in cache.ls()] == [key(3).hexdigest]
    assert cache.verify() == []


def test_ls_and_stats(cache):
    assert cache.ls() == [] and cache.stats()["entries"] == 0
    stored(cache, 0)
    cache.put(key(1, "function"), {"name": "big"}, {"object": b"x"})
    age(cache, 0, 50)
    first, second = cache.ls()
    assert (first.kind, first.meta["name"], first.key) == ("function", "big", key(1, "function"))
    assert (second.kind, second.hexdigest) == ("kernel", key(0).hexdigest)
    stats = cache.stats()
    assert stats["entries"] == 2 and stats["kinds"] == {"function": 1, "kernel": 1}
    assert stats["bytes"] == first.size + second.size and stats["directory"] == cache.directory
    assert stats["refused"] is None and stats["writes"] == 2
    assert cache.find(key(0).hexdigest[:8]) == [second] and cache.find("zz") == []


def test_ls_reads_long_headers(cache):
    cache.put(key(), {"text": "x" * 10_000}, {})
    assert cache.ls()[0].meta["text"] == "x" * 10_000


def test_nearest_tells_why_a_lookup_missed(cache):
    assert cache.nearest(key()) is None
    stored(cache, 0)
    cache.put(Key("kernel", {"graph": "other", "cpu": "skylake"}), {}, {})
    cache.put(key(1, "function"), {}, {})
    wanted = Key("kernel", {"graph": "g0", "cpu": "skylake-avx512"})
    near, differences = cache.nearest(wanted)
    assert near == key(0) and differences == [("cpu", "znver4", "skylake-avx512")]


# settings -----------------------------------------------------------------------------------------


def test_settings_choose_the_cache(tmp_path):
    with config.change(cache_dir=tmp_path / "here", cache_size=12345, cache=True):
        cache = open_cache()
        assert cache.directory == str(tmp_path / "here") and cache.cap == 12345
        assert open_cache() is cache and not os.path.exists(cache.directory)
    with config.change(cache=False):
        assert open_cache() is None


def test_a_relative_directory_in_a_removed_working_directory():
    script = """
        import os, tempfile
        from symgraph.runtime.cache import open_cache
        os.environ["SYMGRAPH_CACHE_DIR"] = "relative"
        os.chdir(tempfile.mkdtemp())
        print(open_cache().directory == os.path.abspath("relative"))
        os.rmdir(os.getcwd())
        print(open_cache())
    """
    assert run(script).split() == ["True", "None"]


def test_the_default_directory(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_directory() == "/home/me/.cache/symgraph"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_directory() == "/home/me/.cache/symgraph"
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/me")
    assert default_directory() == "/var/cache/me/symgraph"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_directory() == "/home/me/Library/Caches/symgraph"


def test_the_schema_is_part_of_the_name(monkeypatch):
    before = key().hexdigest
    monkeypatch.setattr(artifact, "SCHEMA", 99)
    assert key().hexdigest != before
