"""Reading XML that a stranger sent: well-formed or refused, never expanded, never fetched, bounded in size and depth.

A DOCTYPE with a SYSTEM identifier may stand (cXML files carry one) and is never followed. An internal subset is refused
whatever it declares: entities are how a kilobyte becomes a gigabyte, and default attributes do the same more slowly.
XML 1.0 (fifth edition) sections 2.8, 4.2 and 4.4; the limits are ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from lxml import etree

from hilum.formats.findings import Finding, FormatError

MAX_BYTES = 64 * 1024 * 1024
MAX_TAGS = 2_000_000
MAX_DEPTH = 100
MAX_ATTRIBUTES = 250
"""Of one element: looking one up takes longer the more there are, and no document of ours has twenty."""
MAX_FINDINGS = 300

Element = etree._Element


class XmlError(FormatError):
    """Bytes that are no XML we read. ``code`` is ``empty``, ``too-big``, ``too-deep``, ``encoding``, ``entities`` or ``syntax``."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A read file: its root element (comments and processing instructions left out), whether a DOCTYPE stands before it, and
    the SYSTEM identifier it names."""

    root: Element
    doctype: bool
    system_id: str | None


# All of these write the markup characters as ASCII, so that the prolog can be looked at before a parser is let in; UTF-7 and
# EBCDIC do not, which is how entities are smuggled past such a look.
_ENCODINGS = re.compile(
    r"utf-?8|us-ascii|ascii|iso[-_]?8859-([1-9]|1[0-6])|latin-?1|windows-125[0-8]|cp125[0-8]", re.IGNORECASE
)
_DECLARED = re.compile(rb"""^<\?xml\b[^>]{0,200}?\bencoding\s*=\s*["']([^"'>]{1,40})["']""")
_REFERENCE = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);|#)")
_UNPARSED = re.compile(rb"<!\[CDATA\[.*?\]\]>|<!--.*?-->|<\?.*?\?>", re.DOTALL)
_BLANK = re.compile(rb"[ \t\r\n]*+")
_TOO_DEEP = etree.XPath("boolean(" + "/*" * (MAX_DEPTH + 1) + ")")
_TOO_BROAD = etree.XPath(f"boolean(//@*[{MAX_ATTRIBUTES + 1}])")

_SENTENCES = {
    "ERR_TAG_NAME_MISMATCH": "An end tag does not match the start tag before it",
    "ERR_TAG_NOT_FINISHED": "The file ends inside an element",
    "ERR_DOCUMENT_END": "Something follows the end of the root element",
    "ERR_DOCUMENT_EMPTY": "There is no element in it",
    "ERR_UNDECLARED_ENTITY": "An entity is used that XML itself does not define",
    "WAR_UNDECLARED_ENTITY": "An entity is used that XML itself does not define",
    "ERR_INVALID_CHAR": "A character is used that XML does not allow",
    "ERR_INVALID_ENCODING": "The bytes are not in the encoding that the file declares",
    "ERR_ATTRIBUTE_REDEFINED": "An attribute stands twice on one element",
    "ERR_LT_IN_ATTRIBUTE": "A < stands inside an attribute value",
    "NS_ERR_UNDEFINED_NAMESPACE": "A namespace prefix is used that nothing declares",
}


def read(data: bytes, error: type[FormatError] = XmlError) -> Parsed:
    """The file as a tree; raises ``error`` and nothing else. Work and memory grow linearly with at most ``MAX_BYTES``."""
    if not data.strip(b" \t\r\n\0"):
        raise error("empty", "There is nothing in it")
    if len(data) > MAX_BYTES:
        raise error("too-big", f"More than {MAX_BYTES} bytes, which is the most that is read as one XML document")
    data, override = _as_ascii_based(data, error)
    if data.count(b"<") > 2 * MAX_TAGS:
        raise error("too-big", f"More than {MAX_TAGS} elements, which is the most that is read as one XML document")
    doctype = _has_doctype(data, error)
    if doctype and _REFERENCE.search(data) and _REFERENCE.search(_UNPARSED.sub(b"", data)):
        # With a DTD named but not read a parser may take the entity for declared there, and drop it from attributes.
        raise error("entities", "An entity is used that XML itself does not define; write the character or its number")
    parser = etree.XMLParser(
        encoding=override,
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as problem:
        raise _refusal(problem, parser, error) from None
    except ValueError:
        raise error("syntax", "It is not well-formed XML") from None
    if _TOO_DEEP(root):
        raise error("too-deep", f"Elements nested more than {MAX_DEPTH} deep")
    if _TOO_BROAD(root):
        raise error("too-big", f"An element with more than {MAX_ATTRIBUTES} attributes")
    declared: Any = root.getroottree().docinfo.internalDTD
    return Parsed(root, doctype, declared.system_url if declared is not None else None)


def begins(data: bytes, *names: bytes) -> bool:
    """Whether the first element of these bytes, prefix aside, has one of the names. Looks at the first 8 KiB; never raises."""
    head = data[:8192]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = head[: len(head) // 2 * 2].decode("utf-16", "replace").encode()
    return (match := _FIRST_ELEMENT.match(head)) is not None and match[1] in names


# Possessive by hand: each alternative starts with other characters, so that there is nothing to go back to.
_FIRST_ELEMENT = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?[^>]*>\s*|<!--(?:[^-]|-(?!->))*-->\s*|<!DOCTYPE[^>\[]*>\s*)*<(?:[\w.-]+:)?([\w.-]+)[\s/>]"
)


def _as_ascii_based(data: bytes, error: type[FormatError]) -> tuple[bytes, str | None]:
    """The bytes in an encoding whose markup is ASCII, and the encoding to read them in where the declaration no longer holds."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[:4] in (b"<\0?\0", b"\0<\0?", b"<\0c\0", b"\0<\0c"):
        codec = "utf-16" if data[0] in (0xFE, 0xFF) else ("utf-16-le" if data[0] == 0x3C else "utf-16-be")
        try:
            return data.decode(codec).encode(), "utf-8"
        except UnicodeError:
            raise error("encoding", "It starts as UTF-16 and is not UTF-16") from None
    start = data[3:] if data.startswith(b"\xef\xbb\xbf") else data
    if b"\0" in start[:64]:
        raise error("encoding", "It is neither UTF-8 nor UTF-16; send one of these")
    if (declared := _DECLARED.match(start[:300])) is not None:
        name = declared[1].decode("ascii", "replace")
        if _ENCODINGS.fullmatch(name) is None:
            raise error(
                "encoding", "It declares an encoding that is not read; send UTF-8, UTF-16, ISO 8859 or Windows 125x"
            )
    elif start.lstrip()[:5] == b"<?xml" and b"encoding" in start[:300].partition(b"?>")[0]:
        raise error("encoding", "The encoding that it declares cannot be made out; send UTF-8")
    return data, None


