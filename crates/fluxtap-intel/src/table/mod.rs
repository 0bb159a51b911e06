//! Address to owner: the packed table unpacked into sorted arrays.
//!
//! A range ends where the next begins; addresses nobody announces are ranges of
//! [`Owner::UNKNOWN`]. For IPv4 an index on the upper 16 bits leaves a search among the few
//! ranges of one /16; IPv6 keeps the upper 64 bits and searches all ranges.

pub mod format;

use std::net::IpAddr;

use format::{HYPERSCALER_BIT, Header, Kind, TableError};

use crate::owner::{AddressClass, Country, Owner};

/// Upper halves of an IPv4 address, and one for the end.
const INDEX_LEN: usize = (1 << 16) + 1;

/// Ranges to owners, in memory.
pub struct Table {
    header: Header,
    owners: Box<[Owner]>,
    v4: Ranges<u32>,
    /// First range that starts at or after each /16; what starts before is the range that is on.
    v4_index: Box<[u32]>,
    v6: Ranges<u64>,
}

struct Ranges<K> {
    starts: Box<[K]>,
    owners: Box<[u32]>,
}

impl Table {
    /// Unpacks a table and checks every rule of its layout ([`mod@format`]).
    ///
    /// # Errors
    /// The first reason found to refuse it; memory is bounded by [`format::BODY_LEN_MAX`] before
    /// anything is allocated.
    pub fn decode(bytes: &[u8]) -> Result<Self, TableError> {
        let (header, body) = unpack(bytes, Kind::Addresses)?;
        let mut body = Body { rest: &body };
        let countries = body.countries(header.countries)?;
        let asns = body.asns(header.asns)?;
        let classes = body.classes(header.asns)?;
        let owners = body.owners(header.owners, &asns, &classes, &countries)?;
        let starts = body.rising("v4 starts", header.ranges_v4)?;
        let starts = starts
            .iter()
            .map(|&start| u32::try_from(start))
            .collect::<Result<Box<[u32]>, _>>()
            .map_err(|_| TableError::Part { part: "v4 starts" })?;
        let v4 = Ranges { starts, owners: body.owner_indices(header.ranges_v4, header.owners)? };
        let starts = body.rising("v6 starts", header.ranges_v6)?.into();
        let v6 = Ranges { starts, owners: body.owner_indices(header.ranges_v6, header.owners)? };
        body.finish()?;
        // The look-ups rely on a range that begins at zero.
        if v4.starts.first() != Some(&0) || v6.starts.first() != Some(&0) {
            return Err(TableError::Part { part: "first range" });
        }
        let v4_index = index(&v4.starts);
        Ok(Self { header, owners, v4, v4_index, v6 })
    }

    /// Who announces the address; [`Owner::UNKNOWN`] when nobody does.
    ///
    /// IPv6 is told apart down to /64. An IPv4-mapped address is looked up as it stands.
    pub fn owner(&self, ip: IpAddr) -> Owner {
        let owner = match ip {
            IpAddr::V4(ip) => {
                let key = ip.to_bits();
                let half = (key >> 16) as usize;
                let from = self.v4_index[half] as usize;
                let to = self.v4_index[half + 1] as usize;
                let within = self.v4.starts[from..to].partition_point(|&start| start <= key);
                self.v4.owners[from + within - 1]
            }
            IpAddr::V6(ip) => {
                let key = (ip.to_bits() >> 64) as u64;
                self.v6.owners[self.v6.starts.partition_point(|&start| start <= key) - 1]
            }
        };
        self.owners[owner as usize]
    }

    /// Counts and origin of the data.
    pub fn header(&self) -> &Header {
        &self.header
    }
}

/// Names of autonomous systems, in memory.
pub struct Names {
    asns: Box<[u32]>,
    /// Where each name ends in `text`; the newline is not kept.
    ends: Box<[u32]>,
    text: Box<str>,
}

impl Names {
    /// Unpacks a table of names and checks every rule of its layout.
    ///
    /// # Errors
    /// As for [`Table::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, TableError> {
        const WRONG: TableError = TableError::Part { part: "names" };
        let (header, body) = unpack(bytes, Kind::Names)?;
        let mut body = Body { rest: &body };
        let asns = body.asns(header.asns)?;
        let lines = std::str::from_utf8(body.rest).map_err(|_| WRONG)?;
        let mut text = String::with_capacity(lines.len());
        let mut ends = Vec::with_capacity(asns.len());
        for line in lines.split_terminator('\n') {
            if line.chars().any(char::is_control) {
                return Err(WRONG);
            }
            text.push_str(line);
            ends.push(u32::try_from(text.len()).map_err(|_| WRONG)?);
        }
        let is_whole = lines.is_empty() || lines.ends_with('\n');
        if ends.len() != asns.len() || !is_whole {
            return Err(WRONG);
        }
        Ok(Self { asns, ends: ends.into(), text: text.into() })
    }

    /// The name of an autonomous system.
    pub fn get(&self, asn: u32) -> Option<&str> {
        let place = self.asns.binary_search(&asn).ok()?;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        self.text.get(start..self.ends[place] as usize)
    }
}

