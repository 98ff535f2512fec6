-- Renews the leases of one gateway, and notes that it lives. Atomic, as every script of Redis is.
--
-- KEYS: the clock, the gateways, and one hash for each account. ARGV[1]: what the gateway says, as JSON. Times are microseconds.
-- The gateway says each time all that it holds and has counted, so a message that is lost or comes twice does no harm, and a
-- Redis that has lost its data knows everything again after one message of each gateway.

local LEASE = 4000000 -- what a gateway holds counts for so long after its last message; it uses it for half of that
local ALIVE = 3000000
local STEP = 4000000000 -- a key lives longer than its data by more than an hour, so that a step of the clock takes none away

local call = redis.call
local told = cjson.decode(ARGV[1])

local function whole(number)
  return string.format('%.0f', number)
end

-- The wall clock may step. No more time has passed than the gateway has seen pass since its last message.
local time = call('TIME')
local wall = time[1] * 1000000 + time[2]
local clock = call('HMGET', KEYS[1], 'now', 'wall', 'counted')
local now = (tonumber(clock[1]) or 0) + math.max(0, math.min(wall - (tonumber(clock[2]) or wall), told.passed))
call('HSET', KEYS[1], 'now', whole(now), 'wall', whole(wall))

-- Until when anything counts of what any gateway has ever said.
local before = tonumber(clock[3]) or 0
local counted = before

call('ZADD', KEYS[2], whole(now), told.gateway)
call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now - ALIVE))
local gateways = math.max(told.gateways, call('ZCARD', KEYS[2]))

-- What other gateways hold or have counted, and the oldest time that counts.
local function read_others(key, period)
  local others, oldest = 0, nil
  local fields = call('HGETALL', key)
  for f = 1, #fields, 2 do
    local name = fields[f]
    if name ~= 'full' and name ~= told.gateway then
      local state = cmsgpack.unpack(fields[f + 1])
      local counted = state.ends > now and state.held or 0
      for _, at in ipairs(state.times) do
        if at > now - period then
          counted = counted + 1
          oldest = math.min(oldest or at, at)
        end
      end
      others = others + counted
      if counted == 0 then
        call('HDEL', key, name)
      end
    end
  end
  return others, oldest
end

-- A rate. `full` is when all of its burst is there again; what is granted is counted at once.
local function rate(key, account, held)
  local each = account.period / account.amount
  local kept = call('HGET', key, 'full')
  local full = math.max(now, tonumber(kept) or 0) + account.uncharged * each
  if told.returns or not kept then
    full = math.max(full, now + account.reset)
  end
  -- The burst is less by what is held: all together never have more than the burst.
  full = math.max(full, now + held * each)
  return full, each, math.floor(account.burst - (full - now) / each)
end

local function exchange(key, account)
  local others, oldest = read_others(key, account.period)
  local mine, times, full, each, free = account.held + account.busy, {}, nil, nil, nil
  if account.rate then
    full, each, free = rate(key, account, others + mine)
  else
    for i, age in ipairs(account.ages) do
      times[i] = now - age
    end
    if times[1] then
      oldest = math.min(oldest or times[1], times[1])
    end
    free = account.amount - others - mine - #times
  end
  local grant = 0
  if account.wanted > 0 and free > 0 then
    grant = math.min(free, math.max(account.wanted, math.ceil(free / gateways)))
  end
  local lives = account.period
  local wait = oldest and oldest + account.period - now or 1000000
  if full then
    full = full + grant * each
    wait = math.max(0, full - now + (account.wanted - account.burst) * each)
    lives = math.max(lives, full - now)
    call('HSET', key, 'full', string.format('%.17g', full))
  end
  if mine + grant + #times > 0 then
    local state = { held = mine + grant, ends = now + LEASE, times = times }
    call('HSET', key, told.gateway, cmsgpack.pack(state))
  else
    call('HDEL', key, told.gateway)
  end
  call('PEXPIRE', key, whole((lives + STEP) / 1000))
  counted = math.max(counted, now + lives)
  return { grant, others, math.ceil(wait), full and math.ceil(full - now) or 0 }
end

local answers = {}
for i, account in ipairs(told.accounts) do
  answers[i] = exchange(KEYS[2 + i], account)
end
if counted > before then
  call('HSET', KEYS[1], 'counted', whole(counted))
end
return cjson.encode({ gateways = gateways, counted = math.max(0, before - now), answers = answers })
