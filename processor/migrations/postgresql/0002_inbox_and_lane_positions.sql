-- The platform's own tables, beside the inherited ones.

-- What has been applied, and the answer that was given: written in the transaction of the effect itself.
CREATE TABLE inbox (
    correlation_id uuid PRIMARY KEY,
    command text NOT NULL,
    receipt bytea NOT NULL, -- a serialized polystream.v1.CommandReceipt, without personal data
    complete_time timestamptz NOT NULL DEFAULT now()
);
-- What the lane looks through for entries past their time.
CREATE INDEX inbox_por_tempo ON inbox (complete_time);

-- How far the lane has come: every command below next_offset is applied or refused. The other lanes tell by it
-- whether a user that is not there is yet to come.
CREATE TABLE lane_positions (
    topic_id text NOT NULL, -- changes when the topic is made anew and its offsets start over
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic_id, partition)
);
