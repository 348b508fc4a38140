-- The peer on the gateway's own ground: nginx with Lua that does the whole job of the second factor. Less strict than
-- the gateway (no sealed secrets, no tripwire, no audit line, no metrics), so that what is measured flatters nginx.
local redis = require 'nginx.redis'
local bit = require 'bit'

local STEP_SECS, SKEW_STEPS, FAILURES_MAX, FAILURES_SECS = 30, 1, 5, 900

-- Locked? Used before? Accept, or count: one atomic step.
local SETTLE = [[
if tonumber(redis.call('HGET', KEYS[2], 'failures') or 0) >= tonumber(ARGV[2]) then return 'locked' end
local step = tonumber(ARGV[1])
if step == 0 then
  redis.call('HINCRBY', KEYS[2], 'failures', 1)
  redis.call('EXPIRE', KEYS[2], ARGV[3])
  return 'wrong'
end
if tonumber(redis.call('HGET', KEYS[2], 'step') or 0) >= step then return 'used' end
redis.call('HSET', KEYS[2], 'step', step)
redis.call('HDEL', KEYS[2], 'failures')
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 'accepted'
]]
local settle_sha

local function store()
  local connection = redis:new()
  connection:set_timeout(1000)
  assert(connection:connect('127.0.0.1', tonumber(ngx.var.redis_port)))
  return connection
end

local function code_at(secret, step)
  local message = {}
  for n = 8, 1, -1 do
    message[n] = string.char(step % 256)
    step = math.floor(step / 256)
  end
  local digest = ngx.hmac_sha1(secret, table.concat(message))
  local at = bit.band(digest:byte(20), 15)
  local a, b, c, d = digest:byte(at + 1, at + 4)
  return string.format('%06d', (bit.band(a, 127) * 16777216 + b * 65536 + c * 256 + d) % 1000000)
end

local function fitting_step(secret, presented)
  local now, fitting = math.floor(ngx.time() / STEP_SECS), 0
  for step = now - SKEW_STEPS, now + SKEW_STEPS do
    if code_at(secret, step) == presented then fitting = step end
  end
  return fitting
end

local function challenge(text)
  ngx.status = 401
  ngx.header['Content-Type'] = 'application/json'
  ngx.header['Cache-Control'] = 'no-store'
  ngx.header['X-Drupal-TFA'] = 'required, schemes=totp'
  ngx.print('{"error":"invalid_grant","error_description":"', text, '"}')
end

local function relay(answer)
  ngx.status = answer.status
  for name, value in pairs(answer.header) do ngx.header[name] = value end
  ngx.print(answer.body)
end

ngx.req.read_body()
local form = ngx.req.get_post_args()
local answer = ngx.location.capture('/upstream', { method = ngx.HTTP_POST })
if form.grant_type ~= 'password' or not answer.body:find('"access_token"', 1, true) then return relay(answer) end

local subject = tostring(form.username):lower()
local connection = store()
local enrolment = connection:hgetall('peer:{' .. subject .. '}')
local passcode = ngx.req.get_headers()['X-Drupal-TFA']
if #enrolment == 0 then
  connection:set_keepalive(60000, 128)
  return relay(answer)
elseif not passcode then
  connection:set_keepalive(60000, 128)
  return challenge('Two-factor authentication is required')
end
settle_sha = settle_sha or connection:script('load', SETTLE)
local settled = connection:evalsha(settle_sha, 2, 'peer:{' .. subject .. '}', 'peer:{' .. subject .. '}:ledger',
  fitting_step(enrolment[2], passcode), FAILURES_MAX, FAILURES_SECS)
connection:set_keepalive(60000, 128)
if settled == 'accepted' then return relay(answer) end
challenge('Invalid application code. Please try again.')
