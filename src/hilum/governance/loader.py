"""Reading an estate's folder: TOML becomes specs, Python files are imported without touching ``sys.path``.

Nothing registers itself anywhere. What an estate declares is what stands in the namespaces of its
``integrations/*.py``, the shipped processes they import included. Every problem is collected, so that
an author corrects a broken estate in one go.
"""

from __future__ import annotations

import linecache
import re
import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from hilum.authoring import Api, Collection, Contract, Feed, Flow, Mapping, Schedule
from hilum.authoring.estate import CrosswalkSpec, Estate, SystemSpec
from hilum.authoring.estate_door import ApiSpec
from hilum.authoring.estate_evidence import EvidenceSpec, RetentionSpec
from hilum.authoring.estate_identity import IdentitySpec, ServiceSpec
from hilum.authoring.estate_master import MasterSpec
from hilum.authoring.estate_policy import BreakGlassSpec, TerminalSpec
from hilum.authoring.estate_protection import ProtectionSpec
from hilum.authoring.estate_transfer import SftpServerSpec
from hilum.authoring.estate_transport import DOORS, HttpDoor, Residency, ServerTls
from hilum.governance.modules import import_integrations
from hilum.governance.places import Places
from hilum.governance.problems import EstateProblem, EstateRefused
from hilum.security.policies import Policies, PoliciesRefused

ESTATE_FILE = "estate.toml"
ClassName = Annotated[str, Field(pattern=r"^(phi|pii|financial|confidential)$")]
DoorName = Annotated[str, Field(pattern=rf"^({'|'.join(DOORS)})$")]
Named = TypeVar("Named", SystemSpec, ApiSpec, ServiceSpec)


@dataclass
class Loaded:
    """An estate as far as it could be read, with what was wrong and where things stand."""

    estate: Estate
    places: Places
    problems: list[EstateProblem] = field(default_factory=list)
    modules: list[ModuleType] = field(default_factory=list)
    header_read: bool = False  # Without it every other rule would only repeat that estate.toml is broken.
    unread_systems: set[str] = field(default_factory=set)  # Their files are there and have been refused already.

    def has_system(self, name: str) -> bool:
        """Whether the estate describes a system, legibly or not."""
        return name in self.estate.systems or name in self.unread_systems


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: str = ""
    time_zone: str = "UTC"
    flows_version: str = Field(default="1", min_length=1)
    retention_days: int = Field(default=90, ge=1)


