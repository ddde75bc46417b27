"""Master data of Lakeshore: the EHR tells by MFN, the clearinghouse by lists in its folder, the inventory platform by FHIR, the ERP is asked."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from hilum.authoring import Hl7, Moment, System, Table, mapping, schedule
from hilum.processes.master_data.erp_sync import MasterSyncDue, read_erp_master_data
from hilum.processes.master_data.fhir import MasterBundle, bundle_told
from hilum.processes.master_data.hl7 import master_file_told
from hilum.processes.master_data.snapshot_files import list_told
from hilum.processes.master_data.telling import MasterRecordsTold, keep_master_records

ehr = System("ehr")
clearinghouse = System("clearinghouse")
stock = System("stock")

LAKESHORE_TIME = ZoneInfo("America/Chicago")
FACILITIES = ("ST-MARY", "HARBOR-VIEW", "NORTH-POINT")

__all__ = ["keep_master_records", "read_erp_master_data"]


@mapping(source=ehr, message="MFN^M02")
def practitioners_told(message: Hl7) -> MasterRecordsTold:
    """Practitioners by staff number, with their NPI."""
    return master_file_told(message, system=ehr.name, zone=LAKESHORE_TIME, facilities=FACILITIES)


@mapping(source=ehr, message="MFN^M05")
def locations_told(message: Hl7) -> MasterRecordsTold:
    """Departments and locations of one facility or of several."""
    return master_file_told(message, system=ehr.name, zone=LAKESHORE_TIME, facilities=FACILITIES)


@mapping(source=clearinghouse, message="table")
def payers_told(table: Table) -> MasterRecordsTold:
    """The clearinghouse's list of the payers it reaches, dropped as a whole."""
    return list_told(table, system=clearinghouse.name, attributes=("tax_id",))


@mapping(source=stock, message="collection")
def stock_locations_told(bundle: MasterBundle) -> MasterRecordsTold:
    """The stores of NORTH-POINT, which the inventory platform keeps there."""
    return bundle_told(bundle, system=stock.name, facilities=FACILITIES)


@schedule(cron="30 2 * * *", owner="finance", catch_up="latest")
def erp_master_data_due(moment: Moment) -> list[MasterSyncDue]:
    """Every night the chart of accounts and the cost centres are read anew."""
    return [MasterSyncDue(number=f"erp/{moment.at.isoformat()}", system="erp", due_at=moment.at)]
