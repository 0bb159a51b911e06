//! Writes classic pcap: little-endian, microseconds, Ethernet.

use std::io::{self, Write};

use fluxtap_wire::{LinkType, Packet};

/// Writes packets to a capture file as they come; keeps none of them.
///
/// ```text
/// a1b2c3d4 | 2.4 | 0 | 0 | snap length | link type       24 bytes, once
/// seconds | microseconds | captured | on the wire | ...  16 bytes before each packet
/// ```
#[derive(Debug)]
pub struct PcapWriter<W> {
    out: W,
}

/// Snap length the header states, in bytes; libpcap's own maximum.
const SNAP_OCTETS: u32 = 262_144;

impl<W: Write> PcapWriter<W> {
    /// Starts a capture of Ethernet packets.
    ///
    /// # Errors
    /// What `out` reports.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
        out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        out.write_all(&SNAP_OCTETS.to_le_bytes())?;
        out.write_all(&u32::from(LinkType::ETHERNET.0).to_le_bytes())?;
        Ok(Self { out })
    }

    /// Appends a packet.
    ///
    /// # Errors
    /// What the output reports; `InvalidInput` for another link type, a time after 2106 or more
    /// than 262,144 bytes, which this format cannot hold.
    pub fn write(&mut self, packet: Packet<'_>) -> io::Result<()> {
        let seconds = u32::try_from(packet.at.secs()).ok();
        let captured = u32::try_from(packet.bytes.len()).ok().filter(|&n| n <= SNAP_OCTETS);
        let (LinkType::ETHERNET, Some(seconds), Some(captured)) = (packet.link, seconds, captured)
        else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "pcap: got link type {}, second {}, {} bytes; expected Ethernet (1), a second below 2^32 and at most {SNAP_OCTETS} bytes",
                    packet.link.0,
                    packet.at.secs(),
                    packet.bytes.len()
                ),
            ));
        };
        let micros = (packet.at.0 / 1000 % 1_000_000) as u32;
        let mut head = [0; 16];
        let fields = [seconds, micros, captured, packet.wire_len];
        for (place, field) in head.chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        self.out.write_all(&head)?;
        self.out.write_all(packet.bytes)
    }

    /// Hands the output back, for flushing and closing.
    pub fn into_inner(self) -> W {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use fluxtap_wire::Timestamp;

    use super::*;

    #[test]
    fn a_packet_is_written_as_libpcap_would() {
        let mut writer = PcapWriter::new(Vec::new()).unwrap();
        let packet = Packet {
            at: Timestamp(0x1122_3344 * Timestamp::SECOND + 5_999),
            link: LinkType::ETHERNET,
            bytes: b"abc",
            wire_len: 3,
        };
        writer.write(packet).unwrap();
        let refused = writer.write(Packet { link: LinkType::RAW, ..packet }).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        let expect = [
            b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0".as_slice(),
            b"\x44\x33\x22\x11\x05\0\0\0\x03\0\0\0\x03\0\0\0abc",
        ]
        .concat();
        assert_eq!(writer.into_inner(), expect);
    }
}
