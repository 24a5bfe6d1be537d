from __future__ import annotations

from random import Random

import msgspec
import pytest
import re2
from hypothesis import example, given
from hypothesis import strategies as st

from pushsvc.core.model.promql import Op
from pushsvc.core.model.series import Identity, identify
from pushsvc.core.query.selector import Matcher, SelectorError, parse
from pushsvc.core.resources.limits import Limits

LIMITS = Limits()


def series(name: str, **labels: str) -> Identity:
    return identify(name, labels, LIMITS)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        # Names.
        ("up", "up"),
        ("up{}", "up"),
        (" up { } ", "up"),
        ("a:b:c", "a:b:c"),
        (":sum", ":sum"),
        ("_", "_"),
        ('{"up"}', "up"),
        ("{'up',}", "up"),
        ('{__name__="up"}', "up"),
        ('{job="a","up"}', 'up{job="a"}'),
        ('{"node.load", job="a"}', '{"node.load",job="a"}'),
        ('{"Zürich"}', '{"Zürich"}'),
        # Keywords that PromQL takes for names, and those that need braces.
        ("sum", "sum"),
        ("by", "by"),
        ("offset", "offset"),
        ('without{a="b"}', 'without{a="b"}'),
        ("start", "start"),
        ("and", "and"),
        ('{"bool"}', '{"bool"}'),
        ('{__name__="NaN"}', '{"NaN"}'),
        ('x{on="a",bool="b"}', 'x{bool="b",on="a"}'),
        ("infinite", "infinite"),
        # Matchers, all four; sorted and distinct.
        ('x{b="1",a!="2"}', 'x{a!="2",b="1"}'),
        ('x{a=~"1.",a!~"2."}', 'x{a!~"2.",a=~"1."}'),
        ('x{a="1",a="1",a="2"}', 'x{a="1",a="2"}'),
        ('x{a="1",}', 'x{a="1"}'),
        ('{a=~".+"}', '{a=~".+"}'),
        ('{a!=""}', '{a!=""}'),
        ('{a!~""}', '{a!~""}'),
        ('{a=~".*",b="c"}', '{a=~".*",b="c"}'),
        ('x{a=""}', 'x{a=""}'),
        ('{"my.label"="1","a"="2"}', '{a="2","my.label"="1"}'),
        # More than one condition on the name stays in braces, as PromQL wants it.
        ('{__name__=~"node_.+"}', '{__name__=~"node_.+"}'),
        ('{__name__="a",__name__=~"a.*"}', '{__name__="a",__name__=~"a.*"}'),
        ('{"a","b"}', '{__name__="a",__name__="b"}'),
        ('{"a",__name__="a"}', "a"),
        # Strings.
        ("x{a='1'}", 'x{a="1"}'),
        ("x{a=`1`}", 'x{a="1"}'),
        ("x{a='it\"s'}", 'x{a="it\\"s"}'),
        (r"x{a='it\'s'}", 'x{a="it\'s"}'),
        (r'x{a="it\"s"}', r'x{a="it\"s"}'),
        (r"x{a=`\d+\n`}", r'x{a="\\d+\\n"}'),
        ("x{a=`1\n2`}", r'x{a="1\n2"}'),
        (r'x{a="\x41\102\u0043\U00000044"}', 'x{a="ABCD"}'),
        (r'x{a="\xc3\xa9"}', 'x{a="é"}'),
        (r'x{a="\303\251"}', 'x{a="é"}'),
        (r'x{a="\U0001F600"}', 'x{a="😀"}'),
        (r'x{a="\a\b\f\n\r\t\v\\"}', 'x{a="\a\b\f\\n\r\t\v\\\\"}'),
        ('x{a="\t"}', 'x{a="\t"}'),
        ('x{a="{},#="}', 'x{a="{},#="}'),
        # White space and comments.
        ('x\t{\n a\r\n=~ "b" , # why\n c = "d" # and } this\n} # the end', 'x{a=~"b",c="d"}'),
        ("# first\nup", "up"),
        ("up# last", "up"),
    ],
)
def test_canonical_form(written: str, canonical: str) -> None:
    assert parse(written).text == canonical
    assert str(parse(written)) == canonical
    assert parse(canonical).text == canonical


