"""How expressions are read, and refused at the place at which they go wrong."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pushsvc.core.expression.evaluate import Evaluator, Rows
from pushsvc.core.expression.live import Live
from pushsvc.core.expression.reading import ExpressionError, pretty, read
from pushsvc.core.expression.tree import Binary, Call, Select, When, Window
from pushsvc.core.query.selector import Matcher, SelectorError, parse
from pushsvc.core.resources.limits import Limits

OPERATOR_OR_END = "an operator or the end"


@pytest.mark.parametrize(
    ("text", "column", "expected", "found"),
    [
        ("", 1, "an expression", "the end"),
        ("a +", 4, "an expression", "the end"),
        ("a + * b", 5, "an expression", "*"),
        ("a unless", 9, "an expression", "the end"),
        ("a > bool", 9, "an expression", "the end"),
        ("a b", 3, OPERATOR_OR_END, "b"),
        ("a.b", 2, OPERATOR_OR_END, "."),
        ("a)", 2, OPERATOR_OR_END, ")"),
        ('a{b="c"}{d="e"}', 9, OPERATOR_OR_END, "{"),
        ("é", 1, "an expression", "é"),
        ("1h5", 1, "an expression", "1h5"),
        ("sum(", 5, "an expression", "the end"),
        ("sum(a", 6, "an operator, a comma or )", "the end"),
        ("(a", 3, "an operator or )", "the end"),
        ("sum by a (b)", 8, "(", "a"),
        ("sum by (1)(a)", 9, "a label name or )", "1"),
        ("sum by (a b)(c)", 11, "a comma or )", "b"),
        ("a + on(b", 9, "a comma or )", "the end"),
        ("sum(rate(x[5m]) by (job)", 17, "an operator, a comma or )", "by"),
        ("a offset", 9, "a duration", "the end"),
        ("a @ b", 5, "a time, start() or end()", "b"),
        ("a[", 3, "a duration", "the end"),
        ("a[5m", 5, ": or ]", "the end"),
        ("a[5m:1m:1m]", 8, "]", ":"),
        ("a + fill(b) c", 10, "a number", "b"),
        ("a{b=c}", 5, "a quoted value", "c"),
        ('a{b=="c"}', 4, "=, !=, =~ or !~", "=="),
        ('a{b="c" d="e"}', 9, "a comma or }", "d"),
        ('a{b="c" or d="e"}', 9, "a comma or }", "or"),
        # Types, where the parser has them.
        ("rate(a)", 1, "a range vector", "an instant vector"),
        ("1 + abs(sum(rate(x))) / 2", 13, "a range vector", "an instant vector"),
        ("quantile('x', a)", 1, "a number", "a string"),
    ],
)
def test_says_where_and_what_was_expected(
    text: str, column: int, expected: str, found: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        read(text)
    error = caught.value
    assert (error.line, error.column, error.expected, error.found) == (1, column, expected, found)
    assert f"at column {column}" in error.detail
    document = error.document()
    assert document["code"] == "expression"
    assert (document["line"], document["column"], document["position"]) == (1, column, column - 1)
    assert (document["expected"], document["found"]) == (expected, found)
    msgspec.json.encode(document)


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("a[5m][5m]", 6, "ranges only allowed for vector selectors"),
        ("abs(sum(a)[5m])", 11, "ranges only allowed"),
        ('"x" + 1', 5, "binary expression must contain only scalar and instant vector types"),
        ("1 == 2", 3, "comparisons between scalars must use BOOL"),
        ("sum(a) / (b and 1)", 13, "set operator 'and' not allowed"),
        ("a offset 5m offset 3m", 13, "offset may not be set multiple times"),
        ("1 + foo(a)", 5, "unknown function with name 'foo'"),
        ("sum(topk(a))", 5, "wrong number of arguments"),
        ("a + {}", 5, "no matcher refuses the empty value"),
        ('a + {b=~".*"}', 5, "no matcher refuses the empty value"),
        ('sum(a{__name__="b"})', 7, "unexpected second metric name"),
        ('a{b=~"("}', 6, "unusable regex"),
        (r'a{b="\q"}', 6, "unknown escape"),
        ('a + b{c="d', 9, "unterminated string"),
        ("a[5M]", 3, "expected a duration, found 5M"),
        ("a[5m:1D]", 6, "expected a duration, found 1D"),
        ("a[0s]", 3, "a duration that isn't greater than 0"),
        ("a[5m:0]", 6, "a duration that isn't greater than 0"),
        ("a[1e30]", 3, "a duration of more than 100 years"),
        ("a offset -1e30", 11, "a duration of more than 100 years"),
        ("a @ -5", 6, "a time before 1970"),
        ("a @ 1e300", 5, "a time after the year 5000"),
    ],
)
def test_says_where_what_is_well_put_together_goes_wrong(
    text: str, column: int, reason: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        read(text)
    assert reason in caught.value.reason
    assert caught.value.column == column


def test_of_several_lines_the_line_is_said() -> None:
    with pytest.raises(ExpressionError) as caught:
        read('sum(\n  rate(x{job="é"}[5m])\n) / sum by\n')
    error = caught.value
    assert (error.line, error.column) == (4, 1)
    assert error.detail.endswith("expected (, found the end at line 4, column 1")
    with pytest.raises(ExpressionError) as caught:
        read("a # the first\n + b c # the third")
    assert caught.value.pointer == " + b c # the third\n     ^"
    assert "at line 2, column 6" in caught.value.detail


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        # Escapes write bytes, and regexes are RE2's: none of both is the parser's.
        (r'x{a="\xc3\xa9"}', ("=", "é")),
        (r'x{a=~"\\Qa.b\\E"}', ("=~", r"\Qa.b\E")),
        ('x{a!=""}', ("!=", "")),
        ('x{a="$0"}', ("=", "$0")),
        ("x{a=`__name__`}", ("=", "__name__")),
    ],
)
def test_strings_are_taken_as_they_are_written(text: str, meant: tuple[str, str]) -> None:
    node = read(text)
    assert isinstance(node, Select)
    ((_, matcher),) = node.matchers
    assert (matcher.op, matcher.value) == meant


@pytest.mark.parametrize(
    "name", ["smoothed", "anchored", "Smoothed", "smoothed_", "or", "or_", "step", "range", "start"]
)
def test_words_of_the_language_are_names_as_well(name: str) -> None:
    assert read(name) == Select(((Matcher("__name__", "=", name),),), When())
    assert parse(name).name == name
    assert parse(f'x{{ {name} = "1" }}').text == f'x{{{name}="1"}}'
    assert pretty(f"sum by ({name}) ({name} + 1)").count(name) == 2


@pytest.mark.parametrize(
    "text",
    [
        r'x{a="b",c!="d",e=~"f.*",g!~`\d`}',
        '{"my.label"="1","my.metric"}',
        'label_replace(x, "my.label", "$1", "b", "(.*)")',
        "sum by (a) (rate(x[5m] offset 1h))",
    ],
)
def test_layout_keeps_what_is_meant(text: str) -> None:
    assert read(pretty(text)) == read(text)


# -- hostile ---------------------------------------------------------------------------------------

LIMITS = Limits(expression_bytes=1_000_000, selector_bytes=1_000_000)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 25_000,
        "(" * 12_500 + "a" + ")" * 12_500,
        "-" * 25_000 + "a",
        "a" + "+a" * 12_500,
        "a" + "^a" * 12_500,
        "a" + " or a" * 5_000,
        "{}" + "+{}" * 7_500,
        "abs(" * 6_000 + "a" + ")" * 6_000,
        "sum(a) by " * 2_500,
        "[" * 25_000,
        "{" * 25_000,
        "(" * 100 + "a" + (")" + "+a" * 300) * 100,
        "a" + "[5m:]" * 5_000,
        "a" + " offset 5m" * 2_500,
        "a fill " * 4_000,
        '"' * 24_999,
        'a{b="' + "\\" * 24_999,
        "a " * 12_500,
    ],
    ids=lambda text: text[:12],
)
def test_a_long_text_neither_ends_the_process_nor_is_let_through(text: str) -> None:
    with pytest.raises(ExpressionError):
        read(text, LIMITS)
    with pytest.raises(SelectorError):
        parse(text, LIMITS)
    with pytest.raises(ExpressionError, match=r"limits\.expression_bytes"):
        read(text)


def test_depth_is_named_and_counts_what_follows_each_other() -> None:
    limits = Limits(expression_depth=4)
    read("abs(abs(abs(abs(a))))", limits)
    read("a + a + a + a + a", limits)
    read('label_join(a + a, "b", "c", "d")', limits)
    for text in ("abs(abs(abs(abs(abs(a)))))", "a + a + a + a + a + a", "((a + a) + a + a + a)"):
        with pytest.raises(ExpressionError, match=r"limits\.expression_depth") as caught:
            read(text, limits)
        assert caught.value.extra["limit"] == "expression_depth"


class Nothing:
    def select(self, _: object) -> list[Rows]:
        return [Rows((("__name__", "a"),), [0], [1.0])]


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("abs(", ")"),
        ("sum(", ")"),
        ("-", ""),
        ("a + (", ")"),
        ("a or ", ""),
        ("", " + a"),
        ("1 + ", ""),
        ("sum_over_time(", "[1s:1s])"),
        ("vector(scalar(", "))"),
        ("(", ") + a + a"),
        ("a + a + (", ") + a"),
    ],
)
def test_what_may_be_read_can_be_worked_out(opening: str, closing: str) -> None:
    for times in range(1, 200):
        try:
            node = read(opening * times + "a" + closing * times)
        except ExpressionError:
            break
    assert 20 < times < 199
    Evaluator(Nothing(), 0, 0).at(node, 0)
    Live(node, lookback=1, most=10_000).at(0)


_WRITTEN = (
    "a b sum rate by on offset @ start() end ( ) [ ] { } , + - == and or 5m 1 1e30 -1 = =~ : "
    'bool group_left fill \\ \' ` é # $0 "s"'
)
WORDS = st.sampled_from(_WRITTEN.split())


@given(st.lists(WORDS, max_size=15).map(" ".join) | st.text(max_size=40))
@example("a[1e30]")
@example("\ud800")
@example("{a='\udfff'}")
def test_any_text_is_read_or_refused_within_it(text: str) -> None:
    try:
        read(text)
        refused = None
    except ExpressionError as error:
        refused = error
    if refused is None:
        laid_out = pretty(text)
        assert pretty(laid_out) == laid_out
    else:
        assert 0 <= refused.position <= len(text)
        assert refused.column >= 1
        msgspec.json.encode(refused.document())


def test_what_was_read_is_kept() -> None:
    text = "sum(rate(a[5m])) / b"
    node = read(text)
    assert read(text) is node
    assert isinstance(node, Binary)
    # It is kept by the limits too: what passed some limits may not pass others.
    with pytest.raises(ExpressionError):
        read(text, Limits(expression_bytes=3))
    call = read("rate(a[5m])")
    assert isinstance(call, Call)
    assert isinstance(call.arguments[0], Window)
