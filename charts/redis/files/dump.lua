-- A page of keys, from the cursor ARGV[2] of database ARGV[1]: "next <cursor>", then a line for each key. Once they are
-- many bytes, only "later <key>" of the others, to be asked for one by one (ARGV[3]): the server, and whoever asks, hold
-- a page in memory, and meanwhile the app waits.
-- What has no order of its own is sorted, so that the same data is the same text on every server.
local ENOUGH = 1000000
local digits, bytes = {}, {}
for byte = 0, 255 do
    local two = string.format('%02x', byte)
    digits[string.char(byte)], bytes[two] = two, string.char(byte)
end

local function hex(text)
    return 'x' .. text:gsub('.', digits)
end

local function pairs_sorted(flat)
    local both = {}
    for index = 1, #flat, 2 do both[#both + 1] = hex(flat[index]) .. ' ' .. hex(flat[index + 1]) end
    table.sort(both)
    return both
end

local function each(list)
    local done = {}
    for index, text in ipairs(list) do done[index] = hex(text) end
    return done
end

local makes = {}
function makes.string(key) return 'SET', { hex(redis.call('GET', key)) } end
function makes.list(key) return 'RPUSH', each(redis.call('LRANGE', key, 0, -1)) end
function makes.hash(key) return 'HSET', pairs_sorted(redis.call('HGETALL', key)) end
function makes.set(key)
    local members = each(redis.call('SMEMBERS', key))
    table.sort(members)
    return 'SADD', members
end
function makes.zset(key)
    local flat, turned = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES'), {}
    for index = 1, #flat, 2 do
        turned[index], turned[index + 1] = flat[index + 1], flat[index]
    end
    return 'ZADD', pairs_sorted(turned)
end

local page
if ARGV[3] then
    page = { 0, { (ARGV[3]:sub(2):gsub('%x%x', bytes)) } }
else
    page = redis.call('SCAN', ARGV[2], 'COUNT', 200)
end
local lines, size = { 'next ' .. page[1] }, 0
for _, key in ipairs(page[2]) do
    local kind = redis.call('TYPE', key).ok
    local expires = kind ~= 'none' and math.max(redis.call('PEXPIRETIME', key), 0)
    if kind ~= 'none' and size > ENOUGH then
        lines[#lines + 1] = 'later ' .. hex(key)
    elseif kind ~= 'none' then
        local command, arguments = 'RESTORE', nil
        if makes[kind] then
            command, arguments = makes[kind](key)
        else
            arguments = { hex('0'), hex(redis.call('DUMP', key)) }
        end
        lines[#lines + 1] = table.concat(
            { ARGV[1], hex(key), string.format('%.0f', expires), command, table.concat(arguments, ' ') }, ' ')
        size = size + #lines[#lines]
    end
end
return lines