ONLY = "only instant vector selectors are taken"


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 0, "expected a metric name or {"),
        ("   ", 3, "expected a metric name or {"),
        ("# nothing", 9, "expected a metric name or {"),
        ("}", 0, "expected a metric name or {"),
        ("é", 0, "expected a metric name or {"),
        # Braces.
        ("up{", 3, "expected a label name or }"),
        ("{,}", 1, "expected a label name or }"),
        ('{a="b",,}', 7, "expected a label name or }"),
        ('{1="b"}', 1, "expected a label name or }"),
        ('{=~"b"}', 1, "expected a label name or }"),
        ('{a:b="c"}', 2, "expected =, !=, =~ or !~"),
        ("{a}", 2, "expected =, !=, =~ or !~"),
        ('{a>"b"}', 2, "expected =, !=, =~ or !~"),
        ('{a!"b"}', 2, "expected =, !=, =~ or !~"),
        ('{"a" "b"}', 5, "expected =, !=, =~ or !~"),
        ("{a=b}", 3, "expected a quoted value"),
        ("{a=}", 3, "expected a quoted value"),
        ("{a=1}", 3, "expected a quoted value"),
        ('{a=="b"}', 2, "expected =, !=, =~ or !~, found =="),
        ("{a=“b”}", 3, "expected a quoted value"),
        ('{a="b" c="d"}', 7, "expected a comma or }"),
        ('{a="b"', 6, "expected a comma or }"),
        ('{a="b";c="d"}', 6, "expected a comma or }"),
        ('{a="b"]', 6, "expected a comma or }"),
        ('{""="b"}', 1, "empty label name"),
        # Strings.
        ('up{a="b', 5, "unterminated string"),
        ("up{a='b\"}", 5, "unterminated string"),
        ("up{a=`b", 5, "unterminated string"),
        ('up{a="b\nc"}', 5, "unterminated string"),
        ('up{a="', 5, "unterminated string"),
        ('up{a="b\\', 5, "unterminated string"),
        (r'up{a="\d"}', 6, "unknown escape"),
        (r'up{a="b\'c"}', 7, "unknown escape"),
        (r"up{a='b\"c'}", 7, "unknown escape"),
        (r'up{a="\x4"}', 6, "unknown escape"),
        (r'up{a="\400"}', 6, "unknown escape"),
        (r'up{a="\u12"}', 6, "unknown escape"),
        (r'up{a="\ud800"}', 6, "escape of what is no Unicode character"),
        (r'up{a="\U00110000"}', 6, "escape of what is no Unicode character"),
        (r'up{a="\xff"}', 5, "escapes that are not valid UTF-8 in the string"),
        ("up{a='\ud800'}", 6, "lone surrogate"),
        # The metric name twice.
        ('up{__name__="up"}', 3, "unexpected second metric name"),
        ('up{a="b",__name__=~"u.*"}', 9, "unexpected second metric name"),
        ('up{"up"}', 3, "unexpected second metric name"),
        # Nothing that must be there.
        ("{}", 0, "no matcher refuses the empty value"),
        ('{a=""}', 0, "no matcher refuses the empty value"),
        (' {a=~".*"}', 1, "no matcher refuses the empty value"),
        ('{a!="b",c!~"d"}', 0, "no matcher refuses the empty value"),
        ('{a=~"b|"}', 0, "no matcher refuses the empty value"),
        ('{""}', 0, "no matcher refuses the empty value"),
        # The rest of PromQL.
        ("up[5m]", 2, "unexpected range"),
        ('up{a="b"}[5m:1m]', 9, "unexpected range"),
        ("up offset 5m", 3, "unexpected offset"),
        ("up OFFSET 5m", 3, "unexpected offset"),
        ("up @ 1609746000", 3, "unexpected @ modifier"),
        ("rate(up[5m])", 0, "unexpected function or aggregation"),
        (" sum (up)", 1, "unexpected function or aggregation"),
        ("sum by (job) (up)", 4, "unexpected aggregation"),
        ("sum without(job) (up)", 4, "unexpected aggregation"),
        ("up + 1", 3, "unexpected operator"),
        ("up == 1", 3, "unexpected operator"),
        ("up and down", 3, "unexpected operator"),
        ("up UNLESS down", 3, "unexpected operator"),
        ("(up)", 0, "unexpected expression"),
        ("-up", 0, "unexpected expression"),
        ("1", 0, "unexpected number"),
        (".5", 0, "unexpected number"),
        ("NaN", 0, "unexpected number"),
        ("inf", 0, "unexpected number"),
        ("1up", 0, "unexpected number"),
        ("bool", 0, "unexpected keyword bool"),
        ('On{a="b"}', 0, "unexpected keyword On"),
        ('"up"', 0, "unexpected string"),
        ("up, down", 2, "unexpected second selector"),
        ("up down", 3, "expected the end of the selector"),
        ("up{}{}", 4, "expected the end of the selector"),
        ("node-load", 4, "unexpected operator"),
        ("node.load", 4, "expected the end of the selector"),
        # Regexes that RE2 refuses: at the string that holds it.
        ('up{a="(",b=~"("}', 12, "unusable regex"),
        ('up{a=~"*"}', 6, "unusable regex"),
        ('up{a!~"[z-a]"}', 6, "unusable regex"),
        (r'up{a=~"(x)\\1"}', 6, "unusable regex"),
        ('up{a=~"(?=x)"}', 6, "unusable regex"),
        ('up{a=~"x{1001}"}', 6, "unusable regex"),
        ('up{a=~"(((a{1000}){1000}){1000})"}', 6, "unusable regex"),
        (r'up{a=~"\\pL{1000}"}', 6, "unusable regex"),
        (r'up{a=~"\\pL{20}"}', 6, "unusable regex"),
    ],
)
def test_refuses_at_the_place(text: str, position: int, reason: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse(text)
    error = caught.value
    assert reason in error.detail
    before = text[:position].split("\n")
    line = f"line {len(before)}, " if "\n" in text else ""
    assert f"at {line}column {len(before[-1]) + 1}" in error.detail
    assert (error.extra["line"], error.extra["column"]) == (len(before), len(before[-1]) + 1)
    assert "\n" not in error.detail
    assert error.code == "selector"
    assert error.status == 400
    assert error.extra["position"] == error.position == position
    msgspec.json.encode(error.document())


@pytest.mark.parametrize(
    "text", ["up[5m]", "up offset 1m", "up @ 1", "sum(up)", "up+1", "1", "-up"]
)
def test_the_rest_of_promql_is_refused_for_what_it_is(text: str) -> None:
    with pytest.raises(SelectorError, match=ONLY):
        parse(text)


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('up{host="a', 'up{host="a\n        ^'),
        ("up[5m]", "up[5m]\n  ^"),
        ("", "\n^"),
        # Of several lines the one with the place; a tab is one column, so is what can't be seen.
        ("up{\n\tjob=1,\n}", " job=1,\n     ^"),
        ("up{a='\ud800'}", "up{a='?'}\n      ^"),
        # In columns of a terminal: wide characters take two, combining ones none.
        ('{"日本"=1}', '{"日本"=1}\n        ^'),
        ('{"e\u0301"=1}', '{"e\u0301"=1}\n     ^'),
        # A long line is cut around the place.
        ("a" * 100 + "[5m]", "a" * 38 + "[5m]\n" + " " * 38 + "^"),
        ("up[" + "5" * 100, "up[" + "5" * 73 + "\n  ^"),
    ],
)
def test_pointer(text: str, pointer: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse(text)
    assert caught.value.pointer == pointer
    assert caught.value.extra["pointer"] == pointer
    assert caught.value.extra["reason"].partition(":")[0] in caught.value.detail


def test_the_limit_is_named() -> None:
    limits = Limits(selector_bytes=10)
    assert parse("a" * 10, limits).name == "a" * 10
    for text in ("a" * 11, "é" * 6, "\ud800" * 4):
        with pytest.raises(SelectorError, match=r"limits\.selector_bytes") as caught:
            parse(text, limits)
        assert caught.value.extra["limit"] == "selector_bytes"
        assert caught.value.position <= len(text)


def test_the_canonical_form_is_within_the_limit_too() -> None:
    limits = Limits(selector_bytes=20)
    text = "x{a=`" + "\\" * 10 + "`}"
    with pytest.raises(SelectorError, match="27 bytes in its canonical form"):
        parse(text, limits)


def test_a_hostile_text_is_shortened_in_the_answer() -> None:
    with pytest.raises(SelectorError) as caught:
        parse("(" * 1_000_000)
    assert len(str(caught.value.document())) < 10_000


def test_regexes_are_counted() -> None:
    sixteen = ",".join(f'a=~"x.+{n}"' for n in range(16))
    # The same one twice, and a list of alternatives, cost nothing more.
    parse(f'{{{sixteen},a=~"x.+0",b=~"x|y"}}')
    with pytest.raises(SelectorError, match="more than 16 regexes"):
        parse(f'{{{sixteen},b=~"x.+"}}')


@pytest.mark.parametrize(
    ("selector", "taken", "refused"),
    [
        ("up", [series("up"), series("up", job="a")], [series("upper"), series("u")]),
        ('{job="a"}', [series("up", job="a")], [series("up"), series("up", job="ab")]),
        # A missing label is empty.
        ('up{job=""}', [series("up")], [series("up", job="a")]),
        ('up{job!="a"}', [series("up"), series("up", job="b")], [series("up", job="a")]),
        ('up{job!=""}', [series("up", job="b")], [series("up")]),
        ('up{job=~"a?"}', [series("up"), series("up", job="a")], [series("up", job="aa")]),
        ('up{job!~"a|"}', [series("up", job="b")], [series("up"), series("up", job="a")]),
        # Regexes are anchored at both ends, whatever they are made of.
        ('up{job=~"b"}', [series("up", job="b")], [series("up", job="abc")]),
        ('up{job=~"a.|.b"}', [series("up", job="ax")], [series("up", job="axx")]),
        ('up{job=~"a|ab"}', [series("up", job="ab")], [series("up", job="abc")]),
        ('up{job=~"^.b$"}', [series("up", job="ab")], [series("up", job="abc")]),
        ('up{job=~"(?i)WEB.*"}', [series("up", job="web1")], [series("up", job="my-web1")]),
        # The dot takes every character, as in Prometheus 3.
        ('up{job=~"a.b"}', [series("up", job="a\nb"), series("up", job="aéb")], [series("up")]),
        # The name is a label like others.
        ('{__name__=~"node_.+"}', [series("node_x")], [series("node_"), series("my_node_x")]),
        ('{__name__!="up",job="a"}', [series("down", job="a")], [series("up", job="a")]),
        ('{__name__="up",__name__=~"d.*"}', [], [series("up"), series("d")]),
        ('{"a","b"}', [], [series("a"), series("b")]),
        # Escaped, what is special in a regex isn't; dashboards write a choice of many like that.
        (
            r'up{job=~"10\\.0\\.0\\.1|b\\|c|"}',
            [series("up", job="10.0.0.1"), series("up", job="b|c"), series("up")],
            [series("up", job="10x0x0x1"), series("up", job="b")],
        ),
    ],
)
def test_matching(selector: str, taken: list[Identity], refused: list[Identity]) -> None:
    parsed = parse(selector)
    assert [identity.text for identity in taken if not parsed.matches(identity)] == []
    assert [identity.text for identity in refused if parsed.matches(identity)] == []


@pytest.mark.parametrize(
    ("selector", "name"),
    [
        ("up", "up"),
        ('{"my.metric",a="b"}', "my.metric"),
        ('{__name__="a",__name__!="b"}', "a"),
        ('{__name__="a",__name__="b"}', None),
        ('{__name__=~"a"}', None),
        ('{a="b"}', None),
    ],
)
def test_exact_name(selector: str, name: str | None) -> None:
    assert parse(selector).name == name


def test_equal_when_the_matchers_are_the_same() -> None:
    same = [parse(text) for text in ('up{a="1",b!="2"}', "{b!=`2`,\"up\",a='1',}")]
    assert len({*same, parse('up{a="1"}')}) == 2
    assert same[0] == same[1]
    assert same[0].matchers == same[1].matchers
    assert repr(same[0]) == 'Selector(text=\'up{a="1",b!="2"}\')'


@pytest.mark.parametrize(
    ("op", "value", "accepts"),
    [
        ("=", "a|b", {"a|b"}),
        ("=", "", {""}),
        ("=~", "a|b|a", {"a", "b"}),
        ("=~", "web-1|db 2", {"web-1", "db 2"}),
        ("=~", "", {""}),
        ("=~", "a|", {"a", ""}),
        ("=~", r"a\.b|c\-d|\\", {"a.b", "c-d", "\\"}),
        ("=~", "é|ü", {"é", "ü"}),
        ("!~", ".*", set()),
        ("!~", ".+", {""}),
        ("!=", "a", None),
        ("!~", "a|b", None),
        ("=~", ".*", None),
        ("=~", ".+", None),
        ("=~", "a.", None),
        ("=~", "(a|b)", None),
        ("=~", r"\d", None),
        ("=~", "a{2}", None),
        ("=~", "^a", None),
    ],
)
def test_values_that_can_be_listed(op: Op, value: str, accepts: set[str] | None) -> None:
    assert Matcher("a", op, value).accepts == accepts


def test_a_matcher_of_its_own_tells_why_not() -> None:
    with pytest.raises(ValueError, match="missing"):
        Matcher("a", "=~", "(")


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a|a)*b", "(.*a){50}", "(a?){500}a{500}", "(x+x+)+y", "(a|b)*a(a|b){200}"],
)
def test_a_catastrophic_regex_ends(pattern: str) -> None:
    # With a backtracking engine most of these would outlive the test run.
    selector = parse(f'up{{a=~"{pattern}"}}')
    for value in ("a" * 1024, "a" * 1023 + "!", "ab" * 512, "x" * 1024):
        selector.matches(series("up", a=value))


