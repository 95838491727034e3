"""The pocket broker: the part of Kafka's protocol that the platform's clients use, on one SQLite file.

It stands in where no Kafka can be installed. Records and topics are on the disk before they are acknowledged; committed
offsets survive the end of the process at once, and that of the machine with the next record. It has one node, no
replicas, no transactions, no encryption and no login, and listens on this machine alone.
"""
