"""Texts of servers and of pushed images as they may reach a terminal or a page.

Anybody may push: an escape sequence could rewrite what is on the screen, a mark of direction could make it
read as something else (Unicode TR 36, "Bidirectional Text Spoofing"), a line feed could fake a line of ours.
"""


def visible(text: str) -> str:
    r"""Show each character that is not printable by its code, as \x1b or \u202e; a tab stays.

    Printable is what Python's `repr` leaves as it is: no control characters, no marks of direction or width,
    and no halves of surrogate pairs, which cannot be written at all.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\t" else _code(each) for each in text)


def visible_lines(text: str) -> str:
    """Do the same where line feeds are meant: in a message or a file of several lines."""
    return "\n".join(map(visible, text.split("\n")))


def _code(character: str) -> str:
    return character.encode("unicode_escape").decode()