# -- against a model -------------------------------------------------------------------------------

NAMES = st.sampled_from(["__name__", "a", "b", "le", "my.label"])
VALUES = st.sampled_from(["", "a", "b", "ab", "ba", "é", "a.b", 'q"', "n\n", "\\", "'`"])
PATTERNS = st.sampled_from(["", ".*", ".+", "a|b", "a.*", "[ab]+", "^b", "a$", "é?", r"a\.b", "|b"])
OPS: list[Op] = ["=", "!="]
REGEX_OPS: list[Op] = ["=~", "!~"]
TERMS = st.one_of(
    st.tuples(NAMES, st.sampled_from(OPS), VALUES),
    st.tuples(NAMES, st.sampled_from(REGEX_OPS), PATTERNS),
)
IDENTITIES = st.builds(
    lambda name, labels: identify(name, labels, LIMITS),
    st.sampled_from(["a", "b", "ab"]),
    st.dictionaries(st.sampled_from(["a", "b", "le"]), VALUES),
)
Term = tuple[str, Op, str]


@st.composite
def strings(draw: st.DrawFn, value: str) -> str:
    """One of the ways to write a string."""
    ways = ["escaped", "double", "single"] + ([] if "`" in value else ["raw"])
    way = draw(st.sampled_from(ways))
    if way == "raw":
        return f"`{value}`"
    if way == "escaped":
        return '"' + "".join(f"\\x{byte:02x}" for byte in value.encode()) + '"'
    mark = '"' if way == "double" else "'"
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace(mark, "\\" + mark)
    return mark + escaped + mark


