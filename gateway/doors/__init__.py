"""The doors of the gateway: how a call comes in and its answer goes out, over gRPC, REST and gRPC-Web.

gRPC comes in at `grpc_server`, which takes commands as `native` has them. `http_door` sends each HTTP request on: to
`rest`, with `streams` for answers of many messages, to `grpc_web`, or to `pages`, which is the documentation. What they
share is beside them: `content` reads the headers on bodies and their forms, `origins` keeps pages of elsewhere away,
`deadlines` says how long an answer may take, `statuses` how an error looks, `tasks` runs what takes time, and
`access_log` tells of it. Each door ends in `gateway.calls`.
"""
