"""Which structure a message has: MSH-9.3, or what table 0354 gives its event (HL7 v2.5.1 ch. 2.15.9.9)."""

from __future__ import annotations

from functools import lru_cache

from hilum.formats.hl7v2.tables import Node, tables_of

# Events that share the structure of another one, from 2.4 on; before 2.3 each event has a structure of its own name.
_SHARED = {
    "ADT_A01": "A04 A08 A13", "ADT_A05": "A14 A28 A31", "ADT_A06": "A07", "ADT_A09": "A10 A11 A12",
    "ADT_A21": "A22 A23 A25 A26 A27 A29 A32 A33", "ADT_A30": "A34 A35 A36 A46 A47 A48 A49", "ADT_A39": "A40 A41 A42",
    "ADT_A43": "A44", "ADT_A50": "A51", "ADT_A52": "A53", "ADT_A54": "A55", "ADT_A61": "A62",
    "MDM_T01": "T03 T05 T07 T09 T11", "MDM_T02": "T04 T06 T08 T10",
    "SIU_S12": "S13 S14 S15 S16 S17 S18 S19 S20 S21 S22 S23 S24 S26 S27",
    "SRM_S01": "S02 S03 S04 S05 S06 S07 S08 S09 S10 S11", "SRR_S01": "S02 S03 S04 S05 S06 S07 S08 S09 S10 S11",
    "ORU_R30": "R31 R32", "RDE_O11": "O25", "RRE_O12": "O26", "QBP_Q21": "Q22 Q23 Q24 Q25", "QBP_Q11": "Q12",
    "RSP_K23": "K24", "MFK_M01": "M02 M03 M04 M05 M06 M07 M08 M09 M10 M11 M12 M13 M14 M15 M16 M17",
    "PPR_PC1": "PC2 PC3", "PGL_PC6": "PC7 PC8", "PPG_PCG": "PCH PCJ", "PPP_PCB": "PCC PCD",
    "REF_I12": "I13 I14 I15", "RRI_I12": "I13 I14 I15", "RPA_I08": "I09 I10 I11", "RQA_I08": "I09 I10 I11",
    "RQI_I01": "I02 I03 I07", "RQC_I05": "I06", "PMU_B01": "B02", "PMU_B04": "B05 B06", "PEX_P07": "P08",
    "CRM_C01": "C02 C03 C04 C05 C06 C07 C08", "CSU_C09": "C10 C11 C12", "LSU_U12": "U13", "MFN_M01": "M02",
}  # fmt: skip
# And in 2.3 and 2.3.1, which have fewer structures.
_EARLIER = {
    "ADT_A01": "A05 A14 A28 A31",
    "ADT_A02": "A21 A22 A23 A25 A26 A27 A29 A32 A33",
    "ADT_A09": "A15",
}
_STRUCTURES = {
    f"{name.partition('_')[0]}_{event}": name for name, events in _SHARED.items() for event in events.split()
}
_EARLIER_STRUCTURES = {f"ADT_{event}": name for name, events in _EARLIER.items() for event in events.split()}


# Longer than any version, type or structure there is; what a sender made up is not remembered for long.
_LONGEST = 40


def structure_of(version: str | None, kind: str | None, declared: str | None) -> Node | None:
    """The structure of a message of type ``kind`` (``ADT^A04``) that declares ``declared`` in MSH-9.3; None when unknown.

    What MSH-9.3 declares is believed when the version has it; senders write ``ADT_A04`` there too, so then the event counts.
    """
    if not version or not kind or len(version) > _LONGEST or len(kind) > _LONGEST:
        return None
    return _structure(version, kind, declared if declared is not None and len(declared) <= _LONGEST else None)


@lru_cache(maxsize=1024)
def _structure(version: str, kind: str, declared: str | None) -> Node | None:
    tables = tables_of(version)
    if tables is None:
        return None
    code, _, event = kind.partition("^")
    if code in ("ACK", "MCF"):
        return tables.structure("ACK")
    named = f"{code}_{event}" if event else code
    for name in (declared, named, _STRUCTURES.get(named), _EARLIER_STRUCTURES.get(named), code):
        # A message whose declaration contradicts its own type is taken at its type's word.
        if name and name.partition("_")[0] == code and (node := tables.structure(name)) is not None:
            return node
    return None