fn unpack(bytes: &[u8], kind: Kind) -> Result<(Header, Vec<u8>), TableError> {
    let (header, frame) = Header::parse(bytes, kind)?;
    let body_len = header.body_len as usize;
    let body = zstd::bulk::decompress(frame, body_len).map_err(|_| TableError::Body)?;
    if body.len() == body_len { Ok((header, body)) } else { Err(TableError::Body) }
}

fn index(starts: &[u32]) -> Box<[u32]> {
    let mut index = vec![0_u32; INDEX_LEN];
    for &start in starts {
        // A start on the border of a /16 belongs to it: it is counted from the next one on,
        // and so is every other start of that /16.
        index[(start >> 16) as usize + 1] += 1;
    }
    for half in 1..INDEX_LEN {
        index[half] += index[half - 1];
    }
    index.into()
}

/// What is left of an unpacked body.
struct Body<'a> {
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    fn take(&mut self, part: &'static str, len: usize) -> Result<&'a [u8], TableError> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(TableError::Part { part });
        };
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self, part: &'static str) -> Result<u64, TableError> {
        let mut value = 0_u64;
        // Ten groups of seven bits hold 64 bits; a longer number is no number.
        for (place, &byte) in self.rest.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * place;
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                self.rest = &self.rest[place + 1..];
                return Ok(value);
            }
        }
        Err(TableError::Part { part })
    }

    /// Strictly rising numbers, stored as differences; only the first may be zero.
    fn rising(&mut self, part: &'static str, count: u32) -> Result<Vec<u64>, TableError> {
        let mut numbers = Vec::with_capacity(count as usize);
        let mut last = 0_u64;
        for place in 0..count {
            let step = self.number(part)?;
            let Some(next) = last.checked_add(step).filter(|_| step > 0 || place == 0) else {
                return Err(TableError::Part { part });
            };
            numbers.push(next);
            last = next;
        }
        Ok(numbers)
    }

    fn countries(&mut self, count: u32) -> Result<Vec<Country>, TableError> {
        const PART: &str = "countries";
        let mut countries = vec![Country::UNKNOWN];
        for code in self.take(PART, count as usize * 2)?.chunks_exact(2) {
            let country = Country::from_code([code[0], code[1]]);
            countries.push(country.ok_or(TableError::Part { part: PART })?);
        }
        Ok(countries)
    }

    fn asns(&mut self, count: u32) -> Result<Box<[u32]>, TableError> {
        const PART: &str = "asns";
        let wide = self.rising(PART, count)?;
        let asns: Result<Box<[u32]>, _> = wide.iter().map(|&asn| u32::try_from(asn)).collect();
        asns.map_err(|_| TableError::Part { part: PART })
    }

    fn classes(&mut self, count: u32) -> Result<Vec<(AddressClass, bool)>, TableError> {
        const PART: &str = "classes";
        let bytes = self.take(PART, count as usize)?;
        let classes = bytes.iter().map(|&byte| {
            let class = AddressClass::from_number(byte & !HYPERSCALER_BIT)?;
            Some((class, byte & HYPERSCALER_BIT != 0))
        });
        classes.collect::<Option<_>>().ok_or(TableError::Part { part: PART })
    }

    fn owners(
        &mut self,
        count: u32,
        asns: &[u32],
        classes: &[(AddressClass, bool)],
        countries: &[Country],
    ) -> Result<Box<[Owner]>, TableError> {
        const WRONG: TableError = TableError::Part { part: "owners" };
        let mut owners = Vec::with_capacity(count as usize);
        let mut place = 0_u64;
        for _ in 0..count {
            place = place.checked_add(self.number("owners")?).ok_or(WRONG)?;
            let mut owner = Owner::UNKNOWN;
            if let Some(at) = place.checked_sub(1) {
                let at = usize::try_from(at).map_err(|_| WRONG)?;
                owner.asn = *asns.get(at).ok_or(WRONG)?;
                (owner.class, owner.hyperscaler) = *classes.get(at).ok_or(WRONG)?;
            }
            owners.push(owner);
        }
        let planes = self.take("owners", count as usize)?;
        for (owner, &country) in owners.iter_mut().zip(planes) {
            owner.country = *countries.get(usize::from(country)).ok_or(WRONG)?;
        }
        Ok(owners.into())
    }

    fn owner_indices(&mut self, ranges: u32, owners: u32) -> Result<Box<[u32]>, TableError> {
        const PART: &str = "owner planes";
        let len = ranges as usize;
        let (low, middle, high) =
            (self.take(PART, len)?, self.take(PART, len)?, self.take(PART, len)?);
        let mut indices = Vec::with_capacity(len);
        for ((&low, &middle), &high) in low.iter().zip(middle).zip(high) {
            let index = u32::from_le_bytes([low, middle, high, 0]);
            if index >= owners {
                return Err(TableError::Part { part: PART });
            }
            indices.push(index);
        }
        Ok(indices.into())
    }

    fn finish(&self) -> Result<(), TableError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(TableError::Part { part: "end of the body" })
        }
    }
}
