"""How a mistake is taken back inside an answer, and what follows it.

7+5=12             what was right stays
12*3=35            the wrong step
#35 no             a remark that says what is wrong with it
12*3=36            the step as it should have been, and the rest
36-9=27
"""

from __future__ import annotations

from askesis.text.steps import split_steps

LONGEST = 24  # characters of a wrong step that a remark repeats


def what_is_wrong(wrong: str, right: str) -> str:
    """The part of a wrong step that a right one does not share: its value, or what it computes.

    >>> what_is_wrong("12*3=35", "12*3=36"), what_is_wrong("12*4=48", "12*3=36")
    ('35', '12*4')
    """
    left, equals, value = wrong.rpartition("=")
    if equals and left.strip() == right.rpartition("=")[0].strip():
        return value.strip()[:LONGEST] or "?"
    return (left or wrong).strip()[:LONGEST] or "?"


def mended_lines(wrong: str, right: str, *, again: bool = False, remark: bool = True) -> str | None:
    """What follows a wrong beginning on a scratchpad of lines, so that it ends as `right` does.

    wrong: an answer up to and with its first wrong line. right: a right answer. again: `right` is
    written from its beginning; else from the line that stands where the wrong one does. remark:
    whether the wrong line is taken back in words.
    None where `right` has other lines before, or no line there.
    """
    given = [wrong[a:b] for a, b in split_steps(wrong, "\n") if wrong[a] != "#"]
    lines = [right[a:b] for a, b in split_steps(right, "\n")]
    places = [i for i, line in enumerate(lines) if not line.startswith("#")]
    if not given or not places:
        return None
    place = places[-1]
    if not again:
        before = [lines[i] for i in places[: len(given) - 1]]
        if len(given) > len(places) or before != given[:-1]:
            return None
        place = places[len(given) - 1]
    told = [f"#{what_is_wrong(given[-1], lines[place])} no"] if remark else []
    return "\n" + "\n".join([*told, *(lines if again else lines[place:])])
