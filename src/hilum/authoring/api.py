"""APIs: operations that programs and people call, declared by plain functions.

    orders = Api("erp")                            # Its owner, audience, limits and versions: apis/erp.toml

    @orders.list("/orders", resource="Order", attributes={"supplier": "supplier", "facility": "facility"})
    def list_orders(query: OrderQuery, where: Where, page: PageRequest) -> Page[PurchaseOrder]:
        return erp.orders(where, page)

    @orders.post("/orders/{number}/acknowledgements", resource="Order", about=about_order)
    def acknowledge(number: str, body: Acknowledgement, caller: Caller) -> Created[Acknowledged]: ...

A handler's parameters say what it takes, by name: those of the path (``str`` or ``int``), ``query`` and ``body`` (a
contract each), ``where`` (which records this caller may see), ``page``, ``caller``, ``etag`` (the state named by
``If-Match``; a handler that takes it compares it itself), ``key`` (a name for this request that is the same when it is
repeated with its ``Idempotency-Key``) and ``platform`` (``authoring.platform``: the platform's own store). A handler may
be ``async``; a plain function runs in a thread and may ask and command systems as a flow's step does. What it returns is
its answer: a contract (200), ``None`` (404), ``Page``, ``Created`` (201), ``Accepted`` (202). ``Problem`` refuses in the
caller's words; ``Rejected`` is a 422, ``Unavailable`` a 503.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel

T = TypeVar("T")
U = TypeVar("U")

LAYERS = ("system", "process", "experience")
SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class PageRequest:
    """Which part of a list is asked for: at most ``limit`` records after ``cursor`` (opaque, from the previous page)."""

    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list; ``next`` is the cursor of the following part, None on the last."""

    items: tuple[T, ...]
    next: str | None = None

    def each(self, told: Callable[[T], U]) -> Page[U]:
        """The same page with each item told in other words."""
        return Page(tuple(told(item) for item in self.items), self.next)


@dataclass(frozen=True)
class Created(Generic[T]):
    """Something was made: 201, its address (relative to the API's version) and itself."""

    body: T
    location: str


@dataclass(frozen=True)
class Accepted(Generic[T]):
    """Something durable was taken in and will be done: 202, and the address where its outcome can be asked."""

    body: T
    location: str = ""


@dataclass(frozen=True)
class Example:
    """One call as the documents show it; tests play it. No real person's data, of course."""

    title: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: BaseModel | None = None
    answer: BaseModel | None = None


class Problem(Exception):
    """A refusal in the caller's words (RFC 9457). ``kind`` is a short name such as ``closed-period``; no PHI in any of it."""

    def __init__(self, status: int, kind: str, detail: str, **members: Any) -> None:
        super().__init__(detail)
        if not 400 <= status < 600:
            raise ValueError(f"a problem has a status from 400 to 599, not {status}")
        self.status = status
        self.kind = kind
        self.detail = detail
        self.members = members


