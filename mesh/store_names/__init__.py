"""The stores' names, for those who write and those who read: inherited, in Portuguese, and public.

MongoDB's collections and fields are in `mongodb`, Redis's keys and fields in `redis`. PostgreSQL's tables and columns
are what the migrations make (`processor/migrations/postgresql`): every statement names them in its own words, and
`tests/unit/test_store_names.py` holds each statement to the migrations.
"""
