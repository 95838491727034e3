"""The pocket schema registry: the part of the Confluent Schema Registry API that clients use, for Avro.

It stands in where no registry can be installed. Schemas live in one SQLite file and are synced to disk
before they are acknowledged; compatibility is judged by Apache Avro's own rules.
"""
