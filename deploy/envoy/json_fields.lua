-- Tells the gateway which fields a JSON body names, since the transcoder drops those that it does not know.
-- Reads the body by RFC 8259, so that the transcoder, which is laxer, finds no field in it that was not found here. What
-- a number or a text means is left to the transcoder.
-- Constants in capitals are put before this text by stack.edge.render.

local byte, find, format, match, sub = string.byte, string.find, string.format, string.match, string.sub

local QUOTE, BACKSLASH, COMMA, COLON = 34, 92, 44, 58
local OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY = 123, 125, 91, 93

-- The body that is being read. Module-level since nothing yields while it is: the script has its thread to itself.
local body
local paths, path_count, path_bytes -- the paths in the order of their first appearance
local last_object -- path -> number of the object that named it last
local object_count

-- What is put behind the path of a field of the body itself: a list's, an object's, and a null's, which says nothing.
local MARKS = {[OPEN_ARRAY] = "[", [OPEN_OBJECT] = "{", [110] = "!"}

local function fail(at, reason, what, field)
  error({at = at, reason = reason, what = what, field = field}, 0)
end

local function malformed(at, what)
  fail(at, "MALFORMED_JSON", what)
end

local function skip_space(at)
  local b = byte(body, at)
  while b == 32 or b == 10 or b == 13 or b == 9 do
    at = at + 1
    b = byte(body, at)
  end
  return at, b
end

-- Returns where the text's closing quote is, and whether it has escapes. `at` is just after its opening quote.
local function text_end(at)
  local start, escaped = at, false
  while true do
    local b = byte(body, at)
    if b == QUOTE then
      return at, escaped
    elseif b == BACKSLASH then
      escaped = true
      at = at + 1
      if not find(body, '^["\\/bfnrt]', at) and not find(body, "^u%x%x%x%x", at) then
        malformed(at - 1, "a backslash is followed by what it cannot escape")
      end
    elseif b == nil then
      malformed(start - 1, "a text is not closed")
    elseif b < 32 then
      malformed(at, "a control character is in a text, where it must be escaped")
    end
    at = at + 1
  end
end

local function scalar_end(at)
  local last
  local b = byte(body, at)
  if b == 45 or (b and b >= 48 and b <= 57) then
    last = select(2, find(body, "^[%d.eE+-]+", at))
  elseif b then
    local word = match(body, "^%a+", at)
    last = (word == "true" or word == "false" or word == "null") and at + #word - 1
  end
  if not last then
    malformed(at, b and "a value is expected" or "the end comes where a value is expected")
  end
  return last + 1
end

local SIMPLE_ESCAPES = {b = "\b", f = "\f", n = "\n", r = "\r", t = "\t"}

-- A key spelled with escapes is the same key: {"n\u0061me": ...} sets `name`. Beyond ASCII there are no fields' names,
-- so such escapes stay as they are.
local function unescape(key)
  return (key:gsub("\\(.)(%x?%x?%x?%x?)", function(c, hex)
    local code = c == "u" and tonumber(hex, 16) or nil
    if code and code < 128 then
      return string.char(code)
    elseif code then
      return "\\u" .. hex:upper()
    end
    return (SIMPLE_ESCAPES[c] or c) .. hex
  end))
end

local function encode(key)
  return (key:gsub("[^%w_@$:/-]", function(c)
    return format("%%%02X", byte(c))
  end))
end

local function add_path(at, path, object)
  local owner = last_object[path]
  last_object[path] = object
  if owner == object then
    fail(at, "DUPLICATE_FIELD", "is given twice", path)
  elseif owner == nil then
    path_count = path_count + 1
    path_bytes = path_bytes + #path + 2
    if path_bytes > MAX_FIELDS_BYTES then
      fail(at, "TOO_MANY_FIELDS", "the names of the body's fields take more than " .. MAX_FIELDS_BYTES .. " bytes")
    end
    paths[path_count] = path
  end
end

local read_value

local function read_object(at, prefix, depth)
  object_count = object_count + 1
  local object = object_count
  local b
  at, b = skip_space(at)
  if b == CLOSE_OBJECT then
    return at + 1
  end
  while true do
    if b ~= QUOTE then
      malformed(at, "a field's name in double quotes is expected")
    end
    local close, escaped = text_end(at + 1)
    local key = sub(body, at + 1, close - 1)
    if escaped then
      key = unescape(key)
    end
    if find(key, "[^%w_]") then
      key = encode(key)
    end
    local path = prefix .. key
    add_path(at, path, object)
    at, b = skip_space(close + 1)
    if b ~= COLON then
      malformed(at, "a colon is expected after a field's name")
    end
    at, b = skip_space(at + 1)
    if depth == 1 then -- here each path is new, so the last one is this one
      paths[path_count] = path .. (MARKS[b] or "")
    end
    at, b = skip_space(read_value(at, path, depth))
    if b == CLOSE_OBJECT then
      return at + 1
    elseif b ~= COMMA then
      malformed(at, "a comma or a closing brace is expected")
    end
    at, b = skip_space(at + 1)
  end
end

