-- Claims an id, or marks it; keeps a claim, ends it with a note, or gives it up.
-- KEYS: the id. ARGV: what to do, a token, in us how long a claim and a done id hold, a note.
-- Holds "kind token at span fence note": of a claim (c) or a done id (d), which holds for the span from then on, in us.
-- Returns 0 and the fence if it is done so; 1 if the claim is not the caller's, and how long another still holds, in us; 2
-- if the id is done, and the note. The same call with the same token is answered the same.
local what, token, note = ARGV[1], ARGV[2], ARGV[5]
local lease, ttl = tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local kind, owner, at, span, fence, answer = 'c', '', now, 0, 0, ''
local state = redis.call('GET', KEYS[1])
if state then
  kind, owner, at, span, fence, answer = string.match(state, '^([cd]) (%x+) (%d+) (%d+) (%d+) (.*)$')
  if not kind then return redis.error_reply('WRONGTYPE not a state of steadfast') end
  at, span, fence = tonumber(at), tonumber(span), tonumber(fence)
end

-- A claim is kept beyond its lease, so that the next fence is larger whatever the clock does.
local function keep(kind, token, span, note)
  local ends = math.ceil((kind == 'c' and span + ttl or span) / 1000)
  local numbers = string.format(' %.0f %.0f %.0f ', now, span, fence)
  redis.call('SET', KEYS[1], kind .. ' ' .. token .. numbers .. note, 'PX', string.format('%.0f', math.max(ends, 1)))
end

-- The clock stepped back: what was to come from then on is to come from now on.
if now < at then
  keep(kind, owner, span, answer)
  at = now
end

if what == 'claim' or what == 'check' then
  if now < at + span then
    if owner == token then return { 0, fence, '' } end
    if kind == 'd' then return { 2, 0, answer } end
    return { 1, at + span - now, '' }
  end
  fence = math.max(fence + 1, now)
  if what == 'claim' then keep('c', token, lease, '') else keep('d', token, ttl, '') end
  return { 0, fence, '' }
end

-- Whoever has the claim may end it late, as long as nobody else has got it.
if owner ~= token or (kind == 'd' and what ~= 'commit') then return { 1, 0, '' } end
if what == 'renew' then keep('c', token, lease, '') end
if what == 'commit' and kind == 'c' then keep('d', token, ttl, note) end
if what == 'abort' then keep('c', '0', 0, '') end
return { 0, fence, '' }
