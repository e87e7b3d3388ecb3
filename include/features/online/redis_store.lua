-- Merges rows into hashes of rows: for each key the newest row, and, while that belongs to a publication that readers
-- do not see yet, before it the newest that they do see.
-- KEYS: the hash of published builds by view, then the hashes of rows, one per view.
-- ARGV: as many names as there are hashes of rows; for each the build that its rows belong to, or '' for the one that
-- readers see; then all rows in one string, each as: which hash, length of the key, length of the row (4 bytes each),
-- key, row. A row begins with its order: 24 bytes, great integers first.
-- Returns how many keys are new and how many were updated.
-- An entry is one slot or two, the newer first: build (4 bytes), length of the row (4 bytes), row.
local views = #KEYS - 1
local seen, builds = {}, {}
for view = 1, views do
    seen[view] = tonumber(redis.call('HGET', KEYS[1], ARGV[view]) or '0')
    builds[view] = ARGV[views + view] == '' and seen[view] or tonumber(ARGV[views + view])
end

local function is_newer(one, other)
    local a = {struct.unpack('>I4I4I4I4I4I4', one.row)}
    local b = {struct.unpack('>I4I4I4I4I4I4', other.row)}
    for place = 1, 6 do
        if a[place] ~= b[place] then
            return a[place] > b[place]
        end
    end
    return false
end

local function slots_of(entry)
    local slots, place = {}, 1
    while place <= #entry do
        local build, length = struct.unpack('>I4I4', entry:sub(place, place + 7))
        slots[#slots + 1] = {build = build, row = entry:sub(place + 8, place + 7 + length)}
        place = place + 8 + length
    end
    return slots
end

local function packed(slot)
    return struct.pack('>I4I4', slot.build, #slot.row) .. slot.row
end

local inserted, updated = 0, 0
local rows, place = ARGV[2 * views + 1], 1
while place <= #rows do
    local view, key_length, row_length = struct.unpack('>I4I4I4', rows, place)
    local hash, key = KEYS[view + 1], rows:sub(place + 12, place + 11 + key_length)
    place = place + 12 + key_length + row_length
    local incoming = {build = builds[view], row = rows:sub(place - row_length, place - 1)}
    local entry = redis.call('HGET', hash, key)
    if not entry then
        redis.call('HSET', hash, key, packed(incoming))
        inserted = inserted + 1
    else
        local slots = slots_of(entry)
        local newest, visible
        if is_newer(incoming, slots[1]) then
            updated = updated + 1
        end
        slots[#slots + 1] = incoming
        table.sort(slots, function(a, b)
            if is_newer(a, b) then return true end
            if is_newer(b, a) then return false end
            return a.build < b.build
        end)
        newest = slots[1]
        for _, slot in ipairs(slots) do
            if slot.build <= seen[view] then
                visible = slot
                break
            end
        end
        local kept = packed(newest)
        if visible and visible ~= newest then
            kept = kept .. packed(visible)
        end
        if kept ~= entry then
            redis.call('HSET', hash, key, kept)
        end
    end
end
return {inserted, updated}