@st.composite
def written(draw: st.DrawFn) -> tuple[list[Term], str]:
    """Matchers, and one of the ways to write them as a selector."""
    terms = draw(st.lists(TERMS, min_size=1, max_size=5))
    space = st.sampled_from(["", "", " ", "\n", " # so }\n"])
    parts = []
    for label, op, value in terms:
        name = label if label.isidentifier() and draw(st.booleans()) else draw(strings(label))
        parts.append(f"{draw(space)}{name}{draw(space)}{op}{draw(space)}{draw(strings(value))}")
    text = draw(space) + "{" + ",".join(parts) + draw(st.sampled_from(["", ","]))
    return terms, text + draw(space) + "}" + draw(space)


def model(terms: list[Term], labels: dict[str, str]) -> bool:
    """PromQL's matching, by the letter."""
    for label, op, value in terms:
        have = labels.get(label, "")
        if op.endswith("~"):
            options = re2.Options()
            options.dot_nl = True
            equal = re2.fullmatch(f"(?:{value})", have, options) is not None
        else:
            equal = have == value
        if equal is op.startswith("!"):
            return False
    return True


@given(written(), st.lists(IDENTITIES, max_size=10))
def test_agrees_with_a_naive_model(
    selector: tuple[list[Term], str], identities: list[Identity]
) -> None:
    terms, text = selector
    if model(terms, {}):
        with pytest.raises(SelectorError, match="no matcher refuses"):
            parse(text)
        return
    parsed = parse(text)
    for identity in identities:
        labels = {"__name__": identity.name, **dict(identity.labels)}
        assert parsed.matches(identity) is model(terms, labels)


