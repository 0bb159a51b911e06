//! What an interface delivers to a reader that does nothing with it: libpcap over TPACKET_V3, with
//! the ring and the filter of the sensor. Reads until nothing came for some seconds, then says how
//! many packets were read and how many the kernel dropped.
//!
//! ```text
//! cargo run --release -p fluxtap-capture --example bare -- IFACE RING_MIB QUIET_SECONDS
//! ```

use std::error::Error;
use std::io::{self, Write};

use fluxtap_capture::Filter;
use fluxtap_wire::LinkType;
use pcap::{Capture, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [interface, ring_mib, quiet_s] = arguments.as_slice() else {
        return Err("expected an interface, MiB of its ring and seconds of quiet".into());
    };
    let (ring_mib, quiet_s): (i32, i64) = (ring_mib.parse()?, quiet_s.parse()?);
    let mut capture = Capture::from_device(interface.as_str())?
        .promisc(true)
        .immediate_mode(false)
        .timeout(50)
        .snaplen(65_535)
        .buffer_size(ring_mib << 20)
        .precision(Precision::Nano)
        .open()?
        .setnonblock()?;
    let filter = Filter::Ports { dns: vec![53], tunnels: Vec::new() };
    if let Some(filter) = filter.expression(LinkType::ETHERNET) {
        capture.filter(&filter, true)?;
    }
    let (mut packets, mut sum) = (0_u64, 0_u64);
    let mut has_begun = false;
    loop {
        let read = capture.dispatch(None, |packet| {
            packets += 1;
            // One byte of each, so that it is touched.
            sum = sum.wrapping_add(u64::from(packet.data.last().copied().unwrap_or(0)));
        })?;
        has_begun |= read > 0;
        let timeout = Timespec { tv_sec: if has_begun { quiet_s } else { 60 }, tv_nsec: 0 };
        if read == 0 && poll(&mut [PollFd::new(&capture, PollFlags::IN)], Some(&timeout))? == 0 {
            break;
        }
    }
    let dropped = capture.stats()?.dropped;
    writeln!(io::stdout(), "packets={packets} dropped={dropped} sum={sum:x}")?;
    Ok(())
}
