-- The requests that wrk sends: `wrk … -s requests.lua -- KIND CODES OFFSET`.
local kind, codes, at

local function password(user)
  return 'grant_type=password&username=' .. user .. '&password=secret&client_id=bench'
end

function init(arguments)
  kind, at = arguments[1], tonumber(arguments[3] or '0')
  wrk.headers['Content-Type'] = 'application/x-www-form-urlencoded'
  if kind == 'passed' then
    wrk.method, wrk.body = 'POST', 'grant_type=client_credentials&client_id=bench&client_secret=secret'
  elseif kind == 'no-factor' then
    wrk.method, wrk.body = 'POST', password('nobody')
  elseif kind == 'challenged' then
    wrk.method, wrk.body = 'POST', password('bench1')
  elseif kind == 'code' then
    codes = dofile(arguments[2])
    request = function()
      at = at % codes.subjects + 1
      -- Each subject's code of this step is used once.
      wrk.headers['X-Drupal-TFA'] = codes.codes[math.floor(os.time() / 30) - codes.first + 1]
      return wrk.format('POST', nil, nil, password('bench' .. at))
    end
  end
end