class _Facility(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    residency: dict[ClassName, tuple[str, ...]] = Field(default_factory=dict)


class _Folders(BaseModel):
    model_config = ConfigDict(extra="forbid")

    roots: tuple[str, ...] = ()


class _Queue(BaseModel):
    model_config = ConfigDict(extra="forbid")

    owner: str = ""


class _EstateFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    estate: _Header
    facilities: dict[str, _Facility] = Field(default_factory=dict)
    owners: dict[str, str] = Field(default_factory=dict)
    queues: dict[str, _Queue] = Field(default_factory=dict)
    crosswalks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    master: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tls: ServerTls | None = None  # Of every HTTP door that has none of its own.
    doors: dict[DoorName, HttpDoor] = Field(default_factory=dict)
    residency: dict[ClassName, tuple[str, ...]] = Field(default_factory=dict)
    folders: _Folders = Field(default_factory=_Folders)
    sftp_server: SftpServerSpec = SftpServerSpec()
    identity: IdentitySpec = IdentitySpec()
    evidence: EvidenceSpec = EvidenceSpec()
    retention: RetentionSpec | None = None
    protection: ProtectionSpec = ProtectionSpec()
    terminal: TerminalSpec = TerminalSpec()
    break_glass: BreakGlassSpec = BreakGlassSpec()
    same_person: dict[str, tuple[str, ...]] = Field(default_factory=dict)


def load_estate(root: Path) -> Estate:
    """The estate at ``root``, ready to run; ``EstateRefused`` with every problem of reading it.

    This says that the estate can be read, not that it is governed: that is ``check_estate``.
    """
    loaded = read_estate(root)
    if loaded.problems:
        raise EstateRefused(loaded.problems)
    return loaded.estate


def read_estate(root: Path) -> Loaded:
    """As much of the estate as can be read, with the problems met on the way."""
    root = root.resolve()
    loaded = Loaded(Estate(root=root, name=root.name), Places(root))
    linecache.checkcache()  # The places of classes are read from source, which may have changed since the last load.
    _read_header(loaded)
    _read_systems(loaded)
    _read_apis(loaded)
    _read_services(loaded)
    _read_policies(loaded)
    _read_integrations(loaded)
    return loaded


def _read_header(loaded: Loaded) -> None:
    estate, places = loaded.estate, loaded.places
    document = _toml(loaded, ESTATE_FILE)
    if document is None:
        return
    try:
        header = _EstateFile.model_validate(document)
    except ValidationError as error:
        _refuse(loaded, ESTATE_FILE, _EstateFile, error)
        return
    loaded.header_read = True
    estate.name, estate.title = header.estate.name, header.estate.title
    estate.time_zone, estate.flows_version = header.estate.time_zone, header.estate.flows_version
    estate.retention_days = header.estate.retention_days
    estate.identity = header.identity
    estate.sftp_server = header.sftp_server
    estate.evidence = header.evidence
    if header.retention is not None:
        estate.retention, estate.retention_days = header.retention, header.retention.messages
    estate.protection = header.protection
    estate.terminal, estate.break_glass = header.terminal, header.break_glass
    estate.same_person = header.same_person
    estate.facilities = {code: facility.name for code, facility in header.facilities.items()}
    estate.owners = header.owners
    estate.queues = {name: queue.owner for name, queue in header.queues.items()}
    estate.folder_roots = header.folders.roots
    estate.residency = Residency(
        header.residency, {c: f.residency for c, f in header.facilities.items() if f.residency}
    )
    stated: dict[str, HttpDoor] = (
        {**header.doors} if header.tls is None else {**dict.fromkeys(DOORS, HttpDoor()), **header.doors}
    )
    estate.doors = {n: d if d.tls is not None else d.model_copy(update={"tls": header.tls}) for n, d in stated.items()}
    declared = dict(estate.declared_at)
    for name in estate.queues:
        declared[f"queue:{name}"] = places.toml(ESTATE_FILE, "queues", name)
    for name, settings in header.crosswalks.items():
        declared[f"crosswalk:{name}"] = places.toml(ESTATE_FILE, "crosswalks", name)
        try:
            estate.crosswalks[name] = CrosswalkSpec.model_validate({**settings, "name": name})
        except ValidationError as error:
            _refuse(loaded, ESTATE_FILE, CrosswalkSpec, error, prefix=("crosswalks", name))
    for name, settings in header.master.items():
        declared[f"master:{name}"] = places.toml(ESTATE_FILE, "master", name)
        try:
            estate.master[name] = MasterSpec.model_validate({**settings, "name": name})
        except ValidationError as error:
            _refuse(loaded, ESTATE_FILE, MasterSpec, error, prefix=("master", name))
    estate.declared_at = declared


def _read_systems(loaded: Loaded) -> None:
    systems = _read_folder(loaded, "system", SystemSpec, loaded.unread_systems)
    loaded.estate.systems.update(systems)


def _read_apis(loaded: Loaded) -> None:
    loaded.estate.api_specs.update(_read_folder(loaded, "api", ApiSpec, set()))


def _read_services(loaded: Loaded) -> None:
    loaded.estate.services.update(_read_folder(loaded, "service", ServiceSpec, set()))


def _read_policies(loaded: Loaded) -> None:
    """The Cedar files of ``policies/``. That they cannot be used is found here, so that no door ever runs without them."""
    estate = loaded.estate
    for path in sorted((estate.root / "policies").glob("*.cedar*")):
        file = path.relative_to(estate.root).as_posix()
        try:
            estate.policies[file] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            loaded.problems.append(EstateProblem(file, "The file is not UTF-8.", "Save it as UTF-8."))
    try:
        Policies(estate.policies)
    except PoliciesRefused as refused:
        loaded.problems.extend(EstateProblem(p.where, p.what, p.do) for p in refused.problems)


def _read_folder(loaded: Loaded, kind: str, shape: type[Named], unread: set[str]) -> dict[str, Named]:
    """One spec for each file of ``<kind>s/``, named like the file; those that cannot be read go into ``unread``."""
    declared = dict(loaded.estate.declared_at)
    found: dict[str, Named] = {}
    for path in sorted((loaded.estate.root / f"{kind}s").glob("*.toml")):
        file = path.relative_to(loaded.estate.root).as_posix()
        document = _toml(loaded, file)
        if document is None:
            unread.add(path.stem)
            continue
        if "name" in document:
            article = "An" if kind[0] in "aeiou" else "A"
            loaded.problems.append(
                EstateProblem(
                    loaded.places.toml(file, "name"),
                    f"{article} {kind}'s name is its file's name.",
                    f"Remove `name`; rename the file when the {kind} is not called {path.stem!r}.",
                )
            )
        try:
            found[path.stem] = shape.model_validate({**document, "name": path.stem})
            declared[f"{kind}:{path.stem}"] = file
        except ValidationError as error:
            unread.add(path.stem)
            _refuse(loaded, file, shape, error)
    loaded.estate.declared_at = declared
    return found


def _read_integrations(loaded: Loaded) -> None:
    estate = loaded.estate
    loaded.modules, problems = import_integrations(estate.root)
    loaded.problems.extend(problems)
    declared = dict(estate.declared_at)
    seen: dict[str, object] = {}

    def declare(kind: str, name: str, thing: object, place: str) -> bool:
        """Whether this is new; two different things of one name are refused, one thing met twice is not."""
        key = f"{kind}:{name}"
        if key not in seen:
            seen[key] = thing
            declared[key] = place
            return True
        if seen[key] is not thing:
            loaded.problems.append(
                EstateProblem(
                    place,
                    f"There are two {kind}s called {name}; the other is at {declared[key]}.",
                    f"Rename one: a {kind} is found by its name.",
                )
            )
        return False

    def contract(cls: type[Contract]) -> None:
        if declare("contract", cls.type_name(), cls, loaded.places.cls(cls)):
            estate.contracts[cls.type_name()] = cls

    for module in loaded.modules:
        for name, thing in list(vars(module).items()):
            match thing:
                case Mapping():
                    if declare("mapping", thing.name, thing, loaded.places.function(thing.function)):
                        estate.mappings.append(thing)
                        for event in thing.events:
                            contract(event)
                case Flow():
                    if declare("flow", thing.name, thing, loaded.places.function(thing.function)):
                        estate.flows[thing.name] = thing
                        contract(thing.on)
                case Feed():
                    if declare("feed", thing.name, thing, loaded.places.function(thing.function)):
                        estate.feeds[thing.name] = thing
                        for event in thing.on:
                            contract(event)
                case Collection():
                    if declare("collection", thing.name, thing, loaded.places.function(thing.function)):
                        estate.collections[thing.name] = thing
                        for event in thing.on:
                            contract(event)
                case Schedule():
                    if declare("schedule", thing.name, thing, loaded.places.function(thing.function)):
                        estate.schedules[thing.name] = thing
                        for event in thing.events:
                            contract(event)
                case Api():
                    if declare("operations of api", thing.name, thing, loaded.places.variable(vars(module), name)):
                        estate.apis[thing.name] = thing
                        for operation in thing.operations:
                            for shape in (operation.body, operation.query, operation.answer, *operation.raises):
                                if shape is not None and issubclass(shape, Contract):
                                    contract(shape)
                case type() if issubclass(thing, Contract) and thing is not Contract:
                    contract(thing)
    estate.declared_at = declared


def _toml(loaded: Loaded, file: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads((loaded.estate.root / file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        what, do, where = "The file is missing.", "Create it; an estate begins with it.", file
    except UnicodeDecodeError:
        what, do, where = "The file is not UTF-8.", "Save it as UTF-8.", file
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{file}:{line[1]}" if line is not None else file
        what, do = f"This is not TOML: {error}.", "Correct the line."
    loaded.problems.append(EstateProblem(where, what, do))
    return None


def _refuse(
    loaded: Loaded, file: str, shape: type[BaseModel], error: ValidationError, prefix: tuple[str, ...] = ()
) -> None:
    """One problem for each finding. Values are never shown: one of them may be a secret in the wrong place."""
    for finding in error.errors(include_input=False, include_url=False, include_context=False):
        path = tuple(str(part) for part in finding["loc"])
        where = loaded.places.toml(file, *prefix, *path)
        setting = ".".join([*prefix, *path])
        loaded.problems.append(EstateProblem(where, *_explain(setting, path, shape, finding)))


def _explain(setting: str, path: tuple[str, ...], shape: type[BaseModel], finding: ErrorDetails) -> tuple[str, str]:
    if finding["type"] == "extra_forbidden":
        known = _settings(shape, path[:-1])
        close = get_close_matches(path[-1], known, n=1)
        hint = f"Did you mean `{close[0]}`?" if close else f"Known here: {', '.join(known)}."
        return f"`{setting}` is not a setting.", f"Remove it or correct its spelling. {hint}"
    if finding["type"] == "missing":
        return f"`{setting}` is missing.", "Add it."
    return f"`{setting}` cannot be used: {finding['msg']}.", "Correct the value."


def _settings(shape: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    """The names that may be set at a path of nested tables."""
    for part in path:
        field_ = shape.model_fields.get(part)
        candidates = [] if field_ is None else [field_.annotation, *getattr(field_.annotation, "__args__", ())]
        inner = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if inner:
            shape = inner[0]
        elif field_ is not None:
            return []
    return [f.alias if f.alias is not None else name for name, f in shape.model_fields.items() if name != "name"]
