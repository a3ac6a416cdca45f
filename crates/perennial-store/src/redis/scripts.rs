//! The two decisions that Redis takes, each as one atomic script on one key.
//!
//! A record is a string: version (8 bytes), expiry in Unix milliseconds (8 bytes, big-endian), then the bytes. Redis itself
//! forgets it at its expiry, by its own clock. Both scripts tell of the change before they make it: nobody sees anything
//! in between, and whatever fails then has written nothing.

use std::sync::OnceLock;

/// A script that the server knows by its hash, or is told.
pub(super) struct Script {
    pub(super) text: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    const fn new(text: &'static str) -> Self {
        Self { text, hash: OnceLock::new() }
    }

    pub(super) fn hash(&self) -> &str {
        self.hash.get_or_init(|| redis::Script::new(self.text).get_hash().to_owned())
    }
}

/// `KEYS[1]` record; `ARGV`: expected version or nothing, the new record, its expiry, channel, message.
///
/// Answers `1` when the record is stored, else the current record, or nothing when there is none. Asked once more after a
/// lost answer it finds its own record, whose version nobody else can have drawn, and says `1` again.
pub(super) static SWAP: Script = Script::new(
    r"
local current = redis.call('GET', KEYS[1])
if current == ARGV[2] then return 1 end
if current then
    if string.sub(current, 1, 8) ~= ARGV[1] then return current end
elseif ARGV[1] ~= '' then
    return false
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
local time = redis.call('TIME')
if tonumber(ARGV[3]) > time[1] * 1000 + math.floor(time[2] / 1000) then
    redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
else
    redis.call('DEL', KEYS[1])
end
return 1",
);

/// `KEYS[1]` record; `ARGV`: expected version, channel, message. Answers whether this call removed it.
pub(super) static REMOVE: Script = Script::new(
    r"
local current = redis.call('GET', KEYS[1])
if not current or string.sub(current, 1, 8) ~= ARGV[1] then return 0 end
redis.call('PUBLISH', ARGV[2], ARGV[3])
redis.call('DEL', KEYS[1])
return 1",
);

/// `KEYS[1]` announcements, a sorted set by their end; `ARGV`: record key, end in Unix milliseconds, channel, message.
///
/// The set expires with the last of them, so that nothing of an abandoned prefix stays.
pub(super) static ANNOUNCE: Script = Script::new(
    r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if tonumber(ARGV[2]) <= now then return 0 end
redis.call('PUBLISH', ARGV[3], ARGV[4])
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last[2])))
return 1",
);

/// `KEYS[1]` announcements; `ARGV`: how many at most. Forgets those that matter no more, and answers how many they were.
pub(super) static FORGET: Script = Script::new(
    r"
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local over = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
if #over > 0 then redis.call('ZREM', KEYS[1], unpack(over)) end
return #over",
);
