"""The estate as the platform reads it: what a customer's folder declares, after loading and before running."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from hilum.authoring.api import Api, Operation
from hilum.authoring.collecting import Collection
from hilum.authoring.contract import Contract
from hilum.authoring.estate_door import ApiSpec
from hilum.authoring.estate_evidence import EvidenceSpec, RetentionSpec
from hilum.authoring.estate_identity import IdentitySpec, ServiceSpec
from hilum.authoring.estate_master import MasterSpec
from hilum.authoring.estate_policy import BreakGlassSpec, TerminalSpec
from hilum.authoring.estate_protection import ProtectionSpec
from hilum.authoring.estate_transfer import Answers, Expect, SftpAccount, SftpListen, SftpServerSpec
from hilum.authoring.estate_transport import EgressSpec, FolderListen, HttpDoor, Residency, ServerTls
from hilum.authoring.flow import TABLE, Feed, Flow, Mapping
from hilum.authoring.schedules import Schedule


class MllpListen(BaseModel):
    """Where a system's HL7 v2 messages are taken in."""

    model_config = ConfigDict(extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    max_frame_bytes: int = Field(default=1_048_576, gt=0)
    idle_timeout_seconds: float = Field(default=300, gt=0)
    frame_timeout_seconds: float = Field(default=30, gt=0)
    max_connections: int = Field(default=200, gt=0)
    versions: tuple[str, ...] = ()
    tls: ServerTls | None = None
    insecure: str = Field(default="", description="Why other machines may reach this port without TLS.")


class WebhookListen(BaseModel):
    """Where a system's signed webhooks are taken in (Standard Webhooks headers)."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(pattern=r"^/[a-z0-9/_-]+$")
    secret: str = Field(description="A reference: file:PATH, env:NAME or vault:PATH#FIELD.")
    previous_secret: str | None = Field(default=None, description="Taken too while the sender changes its secret.")
    type_field: str = "type"
    x12: bool = Field(default=False, description="Whether X12 interchanges (application/edi-x12) are taken too.")
    max_body_bytes: int = Field(default=1_048_576, gt=0)


class Listen(BaseModel):
    """The doors by which a system's messages arrive."""

    model_config = ConfigDict(extra="forbid")

    mllp: MllpListen | None = None
    webhook: WebhookListen | None = None
    folder: FolderListen | None = None
    sftp: SftpListen | None = None
    sftp_account: SftpAccount | None = None

    @property
    def files(self) -> FolderListen | SftpListen | SftpAccount | None:
        """A door by which files come; None when there is none."""
        return next((door for door in (self.folder, self.sftp, self.sftp_account) if door is not None), None)


class Policy(BaseModel):
    """How a system is spoken to when it is slow, busy or away."""

    model_config = ConfigDict(extra="forbid")

    timeout_seconds: float = Field(default=10, gt=0)
    attempts: int = Field(default=4, ge=1)
    backoff_seconds: float = Field(default=0.2, gt=0)
    backoff_max_seconds: float = Field(default=5, gt=0)
    rate_per_second: float = Field(default=100, gt=0)
    concurrency: int = Field(default=8, ge=1)
    breaker_failures: int = Field(default=5, ge=1)
    breaker_open_seconds: float = Field(default=10, gt=0)
    dead_after_hours: float = Field(default=72, gt=0, description="Then a delivery is dead and a person resumes it.")


class ContractTestSpec(BaseModel):
    """How often what is recorded of a system in ``descriptions/`` is compared with what it looks like now."""

    model_config = ConfigDict(extra="forbid")

    every_hours: float = Field(default=24, gt=0)


class SandboxSpec(BaseModel):
    """Where a system is looked at instead: settings that replace those of ``[connect]``, or its published OpenAPI 3 document."""

    model_config = ConfigDict(extra="forbid")

    connect: dict[str, Any] = Field(default_factory=dict)
    openapi: str = Field(default="", pattern=r"^(https?://.+)?$")
    relies_on: tuple[str, ...] = Field(
        default=(), description="`GET /patients/{id}`; without any, all operations count."
    )


class SystemSpec(BaseModel):
    """One file of ``systems/``."""

    model_config = ConfigDict(extra="forbid")

    name: str
    title: str = ""
    owner: str = ""
    criticality: str = ""
    authoritative_for: tuple[str, ...] = ()
    facilities: tuple[str, ...] = ()
    disposition: str = "retain"
    region: str = ""
    connect: dict[str, Any] = Field(
        default_factory=dict, description="`connector` names the kind; the rest is its own."
    )
    egress: EgressSpec = Field(default_factory=EgressSpec)
    policy: Policy = Field(default_factory=Policy)
    listen: Listen = Field(default_factory=Listen)
    answers: Answers = Field(default_factory=Answers)
    expect: tuple[Expect, ...] = ()
    contract_test: ContractTestSpec | None = None
    sandbox: SandboxSpec | None = None


class CrosswalkSpec(BaseModel):
    """A translation of one system's codes into another's: its table, its owner and where its targets are listed."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: str
    file: str
    source: str = Field(alias="from")
    target: str = Field(alias="to")
    owner: str = ""
    targets: str = Field(default="", description="`tables/items.csv:item`: every target code must stand there.")
    codes: str = Field(default="", description="The master records that its codes are: `department`.")
    means: str = Field(default="", description="The master records that its targets are, or `facility`.")
    complete: bool = Field(default=False, description="Every code in use needs an entry.")
    one_to_one: bool = Field(default=False, description="No two codes of one place lead to one target.")
    same_names: bool = Field(default=False, description="Both systems call the thing by the same name.")
    waits: tuple[str, ...] = Field(default=(), description="The rejections of what waits for an entry: `UnknownPayer`.")
    waits_named: bool = Field(default=False, description="Whether the detail of such a rejection is the code's name.")
    exact_matches: bool = Field(default=False, description="A proposal that is certain is accepted without a person.")
    two_people: bool = Field(default=False, description="A proposal counts when a second person has accepted it too.")


@dataclass
class Estate:
    """Everything an estate declares. Objects keep the place they were declared at, for messages."""

    root: Path
    name: str
    title: str = ""
    time_zone: str = "UTC"
    flows_version: str = "1"
    retention_days: int = 90
    systems: dict[str, SystemSpec] = field(default_factory=dict)
    facilities: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    queues: dict[str, str] = field(default_factory=dict)  # Queue to its owner.
    crosswalks: dict[str, CrosswalkSpec] = field(default_factory=dict)
    master: dict[str, MasterSpec] = field(default_factory=dict)  # Kinds of master records, by name.
    contracts: dict[str, type[Contract]] = field(default_factory=dict)
    mappings: list[Mapping[Any]] = field(default_factory=list)
    flows: dict[str, Flow] = field(default_factory=dict)
    feeds: dict[str, Feed] = field(default_factory=dict)
    collections: dict[str, Collection] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    apis: dict[str, Api] = field(default_factory=dict)  # As declared in integrations/, by name.
    api_specs: dict[str, ApiSpec] = field(default_factory=dict)  # As governed in apis/, by name.
    doors: dict[str, HttpDoor] = field(default_factory=dict)  # webhook, tower, gateway; those not named are local.
    residency: Residency = field(default_factory=Residency)
    sftp_server: SftpServerSpec = field(default_factory=SftpServerSpec)  # For partners who push.
    folder_roots: tuple[str, ...] = ()  # Where watched folders may be, besides inside the platform's data.
    identity: IdentitySpec = field(default_factory=IdentitySpec)
    protection: ProtectionSpec = field(default_factory=ProtectionSpec)
    evidence: EvidenceSpec = field(default_factory=EvidenceSpec)
    retention: RetentionSpec | None = None  # None: ``retention_days`` for messages, the defaults for the rest.
    services: dict[str, ServiceSpec] = field(default_factory=dict)  # Programs that call, by name.
    policies: dict[str, str] = field(default_factory=dict)  # Cedar policies and their schema: file name to text.
    terminal: TerminalSpec = field(default_factory=TerminalSpec)
    break_glass: BreakGlassSpec = field(default_factory=BreakGlassSpec)
    same_person: dict[str, tuple[str, ...]] = field(default_factory=dict)  # A person's login to their other names.
    declared_at: MappingType[str, str] = field(default_factory=dict)  # "flow:implant_usage" to "file:line".

    def door(self, name: str) -> HttpDoor:
        """Where an HTTP door listens; on loopback when the estate does not say."""
        return self.doors.get(name, HttpDoor())

    def keeps(self) -> RetentionSpec:
        """How long what is kept."""
        if self.retention is not None:
            return self.retention
        standard = RetentionSpec()
        found = max(self.retention_days, standard.search_keys)
        return RetentionSpec(messages=self.retention_days, search_keys=found)

    def operations(self) -> list[Operation]:
        """Every declared operation of every API, published or not."""
        return [operation for api in self.apis.values() for operation in api.operations]

    def takes_tables(self, system: str) -> bool:
        """Whether a mapping reads delimited text of this system."""
        return any(each.source.name == system and each.message == TABLE for each in self.mappings)

    def flows_on(self, event_type: str) -> list[Flow]:
        return [flow for flow in self.flows.values() if flow.on.type_name() == event_type]

    def feeds_on(self, event_type: str) -> list[Feed]:
        return [feed for feed in self.feeds.values() if any(c.type_name() == event_type for c in feed.on)]
