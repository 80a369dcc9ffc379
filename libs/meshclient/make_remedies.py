"""Makes ``remedies.py`` from the comments of ``error_reason.proto``.

``make protos`` runs it; a test fails until it was run after a reason was added.
"""

import re
from pathlib import Path

HEADER = '''"""Remedy of each error reason. Made by ``meshclient.make_remedies``; do not edit."""

REMEDIES: dict[str, str] = {
'''
_VALUE = re.compile(r"((?:^ *//[^\n]*\n)+) *ERROR_REASON_(\w+) = [1-9]\d*;", re.MULTILINE)
# The code of the error, or `In ImportJob.reason`: it ends at the first period before a space.
_WHERE = re.compile(r"^(?:In \w+\.\w+|[A-Z_]+(?: with \w+)?)\. ")
_METADATA = re.compile(r"^Metadata: .*?\. (?=[A-Z`])")
_SENTENCE = re.compile(r"(?<=[.:]) (?=[A-Z`])")


def remedies(proto: str) -> dict[str, str]:
    """Return the remedy of each reason in the text of the contract; reasons without one are absent.

    A comment is `CODE. Metadata: … . What happened. What to do.`; the remedy is what follows the
    first sentence that tells what happened.
    """
    found = {}
    for comment, name in _VALUE.findall(proto):
        text = " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines())
        told = _METADATA.sub("", _WHERE.sub("", text))
        sentences = _SENTENCE.split(told)
        if len(sentences) > 1:
            found[name] = " ".join(sentences[1:])
    return found


def render(found: dict[str, str]) -> str:
    """Return the source of ``remedies.py``."""
    lines = []
    for name, remedy in sorted(found.items()):
        text = remedy.replace("\\", "\\\\")
        mark = "'" if '"' in text and "'" not in text else '"'  # as the formatter chooses
        text = text.replace(mark, f"\\{mark}")
        line = f'    "{name}": {mark}{text}{mark},\n'
        if len(line) > 101:
            line = f'    "{name}": (\n{_wrapped(text, mark)}    ),\n'
        lines.append(line)
    return HEADER + "".join(lines) + "}\n"


def _wrapped(text: str, mark: str) -> str:
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + len(word) > 84:
            lines.append(line)
            line = ""
        line += f"{word} "
    lines.append(line.rstrip())
    return "".join(f"        {mark}{piece}{mark}\n" for piece in lines)


def main() -> None:
    """Write the module beside this one."""
    here = Path(__file__).resolve().parent
    proto = here.parents[1] / "protos/mesh/common/v1/error_reason.proto"
    text = render(remedies(proto.read_text("utf-8")))
    (here / "remedies.py").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
