"""PostgreSQL and nothing else: the supervised server, the pool, the migrations and the tables' readers and writers."""
