-- Records of keys that have one which the lane gave up: that one, and the later ones, which wait behind it.
CREATE TABLE parked_records (
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- their order
    id text NOT NULL, -- the topic's ID, the partition and the offset
    key bytea NOT NULL, -- the record's
    correlation_id text NOT NULL,
    command text NOT NULL,
    record bytea NOT NULL, -- as processor.parking packs it: personal data included
    receipt bytea, -- of the one that was given up: its polystream.v1.CommandReceipt
    park_time timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX parked_records_by_id ON parked_records (id);
CREATE INDEX parked_records_by_key ON parked_records (key, place);
