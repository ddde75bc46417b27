"""The XHTML of a narrative (R4 chapter 2.3.4): what txt-1 and txt-2 allow in it."""

from __future__ import annotations

from lxml import etree

XHTML = "{http://www.w3.org/1999/xhtml}"

ELEMENTS = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "big",
        "blockquote",
        "br",
        "caption",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "dfn",
        "div",
        "dl",
        "dt",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "li",
        "ol",
        "p",
        "pre",
        "q",
        "samp",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "tt",
        "ul",
        "var",
    ]
)
ATTRIBUTES = frozenset(
    [
        "abbr",
        "accesskey",
        "align",
        "alt",
        "axis",
        "bgcolor",
        "border",
        "cellhalign",
        "cellpadding",
        "cellspacing",
        "cellvalign",
        "char",
        "charoff",
        "charset",
        "cite",
        "class",
        "colspan",
        "compact",
        "coords",
        "dir",
        "frame",
        "headers",
        "height",
        "href",
        "hreflang",
        "hspace",
        "id",
        "lang",
        "longdesc",
        "name",
        "nowrap",
        "rel",
        "rev",
        "rowspan",
        "rules",
        "scope",
        "shape",
        "span",
        "src",
        "start",
        "style",
        "summary",
        "tabindex",
        "title",
        "type",
        "valign",
        "value",
        "vspace",
        "width",
    ]
)
_XML_ATTRIBUTES = frozenset(
    {"{http://www.w3.org/XML/1998/namespace}lang", "{http://www.w3.org/XML/1998/namespace}space"}
)


def narrative_faults(markup: str) -> list[tuple[str, str]]:
    """(invariant key, text) of everything wrong with a narrative's div; nothing of its content is told."""
    if "<!DOCTYPE" in markup or "<!ENTITY" in markup:
        return [("txt-1", "the narrative has a document type declaration")]
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(markup.encode("utf-8"), parser)
    except (etree.XMLSyntaxError, UnicodeEncodeError, ValueError):
        return [("txt-1", "the narrative is no well-formed XHTML")]
    if root.tag != XHTML + "div":
        return [("txt-1", "the narrative is no div of the XHTML namespace")]
    faults: list[tuple[str, str]] = []
    visible = False
    for node in root.iter():
        if node.tag is etree.Entity:
            faults.append(("txt-1", "the narrative has a named entity; only XML's own five are known"))
            continue
        if not isinstance(node.tag, str):
            continue
        name = node.tag.removeprefix(XHTML)
        if name not in ELEMENTS:
            faults.append(("txt-1", "the narrative has an element beyond basic formatting"))
        if any(attribute not in ATTRIBUTES and attribute not in _XML_ATTRIBUTES for attribute in node.attrib):
            faults.append(("txt-1", "the narrative has an attribute beyond basic formatting"))
        href = node.get("href") or node.get("src")
        if href is not None and href.strip().lower().startswith("javascript:"):
            faults.append(("txt-1", "the narrative has a script in a link"))
        visible = visible or name == "img" or bool(node.text and node.text.strip())
        visible = visible or (node is not root and bool(node.tail and node.tail.strip()))
    if not visible:
        faults.append(("txt-2", "the narrative has no content"))
    return list(dict.fromkeys(faults))
