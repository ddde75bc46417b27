"""The ERP Tryton, series 8.2, over its REST API: questions, journals, purchase orders."""
