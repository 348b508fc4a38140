//! Which master of a cluster has which slots, and where the markers lie.

use std::sync::LazyLock;

use redis::{ErrorKind, RedisError, RedisResult, Value, from_redis_value};

use super::settings::Address;

/// Redis Cluster specification: keys are distributed over so many slots, by CRC16 (XMODEM).
const SLOTS: u16 = 16384;
/// Each part of so many slots has a marker of its own.
const SLOTS_A_MARKER: u16 = 128;

const CRC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_XMODEM);

/// The slot of a key, by its hash tag if it has one.
pub(super) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    CRC.checksum(tag.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes()) % SLOTS
}

/// The markers of a cluster: for each part of the slots, `tfa:{marker:<n>}` with the smallest number whose slot is
/// there.
static MARKERS: LazyLock<Vec<(u16, String)>> = LazyLock::new(|| {
    let mut markers = vec![None; usize::from(SLOTS / SLOTS_A_MARKER)];
    let (mut left, mut n) = (markers.len(), 0_u32);
    while left > 0 {
        let key = format!("tfa:{{marker:{n}}}");
        let slot = slot_of(&key);
        if let Some(place @ None) = markers.get_mut(usize::from(slot / SLOTS_A_MARKER)) {
            *place = Some((slot, key));
            left -= 1;
        }
        n += 1;
    }
    markers.into_iter().flatten().collect()
});

/// Which master has which slots, as some node said.
#[derive(Debug)]
pub(super) struct SlotMap {
    /// Counts maps.
    pub(super) version: u64,
    /// By their first slot.
    ranges: Vec<Range>,
}

#[derive(Debug)]
struct Range {
    first: u16,
    last: u16,
    master: Address,
}

impl SlotMap {
    /// Reads what `CLUSTER SLOTS` answers. A node that does not know its own address names none; then it is `asked`.
    pub(super) fn parse(answer: Value, asked: &Address, version: u64) -> RedisResult<Self> {
        let rows: Vec<Vec<Value>> = from_redis_value(answer)?;
        let mut ranges = Vec::with_capacity(rows.len());
        for row in rows {
            let mut row = row.into_iter();
            let (Some(first), Some(last), Some(master)) = (row.next(), row.next(), row.next()) else {
                return Err(malformed());
            };
            let mut master: std::vec::IntoIter<Value> = from_redis_value::<Vec<Value>>(master)?.into_iter();
            let (Some(host), Some(port)) = (master.next(), master.next()) else { return Err(malformed()) };
            let host: Option<String> = from_redis_value(host)?;
            if host.as_deref() == Some("?") {
                continue; // a node whose address nobody knows
            }
            let host = host.filter(|host| !host.is_empty()).unwrap_or_else(|| asked.host.clone());
            ranges.push(Range {
                first: from_redis_value(first)?,
                last: from_redis_value(last)?,
                master: Address { host, port: from_redis_value(port)? },
            });
        }
        if ranges.is_empty() {
            return Err((ErrorKind::UnexpectedReturnType, "the node knows of no slots").into());
        }
        ranges.sort_by_key(|range| range.first);
        Ok(Self { version, ranges })
    }

    /// The master that has a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<&Address> {
        let after = self.ranges.partition_point(|range| range.first <= slot);
        let range = self.ranges.get(after.checked_sub(1)?)?;
        (slot <= range.last).then_some(&range.master)
    }

    /// All masters that have slots, each once, in a lasting order.
    pub(super) fn masters(&self) -> Vec<Address> {
        let mut masters: Vec<_> = self.ranges.iter().map(|range| range.master.clone()).collect();
        masters.sort();
        masters.dedup();
        masters
    }

    /// The markers that a master must have.
    pub(super) fn markers_of(&self, master: &Address) -> Vec<String> {
        let is_there = |slot| self.owner(slot) == Some(master);
        MARKERS.iter().filter(|(slot, _)| is_there(*slot)).map(|(_, key)| key.clone()).collect()
    }
}

fn malformed() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "CLUSTER SLOTS answered something else").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // By CLUSTER KEYSLOT.
        for (key, slot) in [("123456789", 12739), ("foo", 12182), ("tfa:{foo}:x", 12182), ("{}x", 10595)] {
            assert_eq!(slot_of(key), slot, "{key}");
        }
        assert_eq!(slot_of("a{b{c}d}"), slot_of("b{c"));
    }

    #[test]
    fn every_part_of_the_slots_has_one_marker() {
        let parts: Vec<u16> = MARKERS.iter().map(|(slot, _)| slot / SLOTS_A_MARKER).collect();
        assert_eq!(parts, (0..128).collect::<Vec<_>>());
        assert!(MARKERS.iter().all(|(slot, key)| slot_of(key) == *slot));
    }

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())])
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_map_says_who_has_a_slot_and_which_markers() {
        let row = |first, last, master| Value::Array(vec![Value::Int(first), Value::Int(last), master]);
        let answer = Value::Array(vec![
            row(8192, 16383, node(text("b"), 2)),
            row(0, 4095, node(Value::Nil, 1)),
            row(5000, 5000, node(text("b"), 2)),
            row(6000, 6001, node(text("?"), 3)),
        ]);
        let asked = Address { host: "a".into(), port: 9 };
        let map = SlotMap::parse(answer, &asked, 7).unwrap();
        let owner = |slot| map.owner(slot).map(ToString::to_string);
        let [a, b] = ["a:1", "b:2"].map(|text| Some(text.to_owned()));
        for (slot, expected) in [
            (0, &a),
            (4095, &a),
            (4096, &None),
            (4999, &None),
            (5000, &b),
            (5001, &None),
            (6000, &None),
            (8192, &b),
            (16383, &b),
        ] {
            assert_eq!(owner(slot), *expected, "{slot}");
        }
        assert_eq!(map.masters().len(), 2);
        assert_eq!(map.markers_of(&map.masters()[0]).len(), 32);
        assert_eq!(map.markers_of(&map.masters()[1]).len() / 2, 32);
        assert!(SlotMap::parse(Value::Array(vec![]), &asked, 1).is_err());
        assert!(SlotMap::parse(Value::Okay, &asked, 1).is_err());
    }
}
