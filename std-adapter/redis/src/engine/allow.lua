-- Decides by one or several quotas as one: all are charged, or none. It is `GcraState` of steadfast-core, bit for bit.
-- KEYS: one for each quota. ARGV: for each the interval in ns, the burst and the cost.
-- Each holds "debt at interval": ns until it is whole, when that was so in us, and the interval by which it was counted.
-- Returns 1 if all allow or 0, and what each owed before, in ns by the interval that asks.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- a * b / c, rounded up. Exact: no product is made that a double could not hold.
local function scaled(a, b, c)
  local rest = math.fmod(a, c)
  local whole, part, over = (a - rest) / c * b, 0, 0
  for bit = 51, 0, -1 do
    part, over = part * 2, over * 2
    if math.fmod(math.floor(b / 2 ^ bit), 2) == 1 then over = over + rest end
    local times = math.floor(over / c)
    part, over = part + times, over - times * c
  end
  return whole + part + (over > 0 and 1 or 0)
end

local kept, owed, all = {}, {}, 1
for i, key in ipairs(KEYS) do
  local interval, burst, cost = tonumber(ARGV[i * 3 - 2]), tonumber(ARGV[i * 3 - 1]), tonumber(ARGV[i * 3])
  local debt, at, unit = 0, now, interval
  local state = redis.call('GET', key)
  if state then
    debt, at, unit = string.match(state, '^(%d+) (%d+) (%d+)$')
    if not debt then return redis.error_reply('WRONGTYPE not a state of steadfast') end
    debt, at, unit = tonumber(debt), tonumber(at), tonumber(unit)
    debt = math.max(debt - math.max(now - at, 0) * 1000, 0)
  end
  owed[i] = debt
  if unit ~= interval then owed[i] = scaled(debt, interval, unit) end
  if owed[i] + interval * cost > interval * burst then all = 0 end
  -- The clock stepped back: what is owed then is owed now.
  if now < at then kept[key] = { debt, unit } end
end
if all == 1 then
  for i, key in ipairs(KEYS) do
    local interval = tonumber(ARGV[i * 3 - 2])
    kept[key] = { owed[i] + interval * tonumber(ARGV[i * 3]), interval }
  end
end
for key, state in pairs(kept) do
  local ttl = math.max(math.ceil(state[1] / 1000000), 1)
  redis.call('SET', key, string.format('%.0f %.0f %.0f', state[1], now, state[2]), 'PX', string.format('%.0f', ttl))
end
return { all, unpack(owed) }