local function read_array(at, path, depth)
  local b
  at, b = skip_space(at)
  if b == CLOSE_ARRAY then
    return at + 1
  end
  while true do
    at, b = skip_space(at)
    if b == 110 then -- only null begins with n; the transcoder would leave it out
      fail(at, "INVALID_FIELD", "must not hold null", path)
    end
    at, b = skip_space(read_value(at, path, depth))
    if b == CLOSE_ARRAY then
      return at + 1
    elseif b ~= COMMA then
      malformed(at, "a comma or a closing bracket is expected")
    end
    at = at + 1
  end
end

-- Reads the value at `at` and returns where it ends. `path` is that of the field whose value it is.
read_value = function(at, path, depth)
  local b
  at, b = skip_space(at)
  if b == QUOTE then
    return text_end(at + 1) + 1
  elseif b == OPEN_OBJECT or b == OPEN_ARRAY then
    if depth >= MAX_DEPTH then
      fail(at, "JSON_TOO_DEEP", "the body is nested deeper than " .. MAX_DEPTH .. " levels")
    elseif b == OPEN_OBJECT then
      return read_object(at + 1, path .. ".", depth + 1)
    end
    return read_array(at + 1, path, depth + 1)
  end
  return scalar_end(at)
end

local function read_body()
  local at, b = skip_space(1)
  if b ~= OPEN_OBJECT then
    malformed(at, "the body must be an object in braces, or nothing at all")
  end
  at, b = skip_space(read_object(at + 1, "", 1))
  if b then
    malformed(at, "something follows the body's object")
  end
end

-- Returns the paths of the fields that `text` names, comma-separated, or nil and the fault.
local function field_paths(text)
  body, paths, path_count, path_bytes, last_object, object_count = text, {}, 0, 0, {}, 0
  local ok, fault = pcall(read_body)
  local named = paths
  body, paths, last_object = nil, nil, nil
  if ok then
    return table.concat(named, ",")
  elseif type(fault) ~= "table" then
    error(fault, 0)
  end
  return nil, fault
end

local function place(text, at)
  local before, line = sub(text, 1, at - 1), 1
  for _ in before:gmatch("\n") do
    line = line + 1
  end
  return format("line %d, column %d", line, #before:match("[^\n]*$") + 1)
end

local function fault_json(text, fault)
  local where = place(text, fault.at)
  if fault.reason == "MALFORMED_JSON" then
    return status_json(3, fault.reason, "the body is not valid JSON at " .. where .. ": " .. fault.what)
  elseif fault.reason == "INVALID_FIELD" then
    return status_json(3, fault.reason, INVALID_FIELD_MESSAGE, fault.field, fault.what)
  elseif fault.field then
    local message = "the body names a field twice at " .. where .. "; name it once"
    return status_json(3, fault.reason, message, fault.field, fault.what)
  end
  return status_json(3, fault.reason, fault.what .. "; send less at once")
end

local function is_json(content_type)
  return find(content_type:lower(), "^%s*application/[%w.+-]*json%s*%f[;%z]") ~= nil
end

local function refuse(handle, http_status, json, allow)
  handle:respond({[":status"] = http_status, ["content-type"] = "application/json", allow = allow}, json)
end

-- Returns an HTTP status, google.rpc.Status and the methods to allow for what the transcoder would take amiss.
local function path_fault(method, target)
  local path = match(target, "^[^?]*")
  local allowed = EXACT_PATHS[path]
  if allowed and not allowed[method] then
    return "405", status_json(12, "METHOD_NOT_ALLOWED", "this path does not take this method; use " .. allowed.names), allowed.names
  end
  for _, without in ipairs(ZERO_PATHS) do
    if find(path, without[1]) then
      return "400", status_json(3, "INVALID_FIELD", INVALID_FIELD_MESSAGE, without[2], "must be greater than 0")
    end
  end
  if find(target, "[?&]=") then
    local message = "the query has a value without a name; see the field violations"
    return "400", status_json(3, "UNKNOWN_QUERY_PARAMETER", message, "", "has no name; leave it out")
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local content_type = headers:get("content-type")
  if content_type and find(content_type, "^application/grpc") then
    return
  end
  local refused, status, allow = path_fault(headers:get(":method"), headers:get(":path"))
  if refused then
    return refuse(handle, refused, status, allow)
  end
  local length = headers:get("content-length")
  if length and tonumber(length) > MAX_BODY_BYTES then
    return refuse(handle, "413", TOO_LARGE_JSON)
  end
  local buffer = handle:body()
  local size = buffer and buffer:length() or 0
  if size == 0 then
    return
  elseif size > MAX_BODY_BYTES then
    return refuse(handle, "413", TOO_LARGE_JSON)
  elseif content_type and content_type ~= "application/json" and not is_json(content_type) then
    return refuse(handle, "415", UNSUPPORTED_TYPE_JSON)
  end
  local text = buffer:getBytes(0, size)
  local named, fault = field_paths(text)
  if fault then
    return refuse(handle, "400", fault_json(text, fault))
  elseif named ~= "" then
    handle:headers():replace(FIELDS_HEADER, named) -- anew: waiting for the body has ended the first one's life
  end
end
