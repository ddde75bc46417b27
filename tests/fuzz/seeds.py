"""Where fuzzing starts: small own documents of each format, and the words that its grammar is made of."""

from __future__ import annotations

from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "formats"
LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore" / "samples"
_SUFFIXES = {
    "hl7v2": {".hl7", ".xml", ".txt"},
    "x12": {".edi", ".txt", ".x12", ".835", ".837", ".850", ".810", ".856", ".999"},
    "cxml": {".xml"},
    "bai2": {".bai"},
}
_LARGEST = 16_384

_ISA = "ISA*00*          *00*          *ZZ*LAKESHORE      *ZZ*PAYER          *260301*1200*^*00501*000000001*0*P*:~"
_OWN: dict[str, list[str]] = {
    "hl7v2": [
        "MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260301120000||ADT^A01^ADT_A01|C-1|P|2.5.1\rEVN||20260301\r"
        "PID|1||MRN-4477^^^ST-MARY^MR~9^^^X||RIVERA^ANA^\\S\\\\X41\\||19700512|F\rPV1|1|I|ICU^101\rZXX|a&b^c\r",
        "FHS|^~\\&|A\rBHS|^~\\&|A\rMSH|^~\\&|A|B|||20260301||DFT^P03|C-2|P|2.3\rFT1|1|||20260301||CG|KNEE-99\rBTS|1\rFTS|1\r",
        '<ADT_A01 xmlns="urn:hl7-org:v2xml"><MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.9><MSG.1>ADT</MSG.1></MSH.9>'
        "<MSH.10>C-3</MSH.10></MSH><EVN><EVN.2><TS.1>20260301</TS.1></EVN.2></EVN></ADT_A01>",
    ],
    "x12": [
        _ISA + "GS*HP*PAYER*LAKESHORE*20260301*1200*1*X*005010X221A1~ST*835*0001~BPR*I*80*C*CHK************20260301~"
        "TRN*1*T-1*1512345678~N1*PR*PAYER~N3*1 STREET~N4*CITY*NC*27601~PER*BL*HELP*TE*5555555555~N1*PE*LAKESHORE*XX*1234567893~"
        "LX*1~CLP*A-17*1*100*80**12*ICN-1~CAS*CO*45*20~NM1*QC*1*RIVERA*ANA~SVC*HC:99213*100*80~DTM*472*20260301~CAS*CO*45*20~"
        "SE*16*0001~GE*1*1~IEA*1*000000001~",
        _ISA.replace("00501", "00401").replace("*^*", "*U*")
        + "GS*PO*LAKESHORE*ACME*20260301*1200*2*X*004010~ST*850*0002~BEG*00*SA*PO-1**20260301~N1*ST*ST-MARY*92*7~"
        "PO1*1*3*EA*12.5**VP*KNEE-99~PID*F****KNEE~CTT*1~SE*7*0002~GE*1*2~IEA*1*000000001~",
        _ISA + "TA1*000000001*260301*1200*A*000~IEA*0*000000001~",
    ],
    "cxml": [
        '<?xml version="1.0"?><!DOCTYPE cXML SYSTEM "http://xml.cxml.org/schemas/cXML/1.2.063/cXML.dtd">'
        '<cXML payloadID="1@lakeshore" timestamp="2026-03-01T12:00:00Z"><Header><From><Credential domain="DUNS"><Identity>1'
        '</Identity></Credential></From><To><Credential domain="DUNS"><Identity>2</Identity></Credential></To><Sender><Credential '
        'domain="DUNS"><Identity>1</Identity></Credential><UserAgent>H</UserAgent></Sender></Header><Request><OrderRequest>'
        '<OrderRequestHeader orderID="PO-1" orderDate="2026-03-01"><Total><Money currency="USD">37.50</Money></Total>'
        '</OrderRequestHeader><ItemOut quantity="3" lineNumber="1"><ItemID><SupplierPartID>KNEE-99</SupplierPartID></ItemID>'
        '<ItemDetail><UnitPrice><Money currency="USD">12.50</Money></UnitPrice><Description xml:lang="en">KNEE</Description>'
        '<UnitOfMeasure>EA</UnitOfMeasure></ItemDetail></ItemOut></OrderRequest></Request></cXML>',
        '<cXML payloadID="2@lakeshore" timestamp="2026-03-01T12:00:00Z"><Response><Status code="200" text="OK"/></Response></cXML>',
    ],
    "bai2": [
        "01,BANK,LAKE,260302,0600,7,,,2/\n02,LAKE,BANK,1,260302,2359,USD,2/\n03,ACC,,010,-50000,,,100,1245500,3,V,260303,,/\n"
        "88,015,1194500,,/\n16,142,120000,V,260302,,HH-7,,CCD TRN*1*EFT-1*13600\n88,00001~\n16,115,1000000,S,500000,400000,100000/\n"
        "88,AX,B0,LOCKBOX, A/R\n16,195,125500,D,2,0,100000,1,25500,WIRE-3,,/\n49,3635500,8/\n98,3635500,1,10/\n99,3635500,1,12/\n",
        "01,A,B,260302,,1,,,2/\n99,0,0,2/\n",
    ],
}  # fmt: skip

