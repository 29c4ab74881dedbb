"""
Looking for something in a long body, quickly.

Python finds a single byte some thirty times faster than a word, and counts bytes no
faster than it finds words.  So a word is looked for by one of its bytes, and bytes are
counted from one to the next, up to a limit, as long as there are few of them.
"""

from __future__ import annotations

#: Bytes that are read in less time than it takes to look for some of them.
_SHORT = 4096
#: So many places are looked at one by one.
_FEW = 64


def has_word(body: bytes, word: bytes, rare: int) -> bool:
    """Whether *word* stands in *body*; the byte of it at *rare* is the one that is rare."""
    if len(body) < _SHORT:
        return word in body
    mark = word[rare : rare + 1]
    at = body.find(mark)
    for _ in range(_FEW):
        if at < 0 or body.startswith(word, at - rare):
            return at >= 0
        at = body.find(mark, at + 1)
    return at >= 0 and body.find(word, at - rare) >= 0


def has_brackets(body: bytes, more_than: int) -> bool:
    """Whether more opening brackets than that stand in *body*, in texts or not."""
    if len(body) < _SHORT:
        return body.count(b"[") + body.count(b"{") > more_than
    found = 0
    for bracket in (b"[", b"{"):
        at = body.find(bracket)
        while at >= 0:
            found += 1
            if found > more_than:
                return True
            at = body.find(bracket, at + 1)
    return False
