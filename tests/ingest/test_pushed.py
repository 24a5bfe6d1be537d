"""Groups of series, as at a Pushgateway."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.ingest.prometheus_text.pushed import (
    Group,
    members_after,
    missing,
    read_group,
    read_members,
    together,
    write_members,
)

members = st.dictionaries(
    st.sampled_from("fgh"), st.lists(st.sampled_from("123456"), unique=True, min_size=1)
)


@given(members, members, st.booleans())
@settings(deadline=None)
def test_what_a_push_makes_of_a_group(
    before: dict[str, list[str]], pushed: dict[str, list[str]], whole: bool
) -> None:
    # A series is of one family, whose name it begins with.
    before, pushed = (
        {name: [name + text for text in given] for name, given in one.items()}
        for one in (before, pushed)
    )
    after = members_after(before, pushed, whole=whole)
    assert after == (pushed if whole else {**before, **pushed})
    gone = set(missing(before, after))
    had = {text for given in before.values() for text in given}
    assert gone == had - {text for given in after.values() for text in given}
    both = together(before, after)
    assert {t for g in both.values() for t in g} == had | {t for g in after.values() for t in g}
    assert together(after, after) == after
    assert read_members(write_members(Group({"job": "a"}), both)) == both


def test_the_same_labels_are_the_same_group() -> None:
    one = read_group("job/a/x/1/y/2%2F")
    other = read_group("job@base64/YQ==/y@base64/MiUyRg/x/1")
    assert one == other
    assert one.name == other.name != read_group("job/a/x/1").name
    assert read_group("job/a/x@base64/=").labels == {"job": "a", "x": ""}
