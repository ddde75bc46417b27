"""The experience APIs of Lakeshore: what one kind of user needs on one screen."""

from hilum.processes.department_requests import department_request
from hilum.processes.experience_apis.dashboards import dashboards
from hilum.processes.experience_apis.department import departments
from hilum.processes.experience_apis.mobile import mobile
from hilum.processes.experience_apis.supplier_portal import portal

__all__ = ["dashboards", "department_request", "departments", "mobile", "portal"]
