"""REST for the API: paths, JSON and query parameters become the requests that the protos declare.

`routes` finds the binding of a method and a path, in a `path_tree` of `templates`. `bindings` makes the request of its
parts: path and query by `query`, `request_fields`, `text_fields` and `percent`, the body by `bodies`, the header by
`idempotency`, and no field twice by `sources`. `json_reader` reads JSON, on `json_text` and `json_types`, and
`json_faults` says what is wrong with it. `json_writer` writes the answers.
"""
