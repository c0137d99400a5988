-- Makes the key of one line that dump.lua wrote: ARGV[1].
local words = {}
for word in ARGV[1]:gmatch('%S+') do words[#words + 1] = word end

local bytes = {}
for byte = 0, 255 do bytes[string.format('%02x', byte)] = string.char(byte) end

local function text(hex)
    return (hex:sub(2):gsub('%x%x', bytes))
end

local key, command = text(words[2]), words[4]
redis.call('SELECT', words[1])
redis.call('DEL', key) -- a dump may name it twice
-- Lua passes on some thousands of arguments at once, not any number.
for first = 5, #words, 1000 do
    local some = {}
    for index = first, math.min(first + 999, #words) do some[#some + 1] = text(words[index]) end
    redis.call(command, key, unpack(some))
end
if words[3] ~= '0' then redis.call('PEXPIREAT', key, words[3]) end
return 1