def _has_doctype(data: bytes, error: type[FormatError]) -> bool:
    """Whether a DOCTYPE stands before the root element; refuses one that declares things itself."""
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while True:
        if (blank := _BLANK.match(data, at)) is not None:
            at = blank.end()
        if data.startswith(b"<?", at):
            end = data.find(b"?>", at)
        elif data.startswith(b"<!--", at):
            end = data.find(b"-->", at)
        else:
            break
        if end < 0:
            return False
        at = data.index(b">", end) + 1
    if not data.startswith(b"<!DOCTYPE", at):
        return False
    for match in re.compile(rb"\"[^\"]*\"|'[^']*'|\[|>").finditer(data, at):
        if match[0] == b"[":
            raise error(
                "entities",
                "The DOCTYPE declares things of its own (entities or others); only a SYSTEM or PUBLIC name is read",
            )
        if match[0] == b">":
            break
    return True


def _refusal(problem: etree.XMLSyntaxError, parser: etree.XMLParser, error: type[FormatError]) -> FormatError:
    """What the parser said, without the names and values of the document that it says it with."""
    entry = parser.error_log.last_error if len(parser.error_log) else None
    kind = entry.type_name if entry is not None else "ERR_INTERNAL_ERROR"
    line = problem.lineno if isinstance(problem.lineno, int) and problem.lineno > 0 else None
    said = str(problem).lower()
    if "depth" in said:
        return error("too-deep", f"Elements nested more than {MAX_DEPTH} deep", None, line)
    if "entity" in kind.lower() or "entity" in said:
        return error("entities", _SENTENCES["ERR_UNDECLARED_ENTITY"], None, line)
    if "huge" in said or "too long" in said:
        return error("too-big", "One text, name or attribute of it is longer than is read", None, line)
    code = "encoding" if "ENCODING" in kind else "syntax"
    return error(code, _SENTENCES.get(kind, f"It is not well-formed XML ({kind})"), None, line)