WORDS: dict[str, list[str]] = {
    "hl7v2": [
        "MSH|",
        "FHS|",
        "BHS|",
        "BTS|",
        "FTS|",
        "PID|",
        "PV1|",
        "OBX|",
        "FT1|",
        "ERR|",
        "MSA|",
        "^~\\&",
        "\\X",
        "\\.br\\",
        "\\S\\",
        "\\C",
        "\\M",
        "\r",
        "\n",
        "ADT^A01",
        "ORU^R01",
        "2.3",
        "2.5.1",
        "2.8",
        "UNICODE",
        "8859/1",
        "ISO-IR87",
        "<ADT_A01",
        "urn:hl7-org:v2xml",
    ],
    "x12": [
        "ISA*",
        "GS*",
        "ST*",
        "SE*",
        "GE*",
        "IEA*",
        "TA1*",
        "CLP*",
        "SVC*",
        "CAS*",
        "PLB*",
        "BPR*",
        "LX*",
        "NM1*",
        "HL*",
        "CLM*",
        "PO1*",
        "IT1*",
        "TDS*",
        "AK1*",
        "AK2*",
        "AK9*",
        "IK5*",
        "~",
        "*",
        ":",
        "^",
        "00501",
        "005010X221A1",
        "005010X222A1",
        "004010",
        "835",
        "837",
        "850",
        "810",
        "856",
        "999",
        "997",
    ],
    "bai2": [
        "01,",
        "02,",
        "03,",
        "16,",
        "49,",
        "88,",
        "98,",
        "99,",
        "/",
        ",,",
        ",V,",
        ",S,",
        ",D,",
        "142",
        "TRN*1*",
        "~",
    ],
    "cxml": [
        "<cXML",
        "</cXML>",
        "<Header>",
        "<Request>",
        "<OrderRequest",
        "<ItemOut",
        "<Money",
        "<!DOCTYPE",
        "<!ENTITY",
        "<![CDATA[",
        "]]>",
        "&amp;",
        "&#x41;",
        "&a;",
        "<?xml",
        'encoding="UTF-16"',
        "xmlns=",
        'currency="USD"',
        "quantity=",
        "lineNumber=",
    ],
}


def seeds(name: str) -> list[bytes]:
    """Own documents of a format, the smallest first."""
    found = [text.encode() for text in _OWN[name]]
    folders = [SAMPLES / name / "samples", *([LAKESHORE] if name == "hl7v2" else [])]
    for folder in folders:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
            if path.is_file() and path.suffix.lower() in _SUFFIXES[name] and path.stat().st_size <= _LARGEST:
                found.append(path.read_bytes())
    return sorted(found, key=len)
