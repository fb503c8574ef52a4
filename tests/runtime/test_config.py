import threading

import pytest

from symgraph import config
from symgraph.config import ConfigError


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for setting in config.SETTINGS.values():
        monkeypatch.delenv(setting.env, raising=False)
    yield
    config.reset()


def test_defaults():
    assert config.cache is True and config.cache_dir is None and config.cache_size == 1 << 30
    assert config.num_threads >= 1 and config.verify is False and config.pool_size is None


def test_the_environment_is_read_when_asked(monkeypatch):
    monkeypatch.setenv("SYMGRAPH_CACHE_SIZE", "512M")
    monkeypatch.setenv("SYMGRAPH_VERIFY", "1")
    monkeypatch.setenv("SYMGRAPH_CACHE", "off")
    monkeypatch.setenv("SYMGRAPH_CACHE_DIR", "/somewhere")
    assert config.cache_size == 512 << 20 and config.verify and not config.cache
    assert config.cache_dir == "/somewhere"
    monkeypatch.setenv("SYMGRAPH_CACHE_SIZE", "2g")
    assert config.cache_size == 2 << 30
    monkeypatch.setenv("SYMGRAPH_CACHE_SIZE", "")
    assert config.cache_size == 1 << 30


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", " "])
def test_a_senseless_environment_is_named(monkeypatch, text):
    monkeypatch.setenv("SYMGRAPH_NUM_THREADS", text)
    with pytest.raises(ConfigError, match="SYMGRAPH_NUM_THREADS cannot be"):
        config.get("num_threads")


def test_change_nests_and_ends(monkeypatch):
    monkeypatch.setenv("SYMGRAPH_NUM_THREADS", "3")
    with config.change(num_threads=1, verify=True):
        assert (config.num_threads, config.verify) == (1, True)
        with config.change(num_threads=2):
            assert (config.num_threads, config.verify) == (2, True)
        assert config.num_threads == 1
    assert (config.num_threads, config.verify) == (3, False)


def test_change_ends_with_an_error():
    with pytest.raises(RuntimeError), config.change(verify=True):
        raise RuntimeError
    assert config.verify is False


def test_change_is_of_this_thread_only():
    seen = []
    with config.change(verify=True):
        thread = threading.Thread(target=lambda: seen.append(config.verify))
        thread.start()
        thread.join()
    assert seen == [False]


def test_assignment_is_for_all_threads_and_can_be_undone():
    seen = []
    config.num_threads = 7
    thread = threading.Thread(target=lambda: seen.append(config.num_threads))
    thread.start()
    thread.join()
    assert seen == [7]
    del config.num_threads
    assert config.num_threads == config.usable_cpus()


def test_unknown_names_are_refused_with_a_hint():
    with pytest.raises(ConfigError, match="did you mean 'num_threads'"):
        config.change(threads=2)
    with pytest.raises(ConfigError, match="settings: cache, "):
        config.reset("zzz")
    with pytest.raises(ConfigError):
        config.cache_dri = "/x"
    with pytest.raises(AttributeError):
        _ = config.nothing
    assert not hasattr(config, "nothing")


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_threads": 0},
        {"num_threads": 1.5},
        {"num_threads": True},
        {"cache_size": -1},
        {"cache_size": "many"},
        {"cache_dir": ""},
        {"cache_dir": 3},
        {"cache_dir": "a\0b"},
        {"cache_dir": "\ud800"},
        {"verify": "perhaps"},
        {"verify": None},
        {"pool_size": "x"},
    ],
)
def test_unsuitable_values_change_nothing(wrong):
    with pytest.raises(ConfigError):
        config.change(cache=False, **wrong)
    assert config.cache is True


def test_misspelt_variables_are_told(monkeypatch):
    monkeypatch.setenv("SYMGRAPH_CACHEDIR", "/x")
    assert "SYMGRAPH_CACHEDIR" in config.unknown_environment()
