-- Parses every DNS message of a capture with dnsjit and forgets it: a yardstick of `make bench`.
require("dnsjit.core.objects")
local input = require("dnsjit.input.fpcap").new()
assert(input:open(arg[2]) == 0, "cannot read " .. tostring(arg[2]))
local layer = require("dnsjit.filter.layer").new()
layer:producer(input)
local produce, context = layer:produce()
local messages = 0
while true do
    local object = produce(context)
    if object == nil then
        break
    end
    if object:type() == "payload" and object:cast().len > 0 then
        local dns = require("dnsjit.core.object.dns").new(object)
        if dns:parse() ~= nil then
            messages = messages + 1
        end
    end
end
print(messages)