# --- documents ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class XmlDocument:
    """A read or built document. ``source`` is the very bytes it was read from, None once it is built or changed.

    ``root`` is read, not edited: ``changed`` makes the edited copy, so that ``source`` never lies.
    """

    kind: str
    root: Element
    source: bytes | None = None
    system_id: str | None = None


def changed(root: Element, edit: Callable[[Element], None]) -> Element:
    """A copy of the tree with the edit done to it; the tree itself stays as it was."""
    copy = deepcopy(root)
    edit(copy)
    return copy


def serialise(root: Element, doctype: str | None = None) -> bytes:
    """The tree as UTF-8 with an XML declaration, two spaces of indentation where there is no text of its own, and a last newline."""
    copy = deepcopy(root)
    etree.indent(copy, space="  ")
    text: bytes = etree.tostring(copy, encoding="UTF-8")
    head = b'<?xml version="1.0" encoding="UTF-8"?>\n' + (doctype.encode() + b"\n" if doctype else b"")
    return head + text.rstrip() + b"\n"


# --- looking at elements ------------------------------------------------------------------------------------------------


def name_of(element: Element) -> str:
    """The local name."""
    tag = str(element.tag)
    return _local(tag) if len(tag) <= _LONGEST_TAG else tag[tag.rfind("}") + 1 :]


@lru_cache(maxsize=4096)
def _local(tag: str) -> str:
    return tag[tag.rfind("}") + 1 :]


# Longer than any name of a vocabulary: a name that a sender made up is neither remembered nor repeated whole.
_LONGEST_TAG, _LONGEST_NAME = 300, 60


def text_of(element: Element | None) -> str | None:
    """The element's own text with the white space around it taken off; None where there is none."""
    if element is None or element.text is None:
        return None
    return element.text.strip() or None


def elements(root: Element) -> Iterator[Element]:
    """The element and all below it, in document order."""
    return root.iter(etree.Element)


# Counting siblings is linear for each finding; past this the line says where.
_COUNTED = 10_000


def path_of(element: Element) -> str:
    """Where an element stands: ``/Invoice/InvoiceLine[2]/ID``, local names, counted where a name stands twice."""
    steps: list[str] = []
    at: Element | None = element
    while at is not None:
        parent = at.getparent()
        step = name_of(at)[:_LONGEST_NAME]
        if parent is not None:
            before = sum(1 for _ in islice(at.itersiblings(at.tag, preceding=True), _COUNTED))
            if before == _COUNTED:
                step += f"[more than {_COUNTED}]"
            elif before or next(at.itersiblings(at.tag), None) is not None:
                step += f"[{before + 1}]"
        steps.append(step)
        at = parent
    return "/" + "/".join(reversed(steps))


def line_of(element: Element) -> int | None:
    """The line of the source it starts on, None where it was built and not read."""
    line: object = element.sourceline
    return line if isinstance(line, int) and line > 0 else None


def finding_at(
    element: Element, code: str, text: str, severity: str = "error", attribute: str | None = None
) -> Finding:
    """A finding that says where: the path, ``/@name`` for an attribute, and the line of the source where it is known."""
    place = path_of(element) + (f"/@{attribute}" if attribute else "")
    return Finding(code, text, place, "warning" if severity == "warning" else "error", line_of(element))