@dataclass(eq=False)
class Operation:
    """One operation of one version of an API."""

    api: Api
    function: Callable[..., Any]
    method: str
    path: str
    version: int
    action: str
    resource: str
    kind: str  # read, list or write
    attributes: Mapping[str, str]  # Attribute of the resource to the field path of the answer that holds it.
    about: Callable[..., Mapping[str, Any]] | None
    summary: str
    examples: tuple[Example, ...]
    stale_seconds: int  # How old a cached answer may be when the system behind does not answer; 0: none is given.
    etag: str | None  # Field of the answer whose value changes with every change; "" hashes the answer.
    raises: tuple[type[BaseModel], ...] = ()  # The events it takes in by ``platform.submit``: flows start from them.

    @property
    def id(self) -> str:
        """``erp.list_orders``: the operation as limits, logs and OpenAPI name it."""
        return f"{self.api.name}.{self.function.__name__}"

    @property
    def route(self) -> str:
        """``/erp/v1/orders/{number}``."""
        return f"/{self.api.name}/v{self.version}{self.path}"

    @property
    def safe(self) -> bool:
        """Whether it changes nothing, whatever its method: such a request needs no ``Idempotency-Key``."""
        return self.kind != "write"

    @property
    def hints(self) -> dict[str, Any]:
        return get_type_hints(self.function, include_extras=True)

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters

    @property
    def path_parameters(self) -> tuple[str, ...]:
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def body(self) -> type[BaseModel] | None:
        found: type[BaseModel] | None = self.hints.get("body")
        return found

    @property
    def query(self) -> type[BaseModel] | None:
        found: type[BaseModel] | None = self.hints.get("query")
        return found

    @property
    def answer(self) -> type[BaseModel] | None:
        """The shape of the answer's body, or of one item of a page; None for an empty answer."""
        returned = self.hints.get("return")
        candidates = [returned, *get_args(returned)]
        for candidate in candidates:
            inner = get_args(candidate) if get_origin(candidate) in (Page, Created, Accepted) else (candidate,)
            for shape in inner:
                if isinstance(shape, type) and issubclass(shape, BaseModel):
                    return shape
        return None

    @property
    def status(self) -> int:
        """The status of success."""
        returned = self.hints.get("return")
        for candidate in (returned, *get_args(returned)):
            origin = get_origin(candidate) or candidate
            if origin is Created:
                return 201
            if origin is Accepted:
                return 202
        return 200 if self.answer is not None else 204


@dataclass(eq=False)
class Api:
    """A set of operations under one name; everything but the operations stands in ``apis/<name>.toml``."""

    name: str
    operations: list[Operation] = field(default_factory=list)

    def get(self, path: str, **settings: Any) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Read one thing."""
        return self._operation("GET", path, "read", {"action": "read", **settings})

    def list(self, path: str, **settings: Any) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Read a list, page by page, of what the caller may see."""
        return self._operation("GET", path, "list", {"action": "list", **settings})

    def search(self, path: str, **settings: Any) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Read one thing by what must not stand in an address (PHI): a POST that changes nothing and needs no key."""
        return self._operation("POST", path, "read", {"action": "search", **settings})

    def post(self, path: str, **settings: Any) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Make something or start something; carries an ``Idempotency-Key``."""
        return self._operation("POST", path, "write", {"action": "create", **settings})

    def put(self, path: str, **settings: Any) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Replace something; carries ``If-Match`` where the answer has an ETag."""
        return self._operation("PUT", path, "write", {"action": "update", **settings})

    def patch(self, path: str, **settings: Any) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Change something (RFC 7396 merge patch)."""
        return self._operation("PATCH", path, "write", {"action": "update", **settings})

    def delete(self, path: str, **settings: Any) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Remove something."""
        return self._operation("DELETE", path, "write", {"action": "delete", **settings})

    def _operation(
        self, method: str, path: str, kind: str, settings: Mapping[str, Any]
    ) -> Callable[[Callable[..., T]], Callable[..., T]]:
        def declare(function: Callable[..., T]) -> Callable[..., T]:
            self.operations.append(_declared(self, function, method, path, kind, **settings))
            return function

        return declare


def _declared(
    api: Api,
    function: Callable[..., Any],
    method: str,
    path: str,
    kind: str,
    *,
    action: str,
    resource: str,
    version: int = 1,
    attributes: Mapping[str, str] = MappingProxyType({}),
    about: Callable[..., Mapping[str, Any]] | None = None,
    examples: tuple[Example | BaseModel, ...] = (),
    stale_seconds: int = 0,
    etag: str | None = None,
    raises: tuple[type[BaseModel], ...] = (),
) -> Operation:
    own = inspect.getdoc(function)
    return Operation(
        api, function, method, path, version, action, resource, kind, dict(attributes), about,
        " ".join(own.split()) if own is not None else "",
        tuple(e if isinstance(e, Example) else Example("", answer=e) for e in examples), stale_seconds, etag, raises,
    )  # fmt: skip
