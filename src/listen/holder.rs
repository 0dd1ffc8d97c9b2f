use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr};

/// The program that listens on a port, as far as `/proc` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its name.
    pub name: String,
    /// Its process number.
    pub process: u32,
}

impl Holder {
    /// Who listens on this address, or on all addresses with this port. None when nobody does, or it belongs to
    /// somebody whose files we may not read.
    pub fn of(address: SocketAddr) -> Option<Self> {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
        let sockets: Vec<u64> = tables.iter().flat_map(|table| listening(table, address)).collect();
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let process = numbers.find(|process| holds(*process, &sockets))?;
        let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
        Some(Self { name: name.trim().chars().filter(|letter| !letter.is_control()).collect(), process })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" (process {})", self.name, self.process)
    }
}

/// The inodes of the sockets of a table that listen where this address would.
fn listening(table: &str, address: SocketAddr) -> Vec<u64> {
    let lines = table.lines().skip(1).map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    lines
        .filter(|columns| columns.get(3) == Some(&LISTEN))
        .filter(|columns| columns.get(1).is_some_and(|local| covers(local, address)))
        .filter_map(|columns| columns.get(9)?.parse().ok())
        .collect()
}

/// `0100007F:1F90`: the address in the byte order of the machine, word by word, and the port.
fn covers(local: &str, address: SocketAddr) -> bool {
    let Some((host, port)) = local.split_once(':') else { return false };
    if u16::from_str_radix(port, 16) != Ok(address.port()) {
        return false;
    }
    let words = match address.ip() {
        IpAddr::V4(ip) => vec![u32::from_ne_bytes(ip.octets())],
        IpAddr::V6(ip) => {
            let octets = ip.octets();
            octets.chunks_exact(4).map(|four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]])).collect()
        }
    };
    let exact: String = words.iter().map(|word| format!("{word:08X}")).collect();
    let is_any = host.bytes().all(|digit| digit == b'0');
    host == exact || is_any || address.ip().is_unspecified()
}

fn holds(process: u32, sockets: &[u64]) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    files.flatten().filter_map(|file| fs::read_link(file.path()).ok()).any(|target| {
        let inode = target.to_str().and_then(|target| target.strip_prefix("socket:[")?.strip_suffix(']'));
        inode.and_then(|inode| inode.parse().ok()).is_some_and(|inode| sockets.contains(&inode))
    })
}

/// The kernel's number of the state.
const LISTEN: &str = "0A";

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_program_that_listens_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = Holder::of(listener.local_addr().unwrap()).unwrap();
        assert_eq!(holder.process, std::process::id());
        assert!(holder.to_string().ends_with(&format!("(process {})", std::process::id())));
    }

    #[test]
    fn a_table_shows_who_listens_where() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1\n\
             1: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4243 1\n\
             2: 0100007F:1F92 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 4244 1\n";
        let at = |text: &str| listening(table, text.parse().unwrap());
        assert_eq!(at("127.0.0.1:8081"), [4243]);
        assert_eq!(at("0.0.0.0:8080"), [4242]);
        assert_eq!(at("127.0.0.2:8080"), [0u64; 0]);
        assert_eq!(at("127.0.0.1:8082"), [0u64; 0]);
    }
}
