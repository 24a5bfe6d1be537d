"""Where settings come from, which wins, and what is said of those that can't be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pushsvc.config import ConfigError, Settings, load

FILE = """
[server]
port = 9000
host = "::"
[stream]
max_hz = 50
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pushsvc.toml"
    path.write_text(FILE)
    return path


def test_nothing_said_is_the_defaults() -> None:
    assert load(None, {}).settings == Settings()


def test_flags_beat_the_environment_beats_the_file_beats_defaults(file: Path) -> None:
    loaded = load(
        file,
        {"PUSHSVC_SERVER_PORT": "9001", "PUSHSVC_LIMITS_SERIES": "5", "PUSHSVC_URL": "x", "A": "b"},
        [("--port", "server.port", "9002")],
        defaults={"history.series_ttl": 1.0, "server.host": "own"},
    )
    assert loaded.settings.server.port == 9002
    assert loaded.settings.server.host == "::"
    assert loaded.settings.limits.series == 5
    assert loaded.settings.stream.max_hz == 50
    assert loaded.settings.history.series_ttl == 1.0
    assert loaded.origins["server.port"] == "--port"
    assert loaded.origins["limits.series"] == "PUSHSVC_LIMITS_SERIES"


def test_what_is_printed_can_be_read_back(file: Path, tmp_path: Path) -> None:
    loaded = load(file, {"PUSHSVC_LOG_LEVEL": "debug"})
    text = loaded.toml()
    assert "port = 9000  # " + str(file) in text
    assert 'level = "debug"  # PUSHSVC_LOG_LEVEL' in text
    again = tmp_path / "again.toml"
    again.write_text(text)
    assert load(again, {}).settings == loaded.settings


@pytest.mark.parametrize(
    ("key", "of"),
    [
        ("web.origins", lambda settings: settings.web.allowed_origins),
        ("web.frame_ancestors", lambda settings: settings.web.embedders),
        ("web.trusted_proxies", lambda settings: settings.web.proxies),
        ("auth.algorithms", lambda settings: settings.auth.algorithm_names),
        ("ingest.otlp_attributes", lambda settings: settings.ingest.promoted),
        ("ingest.influx_counters", lambda settings: settings.ingest.counters),
    ],
)
def test_several_are_a_list_in_the_file_and_have_commas_elsewhere(
    tmp_path: Path, key: str, of: Callable[[Settings], tuple[str, ...]]
) -> None:
    section, _, name = key.partition(".")
    path = tmp_path / "several.toml"
    path.write_text(f'[{section}]\n{name} = ["a", "b"]\n')
    loaded = load(path, {})
    assert of(loaded.settings) == ("a", "b")
    path.write_text(loaded.toml())
    assert of(load(path, {}).settings) == ("a", "b")
    variable = f"PUSHSVC_{section.upper()}_{name.upper()}"
    assert of(load(None, {variable: "a, b"}).settings) == ("a", "b")
    assert of(load(None, {}, [("--set", key, "a,b")]).settings) == ("a", "b")
    path.write_text(f"[{section}]\n{name} = [1]\n")
    with pytest.raises(ConfigError, match="or a list of texts"):
        load(path, {})


def test_the_default_rate_follows_a_lower_ceiling() -> None:
    settings = load(None, {"PUSHSVC_STREAM_MAX_HZ": "2"}).settings
    assert settings.stream.default_hz == 2.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[sever]\nport=1", "no section [sever]: did you mean server?"),
        ("[server]\nprot=1", "no setting server.prot: did you mean server.port?"),
        ("[server]\nport='x'", "server.port must be a port from 0 to 65535, not 'x'"),
        (
            "[limits]\nseries=0",
            "limits.series must be a whole number above 0, a million million at most, not 0",
        ),
        ("[stream]\nheartbeat=nan", "stream.heartbeat must be a number above 0"),
        ("[ingest]\nhistogram_buckets=9", "must be a whole number from 10 to 160, not 9"),
        ("server=1", "write [server] above its keys"),
        ("[server", "not TOML"),
    ],
)
def test_a_file_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(path, {})
    assert str(error.value).startswith(f"{path}: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("PUSHSVC_SERVR_PORT", "1", "did you mean PUSHSVC_SERVER_PORT?"),
        ("PUSHSVC_SERVER_PORT", "x", "must be a port"),
        ("PUSHSVC_LIMITS_SERIES", "1.5", "at most, not '1.5'"),
        ("PUSHSVC_LOG_LEVEL", "loud", "debug, info, warning or error"),
        ("PUSHSVC_STREAM_MAX_HZ", "inf", "must be a number above 0"),
        ("PUSHSVC_LIMITS_PAST_SECONDS", "1e300", "a million million at most"),
    ],
)
def test_a_variable_is_refused_by_name(variable: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError, match=variable) as error:
        load(None, {variable: value})
    assert says in str(error.value)


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ConfigError, match="must not be more than"):
        load(None, {}, [("--set", "stream.default_hz", "70")])
    with pytest.raises(ConfigError, match=r"^--set stream.min_heartbeat: .*must not be more than"):
        load(None, {}, [("--set stream.min_heartbeat", "stream.min_heartbeat", "70")])
    with pytest.raises(ConfigError, match=r"did you mean limits\.series"):
        load(None, {}, [("--set", "limits.serie", "1")])
    with pytest.raises(ConfigError, match="No such file"):
        load(Path("/nonexistent.toml"), {})


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", None),
        ("127.0.0.1:8125", ("127.0.0.1", 8125)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_a_statsd_address(text: str, address: tuple[str, int] | None) -> None:
    settings = load(None, {}, [("--statsd", "ingest.statsd", text)]).settings
    assert settings.ingest.statsd_address == address


@pytest.mark.parametrize("text", ["8125", ":8125", "a:", "a:b", "a:65536", "a:-1", "a:\u0661"])
def test_what_is_no_statsd_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--statsd: ingest\.statsd must be HOST:PORT"):
        load(None, {}, [("--statsd", "ingest.statsd", text)])


def test_promoted_attributes_are_a_list_with_commas() -> None:
    settings = load(None, {"PUSHSVC_INGEST_OTLP_ATTRIBUTES": "host.name, k8s.pod.name,"}).settings
    assert settings.ingest.promoted == ("host.name", "k8s.pod.name")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("valkey://h:6379/2", "valkey://h:6379/2"),
        ("valkey://user:hidden@h,i:1?db=1", "valkey://user:********@h,i:1?db=1"),
        ("rediss://:hid%2Fden@h", "rediss://:********@h"),
        ("redis://h?sentinel=x&sentinel_password=hidden&db=1", "redis://h?sentinel=x&"
         "sentinel_password=********&db=1"),
        ("unix:///run/valkey?db=1", "unix:///run/valkey?db=1"),
        ("valkey://u:hid/den@h", "********"),
        ("valkey://[u:hidden@h", "********"),
        ("hidden", "********"),
    ],
)  # fmt: skip
def test_of_a_url_only_passwords_are_masked(url: str, shown: str) -> None:
    told = load(None, {"PUSHSVC_JOURNAL_URL": url}).toml()
    assert f'url = "{shown}"' in told
    assert "hid" not in told.partition("[journal]")[2]
