"""The documents as they are served: pages that load nothing from outside and say nothing of what is not published."""

import asyncio
import re
from html.parser import HTMLParser

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from tests.governance.api_estate import api_estate

from hilum.gateway.documents import DOCUMENT, document_routes
from hilum.governance.api_problems import PROBLEM_TYPES

asked = []


async def admit(request, resource):
    asked.append(resource)
    if request.headers.get("x-who") == "stranger":
        raise HTTPException(403)


@pytest.fixture(scope="module")
def get():
    app = Starlette(routes=document_routes(api_estate(), admit))

    def fetch(path, **headers):
        async def ask():
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://door") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(ask())

    return fetch


PAGES = ["/docs", "/docs/erp/v1", "/docs/erp/v2", "/docs/events", "/docs/problems", "/problems/forbidden"]
DOCUMENTS = ["/openapi.json", "/asyncapi.json", "/erp/v1/openapi.json"]


@pytest.mark.parametrize("path", PAGES + DOCUMENTS)
def test_every_document_asks_a_policy(get, path):
    asked.clear()
    assert get(path).status_code == 200
    assert [resource.type for resource in asked] == [DOCUMENT]
    assert get(path, **{"x-who": "stranger"}).status_code == 403


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_from_outside_and_runs_no_script(get, path):
    class Links(HTMLParser):
        loaded: list[str] = []
        scripts = 0

        def handle_starttag(self, tag, attrs):
            given = dict(attrs)
            self.scripts += tag == "script" or any(name.startswith("on") for name in given)
            self.loaded += [given[name] for name in ("src", "href", "action") if name in given]

    page = get(path)
    links = Links()
    links.loaded = []
    links.feed(page.text)
    assert links.loaded and links.scripts == 0
    assert all(re.match(r"[/#](?!/)", link) for link in links.loaded)
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_every_link_of_every_page_leads_somewhere(get):
    for path in PAGES:
        page = get(path).text
        for link in set(re.findall(r'href="(/[^"#]*)"', page)):
            assert get(link).status_code == 200, f"{path} links to {link}"
        for anchor in re.findall(r'href="#([^"]+)"', page):
            assert f'id="{anchor}"' in page


def test_what_is_not_published_is_not_told(get):
    for path in ("/docs/erp/v3", "/erp/v3/openapi.json", "/docs/billing/v1"):
        assert get(path).status_code == 404
    for path in PAGES + DOCUMENTS:
        assert "drafts" not in get(path).text


def test_a_deprecated_version_leads_to_its_successor(get):
    assert 'href="/docs/erp/v2"' in get("/docs/erp/v1").text
    assert "retired on 2027-06-01" in get("/docs/erp/v1").text


def test_every_problem_the_door_answers_with_is_explained(get):
    page = get("/docs/problems").text
    for problem in PROBLEM_TYPES.values():
        assert problem.uri in page
        assert get(problem.uri).status_code == 200
    assert get("/problems/unheard-of").status_code == 404


def test_fields_show_their_data_class(get):
    page = get("/docs/erp/v1").text
    assert re.search(r"<code>account\.value</code>|<code>account</code>.*?phi", page, re.S)
