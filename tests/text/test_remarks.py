"""Remarks that take back what was just written."""

from __future__ import annotations

from askesis.text.remarks import taken_back, takes_back


def test_a_remark_takes_back_only_if_it_says_what_and_ends_in_no():
    assert takes_back("#35 no") and takes_back("#7+5=13 no")
    assert not any(takes_back(p) for p in ("#no", "# no", "#36 ok", "35 no", "", "#35 nope"))


def test_a_step_is_taken_back_by_what_stands_before_the_next_one():
    text = "1=1\n2=3\n#3 no\n#hm\n2=2"
    assert taken_back(text, [(0, 3), (4, 7), (18, 21)]) == (False, True, False)
    assert taken_back("1+1=3;#3 no", [(0, 5)]) == (True,)
    assert taken_back("#3 no", []) == ()
