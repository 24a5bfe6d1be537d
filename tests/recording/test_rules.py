"""The file of recorded expressions: what it may hold, and what is said of what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pushsvc.core.resources.limits import Limits
from pushsvc.recording.rules import RulesError, load_rules

GOOD = """
interval = "5s"

[[record]]
name = "job:requests:rate1m"
expression = "sum by (job) (rate(http_requests_total[1m]))"
labels = {team = "web"}
interval = "10s"
unit = "requests/s"
help = "Requests a second, by job."

[[record]]
expression = '''
  a
    / b
'''
name = "ratio"
"""


def load(tmp_path: Path, text: str, limits: Limits | None = None) -> str:
    """What is said of a file, without its path."""
    file = tmp_path / "rules.toml"
    file.write_text(text)
    with pytest.raises(RulesError) as caught:
        load_rules(file, limits or Limits())
    said = str(caught.value)
    assert said.startswith(str(file)), said
    assert "\n" not in said
    return said.removeprefix(str(file))


def test_a_file_of_two(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(GOOD)
    first, second = load_rules(file, Limits())
    assert (first.name, first.labels, first.interval) == (
        "job:requests:rate1m",
        (("team", "web"),),
        10.0,
    )
    assert (first.unit, first.help) == ("requests/s", "Requests a second, by job.")
    assert (second.name, second.labels, second.interval) == ("ratio", (), 5.0)
    assert (second.unit, second.help) == (None, None)


def test_an_empty_file_has_none(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("")
    assert load_rules(tmp_path / "rules.toml", Limits()) == ()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[[record]]\nname = "a"\nexpression = "sum(rate(b[5m])"\n', ":3:"),
        ('[[record]]\nname = "a"\nexpression = "rate(b)"\n', ":3:"),
        ("[[record]]\nname = 'a'\nexpression = '''\nb\n + + (\n'''\n", ":"),
        ("[[record]]\nname = 'a'\nexpression = '''b\n + )\n'''\n", ":4:4: "),
        ('[[record]]\nname = "a"\nexpression = "b + )"\n', ":3:19: "),
        ('[[record]]\nname = "a"\nexpression = "b{x=\\"1\\"} + )"\n', ":3: "),
    ],
)
def test_an_expression_that_is_wrong_is_shown_at_its_place(
    tmp_path: Path, text: str, place: str
) -> None:
    said = load(tmp_path, text)
    assert said.startswith(place)
    assert "record 1 (a): " in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = [", "not TOML"),
        ("x = 1", "unknown field `x`"),
        ('[[record]]\nname = "a"\n', "missing required field `expression`"),
        ('[[record]]\nname = "a"\nexpression = 7\n', "Expected `str`, got `int`"),
        ('[[record]]\nname = ""\nexpression = "b"\n', ":3: record 1 ()"),
        (
            '[[record]]\nname = "a"\nexpression = "b"\nlabels = {__x__ = "1"}\n',
            "names in __ are reserved",
        ),
        ('[[record]]\nname = "a"\nexpression = "b[5m]"\n', "a range of samples"),
        ('[[record]]\nname = "a"\nexpression = "b @ 5"\n', "@ stands still"),
        ('[[record]]\nname = "a"\nexpression = "b"\ninterval = "0.5s"\n', "is no duration"),
        ('[[record]]\nname = "a"\nexpression = "b"\ninterval = "500ms"\n', "from 1s to 1h"),
        ('[[record]]\nname = "a"\nexpression = "b"\ninterval = "2h"\n', "from 1s to 1h"),
        (
            '[[record]]\nname = "a"\nexpression = "b"\n[[record]]\nname = "a"\nexpression = "c"\n',
            ":6: record 2 (a): a record before it has the same name and labels",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in load(tmp_path, text)


def test_too_many(tmp_path: Path) -> None:
    text = "".join(f'[[record]]\nname = "r{n}"\nexpression = "b"\n' for n in range(3))
    assert "limits.recorded_expressions" in load(tmp_path, text, Limits(recorded_expressions=2))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"rules\.toml: No such file or directory"):
        load_rules(tmp_path / "rules.toml", Limits())