@given(written(), st.randoms(use_true_random=False))
def test_the_canonical_form_is_that_of_the_set(
    selector: tuple[list[Term], str], random: Random
) -> None:
    terms, text = selector
    try:
        parsed = parse(text)
    except SelectorError:
        return
    assert parse(parsed.text) == parsed
    assert {(m.name, m.op, m.value) for m in parsed.matchers} == set(terms)
    parts = [str(matcher) for matcher in parsed.matchers]
    random.shuffle(parts)
    assert parse("{" + ",".join(parts) + "}").text == parsed.text


FRAGMENTS = st.sampled_from(
    ["up", "{", "}", '"', "'", "`", "\\", "=", "~", "!", ",", "a", '"b"', " ", "\n", "#", "\\x41"]
)


@given(st.text(max_size=50) | st.lists(FRAGMENTS, max_size=20).map("".join))
@example("\ud800{")
@example("{a=~'\udfff'}")
def test_any_text_is_read_or_refused(text: str) -> None:
    refused = None
    try:
        selector = parse(text)
    except SelectorError as error:
        refused = error
    if refused is None:
        assert parse(selector.text) == selector
    else:
        assert 0 <= refused.position <= len(text)
        msgspec.json.encode(refused.document())


@given(st.text(max_size=30), st.text(max_size=10))
@example("(a|b)", "a")
@example(r"\é", "é")
def test_any_pattern_is_run_or_refused(pattern: str, value: str) -> None:
    try:
        matcher = Matcher("a", "=~", pattern)
    except ValueError:
        return
    assert matcher.matches(value) is not Matcher("a", "!~", pattern).matches(value)


@given(st.text(alphabet="ab.|\\-é _/", max_size=12), st.text(alphabet="ab.|\\-é _/", max_size=6))
def test_alternatives_are_what_the_regex_would_match(pattern: str, value: str) -> None:
    try:
        matcher = Matcher("a", "=~", pattern)
    except ValueError:
        return
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    assert matcher.matches(value) is (re2.fullmatch(pattern, value, options) is not None)
