"""Rules of R4 between the elements of one type, by their keys in the specification.

R4 states them in FHIRPath; the ones here are written out by hand. ``unevaluated`` names the rest. Rules that need the whole
resource or Bundle (ref-1, dom-*, bdl-*) stand with the walk in ``validation`` and ``bundles``, txt-* in ``narrative``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hilum.formats.fhir.periods import starts_before_end
from hilum.formats.fhir.tables import invariant_keys

Json = dict[str, Any]
UCUM = "http://unitsofmeasure.org"


@dataclass(frozen=True, slots=True)
class Invariant:
    """``holds`` is asked with the JSON object of the type the rule is listed under; it must bear any JSON there."""

    key: str
    text: str
    holds: Callable[[Json], bool]


def has(value: Json, name: str) -> bool:
    """FHIRPath ``name.exists()``; a choice is asked with its base name and ``[x]``."""
    if name.endswith("[x]"):
        base = name[:-3]
        return any(
            key.lstrip("_").startswith(base) and key.lstrip("_")[len(base) : len(base) + 1].isupper() for key in value
        )
    return name in value or "_" + name in value


def any_of(*names: str) -> Callable[[Json], bool]:
    return lambda value: any(has(value, name) for name in names)


def one_of(*names: str) -> Callable[[Json], bool]:
    return lambda value: sum(has(value, name) for name in names) == 1


def not_both(first: str, second: str) -> Callable[[Json], bool]:
    return lambda value: not (has(value, first) and has(value, second))


def together(first: str, second: str) -> Callable[[Json], bool]:
    return lambda value: has(value, first) == has(value, second)


def needs(name: str, other: str) -> Callable[[Json], bool]:
    """Where the one is, the other must be."""
    return lambda value: not has(value, name) or has(value, other)


def coded(value: Any, *codes: str) -> bool:
    """Whether a CodeableConcept has one of these codes."""
    codings = value.get("coding") if isinstance(value, dict) else None
    return isinstance(codings, list) and any(isinstance(one, dict) and one.get("code") in codes for one in codings)


def listed(value: Json, name: str) -> list[Json]:
    """The objects in a list, whatever else stands there."""
    parts = value.get(name)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def number(value: Any) -> Any:
    """A JSON number, or None."""
    return value if type(value) is int or (type(value) is Decimal and value.is_finite()) else None


def at_least_zero(name: str) -> Callable[[Json], bool]:
    return lambda value: (told := number(value.get(name))) is None or told >= 0


def _low_below_high(value: Json) -> bool:
    low, high = value.get("low"), value.get("high")
    if not isinstance(low, dict) or not isinstance(high, dict) or low.get("code") != high.get("code"):
        return True  # Quantities of different units do not compare (FHIRPath: empty).
    small, large = number(low.get("value")), number(high.get("value"))
    return small is None or large is None or small <= large


def _ucum_coded(value: Json) -> bool:
    return not (has(value, "value") and not has(value, "code")) and value.get("system", UCUM) == UCUM


def _entered_in_error(value: Json) -> bool:
    return coded(value.get("verificationStatus"), "entered-in-error")


def _no_home(name: str) -> Callable[[Json], bool]:
    return lambda value: all(part.get("use") != "home" for part in listed(value, name))


def _parameter(value: Json) -> bool:
    kinds = [has(value, "value[x]"), has(value, "resource"), has(value, "part")]
    return sum(kinds) == 1


def _offset(value: Json) -> bool:
    when = value.get("when")
    return "offset" not in value or (
        isinstance(when, list) and not {"C", "CM", "CD", "CV"} & {w for w in when if isinstance(w, str)}
    )


def _probability(value: Json) -> bool:
    told = number(value.get("probabilityDecimal"))
    return told is None or told <= 100


def _no_component_code(value: Json) -> bool:
    if not has(value, "value[x]"):
        return True
    own = {(c.get("system"), c.get("code")) for c in _codings(value.get("code"))}
    return not any(
        (c.get("system"), c.get("code")) in own
        for part in listed(value, "component")
        for c in _codings(part.get("code"))
    )


def _codings(value: Any) -> list[Json]:
    found = listed(value, "coding") if isinstance(value, dict) else []
    return [c for c in found if isinstance(c.get("system", ""), str) and isinstance(c.get("code", ""), str)]


_QUANTITY = (
    Invariant("qty-3", "a code for the unit needs the system it is from", needs("code", "system")),
)  # fmt: skip
_OR_REQUEST = ("proposed", "cancelled", "waitlist")

INVARIANTS: dict[str, tuple[Invariant, ...]] = {
    # --- datatypes ---
    "Age": (*_QUANTITY, Invariant("age-1", "an age has a UCUM code of time and is above zero", lambda v: _ucum_coded(v) and ((n := number(v.get("value"))) is None or n > 0))),
    "Attachment": (Invariant("att-1", "data needs a contentType", needs("data", "contentType")),),
    "ContactPoint": (Invariant("cpt-2", "a value needs a system", needs("value", "system")),),
    "Count": (*_QUANTITY, Invariant("cnt-3", "a count is a whole number of the UCUM unit 1", lambda v: _ucum_coded(v) and v.get("code", "1") == "1" and ((n := number(v.get("value"))) is None or n == int(n)))),
    "DataRequirement.codeFilter": (Invariant("drq-1", "a path or a searchParam, not both", one_of("path", "searchParam")),),
    "DataRequirement.dateFilter": (Invariant("drq-2", "a path or a searchParam, not both", one_of("path", "searchParam")),),
    "Distance": (*_QUANTITY, Invariant("dis-1", "a distance has a UCUM code of length", _ucum_coded)),
    "Duration": (*_QUANTITY, Invariant("drt-1", "a code needs the system UCUM and a value", lambda v: not has(v, "code") or (v.get("system") == UCUM and has(v, "value")))),
    "Expression": (Invariant("exp-1", "an expression or a reference must be given", any_of("expression", "reference")),),
    "Extension": (Invariant("ext-1", "an extension has either extensions or a value, not both and not neither", one_of("extension", "value[x]")),),
    "Period": (Invariant("per-1", "the start is not after the end", lambda v: starts_before_end(v.get("start"), v.get("end"))),),
    "Quantity": _QUANTITY,
    "Range": (Invariant("rng-2", "low is not above high", _low_below_high),),
    "Ratio": (Invariant("rat-1", "numerator and denominator are both there, or neither and an extension", lambda v: has(v, "numerator") == has(v, "denominator") and (has(v, "numerator") or has(v, "extension"))),),
    "Timing.repeat": (
        Invariant("tim-1", "a duration needs its unit", needs("duration", "durationUnit")),
        Invariant("tim-2", "a period needs its unit", needs("period", "periodUnit")),
        Invariant("tim-4", "a duration is not negative", at_least_zero("duration")),
        Invariant("tim-5", "a period is not negative", at_least_zero("period")),
        Invariant("tim-6", "a periodMax needs a period", needs("periodMax", "period")),
        Invariant("tim-7", "a durationMax needs a duration", needs("durationMax", "duration")),
        Invariant("tim-8", "a countMax needs a count", needs("countMax", "count")),
        Invariant("tim-9", "an offset needs a when, and not C, CM, CD or CV", _offset),
        Invariant("tim-10", "a timeOfDay and a when exclude each other", not_both("timeOfDay", "when")),
    ),
    "TriggerDefinition": (
        Invariant("trd-1", "timing and data exclude each other", not_both("data", "timing[x]")),
        Invariant("trd-2", "a condition needs data", needs("condition", "data")),
    ),
    # --- administration, money, supply ---
    "Appointment": (
        Invariant("app-2", "start and end are given together", together("start", "end")),
        Invariant("app-3", "only proposed, cancelled or waitlisted appointments go without start and end", lambda v: (has(v, "start") and has(v, "end")) or v.get("status") in _OR_REQUEST),
        Invariant("app-4", "only a cancelled or missed appointment has a cancelationReason", lambda v: not has(v, "cancelationReason") or v.get("status") in ("noshow", "cancelled")),
    ),
    "Appointment.participant": (Invariant("app-1", "a participant has a type or an actor", any_of("type", "actor")),),
    "AppointmentResponse": (Invariant("apr-1", "a participantType or an actor must be given", any_of("participantType", "actor")),),
    "AuditEvent.entity": (Invariant("sev-1", "a name and a query exclude each other", not_both("name", "query")),),
    "CoverageEligibilityResponse.insurance.item": (Invariant("ces-1", "a category or a productOrService, not both", one_of("category", "productOrService")),),
    "InsurancePlan": (Invariant("ipn-1", "a plan has a name or an identifier", any_of("identifier", "name")),),
    "Organization": (
        Invariant("org-1", "an organization has a name or an identifier", any_of("identifier", "name")),
        Invariant("org-2", "no address of an organization is of use home", _no_home("address")),
        Invariant("org-3", "no telecom of an organization is of use home", _no_home("telecom")),
    ),
    "Parameters.parameter": (Invariant("inv-1", "a parameter has one of value, resource and part", _parameter),),
    "Patient.contact": (Invariant("pat-1", "a contact has a name, a telecom, an address or an organization", any_of("name", "telecom", "address", "organization")),),
    # --- clinical and other ---
    "AllergyIntolerance": (
        Invariant("ait-1", "clinicalStatus must be given unless entered in error", lambda v: _entered_in_error(v) or has(v, "clinicalStatus")),
        Invariant("ait-2", "clinicalStatus must not be given when entered in error", lambda v: not (_entered_in_error(v) and has(v, "clinicalStatus"))),
    ),
    "CarePlan.activity": (Invariant("cpl-3", "a reference and a detail exclude each other", not_both("detail", "reference")),),
    "Composition.section": (
        Invariant("cmp-1", "a section has text, entries or sections", any_of("text", "entry", "section")),
        Invariant("cmp-2", "an emptyReason needs a section without entries", not_both("emptyReason", "entry")),
    ),
    "ConceptMap.group.unmapped": (
        Invariant("cmd-2", "mode fixed needs a code", lambda v: v.get("mode") != "fixed" or has(v, "code")),
        Invariant("cmd-3", "mode other-map needs a url", lambda v: v.get("mode") != "other-map" or has(v, "url")),
    ),
    "ConceptMap.group.element.target": (Invariant("cmd-1", "a narrower or inexact map needs a comment", lambda v: has(v, "comment") or v.get("equivalence") not in ("narrower", "inexact")),),
    "Condition": (
        Invariant("con-4", "an abated condition is inactive, resolved or in remission", lambda v: not has(v, "abatement[x]") or coded(v.get("clinicalStatus"), "resolved", "remission", "inactive")),
        Invariant("con-5", "clinicalStatus must not be given when entered in error", lambda v: not (_entered_in_error(v) and has(v, "clinicalStatus"))),
    ),
    "Condition.evidence": (Invariant("con-2", "evidence has a code or a detail", any_of("code", "detail")),),
    "Condition.stage": (Invariant("con-1", "a stage has a summary or an assessment", any_of("summary", "assessment")),),
    "FamilyMemberHistory": (
        Invariant("fhs-1", "age and born exclude each other", not_both("age[x]", "born[x]")),
        Invariant("fhs-2", "estimatedAge needs an age", needs("estimatedAge", "age[x]")),
    ),
    "Goal.target": (Invariant("gol-1", "a detail needs a measure", needs("detail[x]", "measure")),),
    "Group": (Invariant("grp-1", "only an actual group has members", lambda v: not has(v, "member") or v.get("actual") is True),),
    "Immunization.education": (Invariant("imm-1", "a documentType or a reference must be given", any_of("documentType", "reference")),),
    "ImmunizationRecommendation.recommendation": (Invariant("imr-1", "a vaccineCode or a targetDisease must be given", any_of("vaccineCode", "targetDisease")),),
    "Linkage": (Invariant("lnk-1", "a linkage has at least two items", lambda v: len(listed(v, "item")) > 1),),
    "List": (
        Invariant("lst-1", "an emptyReason needs a list without entries", not_both("emptyReason", "entry")),
        Invariant("lst-2", "deleted needs the mode changes", lambda v: v.get("mode") == "changes" or not any("deleted" in e for e in listed(v, "entry"))),
        Invariant("lst-3", "an entry's date needs the mode working", lambda v: v.get("mode") == "working" or not any("date" in e for e in listed(v, "entry"))),
    ),
    "MedicationAdministration.dosage": (Invariant("mad-1", "a dosage has a dose or a rate", any_of("dose", "rate[x]")),),
    "MedicationDispense": (Invariant("mdd-1", "what is handed over was prepared before", lambda v: starts_before_end(v.get("whenPrepared"), v.get("whenHandedOver"))),),
    "Observation": (
        Invariant("obs-6", "dataAbsentReason and a value exclude each other", not_both("dataAbsentReason", "value[x]")),
        Invariant("obs-7", "a component with the observation's own code and a value exclude each other", _no_component_code),
    ),
    "Observation.referenceRange": (Invariant("obs-3", "a reference range has low, high or text", any_of("low", "high", "text")),),
    "OperationDefinition.parameter": (
        Invariant("opd-1", "a type or parts must be given", any_of("type", "part")),
        Invariant("opd-2", "a searchType needs the type string", lambda v: not has(v, "searchType") or v.get("type") == "string"),
        Invariant("opd-3", "a targetProfile needs the type Reference or canonical", lambda v: not has(v, "targetProfile") or v.get("type") in ("Reference", "canonical")),
    ),
    "QuestionnaireResponse.item": (Invariant("qrs-1", "items stand below the item or below its answer, not both", not_both("answer", "item")),),
    "RequestGroup.action": (Invariant("rqg-1", "a resource or actions, not both", one_of("resource", "action")),),
    "RiskAssessment.prediction": (Invariant("ras-2", "a probability is at most 100", _probability),),
    "SearchParameter": (
        Invariant("spd-1", "an xpath needs its usage", needs("xpath", "xpathUsage")),
        Invariant("spd-2", "a chain needs the type reference", lambda v: not has(v, "chain") or v.get("type") == "reference"),
    ),
    "ServiceRequest": (Invariant("prr-1", "orderDetail needs a code", needs("orderDetail", "code")),),
    "StructureMap.group.rule.target": (
        Invariant("smp-1", "an element needs a context", needs("element", "context")),
        Invariant("smp-2", "a context needs a contextType", needs("context", "contextType")),
    ),
    "ValueSet.compose.include": (
        Invariant("vsd-1", "a value set or a system must be given", any_of("valueSet", "system")),
        Invariant("vsd-2", "concepts and filters need a system", lambda v: has(v, "system") or not (has(v, "concept") or has(v, "filter"))),
        Invariant("vsd-3", "concepts and filters exclude each other", not_both("concept", "filter")),
    ),
    "ValueSet.expansion.contains": (
        Invariant("vsd-6", "a code or a display must be given", any_of("code", "display")),
        Invariant("vsd-10", "a code needs a system", needs("code", "system")),
        Invariant("vsd-9", "what is not abstract has a code", lambda v: has(v, "code") or v.get("abstract") is True),
    ),
}  # fmt: skip

ELSEWHERE = frozenset(
    {
        "ele-1", "sqty-1", "ref-1", "dom-2", "dom-3", "dom-4", "dom-5", "txt-1", "txt-2",
        "bdl-1", "bdl-2", "bdl-3", "bdl-4", "bdl-5", "bdl-7", "bdl-8", "bdl-9", "bdl-10", "bdl-11", "bdl-12",
    }
)  # fmt: skip
"""Rules that other files here evaluate."""


def evaluated() -> frozenset[str]:
    """The keys of the rules that ``validate`` evaluates."""
    return ELSEWHERE | {rule.key for rules in INVARIANTS.values() for rule in rules}


def unevaluated() -> tuple[tuple[str, str], ...]:
    """(key, element) of the error rules of R4 that ``validate`` does not evaluate: those of definitional resources mostly."""
    done = evaluated()
    return tuple((key, path) for key, severity, path in invariant_keys() if severity == "error" and key not in done)
