-- Words the transcoder's own refusals as the platform words its errors: the reason, the field, and no value that the
-- client sent, since that may be personal. Only replies with the header x-edge-error come here: see the template's
-- local_reply_config, which has already given them a plainer form of the same shape.
-- Constants in capitals are put before this text by stack.edge.render.

local ESCAPES = {['"'] = '\\"', ["\\"] = "\\\\"}

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    return ESCAPES[c] or string.format("\\u%04x", c:byte())
  end) .. '"'
end

-- Returns a google.rpc.Status as JSON. With a field, it has a BadRequest that says what is wrong with that field.
function status_json(code, reason, message, field, description)
  local violation = ""
  if field then
    violation = ',{"@type":"type.googleapis.com/google.rpc.BadRequest","field_violations":[{"field":'
      .. quoted(field) .. ',"description":' .. quoted(description) .. ',"reason":""}]}'
  end
  return '{"code":' .. code .. ',"message":' .. quoted(message)
    .. ',"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":' .. quoted(reason)
    .. ',"domain":' .. quoted(ERROR_DOMAIN) .. ',"metadata":{}}' .. violation .. "]}"
end

local EXPECTED = {
  TYPE_BOOL = "must be true or false",
  TYPE_BYTES = "must be bytes in base64, in double quotes",
  TYPE_DOUBLE = "must be a number",
  TYPE_FLOAT = "must be a number",
  TYPE_INT32 = "must be a whole number from -2147483648 to 2147483647",
  TYPE_INT64 = "must be a whole number of at most 64 bits, as a number or in double quotes",
  TYPE_STRING = "must be a text in double quotes",
  TYPE_UINT32 = "must be a whole number from 0 to 4294967295",
  TYPE_UINT64 = "must be a whole number from 0 on of at most 64 bits, as a number or in double quotes",
  ["google.protobuf.Timestamp"] = 'must be an RFC 3339 time, such as "2026-01-31T12:00:00Z"',
  ["google.protobuf.Duration"] = 'must be seconds with the letter s, such as "1.5s"',
}

local function expectation(type_name)
  type_name = type_name:gsub("^type%.googleapis%.com/", "")
  local values = ENUM_VALUES[type_name]
  return values and "must be one of " .. values or EXPECTED[type_name] or "must be an object in braces"
end

-- The transcoder's indices are not to be relied on, and it sees a map as a list of keys and values.
local function field_name(location)
  return (location:gsub("%[%d+%]%.value$", ""):gsub("%[%d+%]", ""))
end

local function invalid_field(location, description)
  local field = field_name(location)
  return status_json(3, "INVALID_FIELD", INVALID_FIELD_MESSAGE, field, description)
end

-- Each pattern of the transcoder's messages, and what is made of its captures.
local WORDINGS = {
  {'^Could not find field "([^"]*)"', function(name)
    local message = "the query has a parameter that does not exist; see the field violations"
    return status_json(3, "UNKNOWN_QUERY_PARAMETER", message, name, "is no parameter of this method; leave it out")
  end},
  {"^The binding value .* of the field ([%w_.]+) is conflicting", function(field)
    return invalid_field(field, "has one value in the path or the query and another in the body; give it once")
  end},
  {"^([%w_.%[%]]*): invalid value Starting an object on a scalar field for type ([%w_]+)$", function(parent, field)
    return invalid_field(parent == "" and field or parent .. "." .. field, "must be a single value, not an object")
  end},
  {"^([%w_.%[%]]*): invalid value .* for type (%S+)$", function(field, type_name)
    return invalid_field(field, expectation(type_name))
  end},
  {"^([%w_.%[%]]*): Proto field is not repeating", function(parent)
    local message = "a field has a list where a single value belongs; send the value alone"
    if parent == "" then
      return status_json(3, "INVALID_FIELD", message)
    end
    return status_json(3, "INVALID_FIELD", message, field_name(parent), "has a list where a single value belongs")
  end},
}

local function reworded(message)
  for _, wording in ipairs(WORDINGS) do
    local first, second = message:match(wording[1])
    if first then
      return wording[2](first, second)
    end
  end
  return status_json(3, "MALFORMED_JSON", "the body is not valid JSON for this method; correct it and send it again")
end

local function allowed_methods(path)
  path = path:gsub("?.*$", "")
  for _, known in ipairs(KNOWN_PATHS) do
    if path:find(known[1]) then
      return known[2]
    end
  end
end

local function unescaped(text)
  return (text:gsub("\\(.)", function(c)
    return c == "n" and "\n" or c
  end))
end

-- Returns the status, the methods to allow (of a 405) and the body, or nil where the reply is good as it is.
local function reply_for(status, path, text)
  if status ~= "404" then
    return status, nil, reworded(text)
  end
  local allowed = allowed_methods(path)
  if allowed then
    local message = "this path does not take this method; use " .. allowed
    return "405", allowed, status_json(12, "METHOD_NOT_ALLOWED", message)
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  if not headers:get("x-edge-error") then
    return
  end
  local path, status = headers:get("x-edge-path"), headers:get(":status")
  headers:remove("x-edge-error")
  headers:remove("x-edge-path")
  local buffer = handle:body() -- nil in the answer to HEAD
  local text = buffer and buffer:getBytes(0, buffer:length()):match('"message":"(.*)"}%s*$') or ""
  local new_status, allowed, json = reply_for(status, path or "", unescaped(text))
  if not json then
    return
  end
  headers = handle:headers() -- anew: waiting for the body has ended the first one's life
  headers:replace(":status", new_status)
  if allowed then
    headers:replace("allow", allowed)
  end
  if buffer then
    headers:replace("content-length", tostring(buffer:setBytes(json)))
  end
end
