//! What is said to a git server, in both versions of its protocol: which references there are, and which objects we want
//! (git documentation, "gitprotocol-v2", "gitprotocol-pack"). We never have anything, so nothing is negotiated.

use std::io::{self, Read};

use super::AGENT;
use super::connection::{Connection, RequestError};
use super::error::malformed;
use super::object::ObjectId;
use super::pkt_line::{self, DELIMITER, FLUSH, Packet, Sideband};

/// Lines of an answer, and their bytes. The largest repositories have some hundred thousand references.
const LINES_MAX: usize = 4_000_000;
const BYTES_MAX: usize = 512 * 1024 * 1024;

/// Lines about what a server can do; real ones say about ten.
const CAPABILITIES_MAX: usize = 256;

/// Objects that are asked for at once.
const WANTS_MAX: usize = 1_000_000;

/// What the server says first.
pub(super) enum Advertisement {
    /// It speaks version 2: references are asked for.
    Two { capabilities: Vec<String> },
    /// It speaks an older version: here are its references.
    Older {
        capabilities: Vec<String>,
        references: Vec<Reference>,
        /// What all its references stand for.
        tips: Vec<ObjectId>,
    },
}

/// A name, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) id: ObjectId,
    /// What an annotated tag is about.
    pub(super) peeled: Option<ObjectId>,
}

/// Reads what the server says first. Keeps references of these names only.
pub(super) fn read_advertisement(
    reader: &mut dyn Read,
    names: &[String],
) -> io::Result<Advertisement> {
    let mut reader = reader;
    let mut listing = Listing::default();
    let mut first = None;
    let mut lines = Vec::new();
    let mut tips = Vec::new();
    let mut references = Vec::new();
    for is_first_part in [true, false] {
        let mut is_service = false;
        pkt_line::read_lines(&mut reader, |line| {
            listing.count(line)?;
            // Over HTTP, the name of the service comes first, on its own.
            if is_first_part && first.is_none() && line.starts_with("# service=") {
                is_service = true;
                return Ok(());
            }
            match first.get_or_insert_with(|| line.to_owned()).as_str() {
                "version 2" => keep(&mut lines, line),
                "version 1" if line == "version 1" => Ok(()),
                _ => {
                    let (line, words) = line.split_once('\0').unwrap_or((line, ""));
                    if lines.is_empty() {
                        lines = words.split(' ').map(str::to_owned).collect();
                    }
                    add_reference(&mut references, &mut tips, line, names)
                }
            }
        })?;
        if !is_service {
            break;
        }
    }
    Ok(match first.as_deref() {
        Some("version 2") => Advertisement::Two {
            capabilities: lines,
        },
        _ => Advertisement::Older {
            capabilities: lines,
            references,
            tips,
        },
    })
}

/// `ID NAME`; the line `ID NAME^{}` says what the tag before it is about.
fn add_reference(
    references: &mut Vec<Reference>,
    tips: &mut Vec<ObjectId>,
    line: &str,
    names: &[String],
) -> io::Result<()> {
    let Some((id, name)) = line.split_once(' ') else {
        return Err(malformed("a reference that cannot be read"));
    };
    // Our shallow request has no use for the server's own borders.
    if id == "shallow" || name == "capabilities^{}" {
        return Ok(());
    }
    let id = ObjectId::from_hex(id).ok_or_else(|| malformed(SHA_256))?;
    match (name.strip_suffix("^{}"), references.last_mut()) {
        (Some(tag), Some(last)) if last.name == tag => last.peeled = Some(id),
        (Some(_), _) => {}
        (None, _) => {
            if tips.len() < WANTS_MAX {
                tips.push(id);
            }
            let reference = Reference {
                name: name.to_owned(),
                id,
                peeled: None,
            };
            keep_reference(references, reference, names);
        }
    }
    Ok(())
}

/// Keeps a reference of one of these names, once.
fn keep_reference(references: &mut Vec<Reference>, reference: Reference, names: &[String]) {
    let is_known = references.iter().any(|it| it.name == reference.name);
    if names.contains(&reference.name) && !is_known {
        references.push(reference);
    }
}

/// Asks a server of version 2 for the references of these names.
pub(super) fn list_references(
    connection: &mut Connection<'_>,
    capabilities: &[String],
    names: &[String],
) -> Result<Vec<Reference>, RequestError> {
    let mut request = command("ls-refs", capabilities)?;
    request.extend_from_slice(DELIMITER);
    pkt_line::push(&mut request, b"peel\n")?;
    for name in names {
        pkt_line::push(&mut request, format!("ref-prefix {name}\n").as_bytes())?;
    }
    request.extend_from_slice(FLUSH);
    let mut references = Vec::new();
    let mut listing = Listing::default();
    let mut answer = connection.request(request)?;
    pkt_line::read_lines(&mut answer, |line| {
        listing.count(line)?;
        let mut words = line.split(' ');
        let id = words.next().and_then(ObjectId::from_hex);
        let (Some(id), Some(name)) = (id, words.next()) else {
            // `unborn HEAD`, where there is no commit yet.
            return Ok(());
        };
        let peeled = words.find_map(|word| ObjectId::from_hex(word.strip_prefix("peeled:")?));
        let reference = Reference {
            name: name.to_owned(),
            id,
            peeled,
        };
        keep_reference(&mut references, reference, names);
        Ok(())
    })?;
    Ok(references)
}

/// Asks for a commit, or what a tag is about, without its history. Returns the bytes of the pack.
pub(super) fn fetch<'a>(
    connection: &'a mut Connection<'_>,
    advertisement: &Advertisement,
    wanted: ObjectId,
) -> Result<Box<dyn Read + 'a>, RequestError> {
    match advertisement {
        Advertisement::Two { capabilities } => fetch_two(connection, capabilities, wanted),
        Advertisement::Older {
            capabilities, tips, ..
        } => fetch_older(connection, capabilities, tips, wanted),
    }
}

fn fetch_two<'a>(
    connection: &'a mut Connection<'_>,
    capabilities: &[String],
    wanted: ObjectId,
) -> Result<Box<dyn Read + 'a>, RequestError> {
    let mut request = command("fetch", capabilities)?;
    request.extend_from_slice(DELIMITER);
    let features = capabilities
        .iter()
        .find_map(|line| line.strip_prefix("fetch="));
    let is_shallow = features.is_some_and(|features| features.split(' ').any(|it| it == "shallow"));
    for line in ["no-progress\n", "ofs-delta\n"] {
        pkt_line::push(&mut request, line.as_bytes())?;
    }
    if is_shallow {
        pkt_line::push(&mut request, b"deepen 1\n")?;
    }
    pkt_line::push(&mut request, format!("want {wanted}\n").as_bytes())?;
    pkt_line::push(&mut request, b"done\n")?;
    request.extend_from_slice(FLUSH);
    let mut answer = connection.request(request)?;
    let mut listing = Listing::default();
    loop {
        let Packet::Data(section) = pkt_line::read(&mut answer)? else {
            return Err(malformed("an answer without a pack").into());
        };
        if section.starts_with(b"packfile") {
            return Ok(Box::new(Sideband::new(answer)));
        }
        // What else there is says nothing to us: `shallow-info`, `acknowledgments`.
        listing.count("")?;
        pkt_line::read_lines(&mut answer, |line| listing.count(line))?;
    }
}

fn fetch_older<'a>(
    connection: &'a mut Connection<'_>,
    capabilities: &[String],
    tips: &[ObjectId],
    wanted: ObjectId,
) -> Result<Box<dyn Read + 'a>, RequestError> {
    let has = |name: &str| capabilities.iter().any(|word| word == name);
    if !has("side-band-64k") {
        return Err(malformed("a server without `side-band-64k`").into());
    }
    let is_tip = tips.contains(&wanted);
    let may_want = is_tip || has("allow-reachable-sha1-in-want") || has("allow-any-sha1-in-want");
    let wants = wants(tips, wanted, may_want)?;
    let is_shallow = may_want && has("shallow");
    let mut request = Vec::new();
    for (index, id) in wants.iter().enumerate() {
        let line = match index {
            0 => {
                let optional = ["ofs-delta", "no-progress"];
                let offered: Vec<&str> = optional.into_iter().filter(|it| has(it)).collect();
                format!("want {id} side-band-64k {}\n", offered.join(" "))
            }
            _ => format!("want {id}\n"),
        };
        pkt_line::push(&mut request, line.as_bytes())?;
    }
    if is_shallow {
        pkt_line::push(&mut request, b"deepen 1\n")?;
    }
    request.extend_from_slice(FLUSH);
    pkt_line::push(&mut request, b"done\n")?;
    let mut answer = connection.request(request)?;
    if is_shallow {
        let mut listing = Listing::default();
        pkt_line::read_lines(&mut answer, |line| listing.count(line))?;
    }
    match pkt_line::read(&mut answer)? {
        Packet::Data(line) if line.starts_with(b"NAK") => Ok(Box::new(Sideband::new(answer))),
        _ => Err(malformed("an answer without a pack").into()),
    }
}

/// Returns what to ask an older server for. One that gives nothing but what its references stand for is asked for all of
/// them, with their history.
fn wants(tips: &[ObjectId], wanted: ObjectId, may_want: bool) -> io::Result<Vec<ObjectId>> {
    if may_want {
        return Ok(vec![wanted]);
    }
    if tips.len() >= WANTS_MAX {
        return Err(malformed("more references than can be asked for"));
    }
    let mut wants = tips.to_vec();
    wants.sort_unstable();
    wants.dedup();
    Ok(wants)
}

/// What the objects of a repository with `extensions.objectFormat=sha256` are called.
const SHA_256: &str = "it names objects by SHA-256, which is not supported";

/// Begins a request of version 2.
fn command(name: &str, capabilities: &[String]) -> io::Result<Vec<u8>> {
    let format = capabilities
        .iter()
        .find_map(|line| line.strip_prefix("object-format="));
    if format.is_some_and(|format| format != "sha1") {
        return Err(malformed(SHA_256));
    }
    let mut request = Vec::new();
    pkt_line::push(&mut request, format!("command={name}\n").as_bytes())?;
    pkt_line::push(&mut request, format!("agent={AGENT}\n").as_bytes())?;
    if format.is_some() {
        pkt_line::push(&mut request, b"object-format=sha1\n")?;
    }
    Ok(request)
}

/// Keeps a line about what the server can do.
fn keep(lines: &mut Vec<String>, line: &str) -> io::Result<()> {
    if line == "version 2" {
        return Ok(());
    }
    if lines.len() >= CAPABILITIES_MAX {
        return Err(malformed("a server that can do more than any other"));
    }
    lines.push(line.to_owned());
    Ok(())
}

/// How much a server has told.
#[derive(Default)]
struct Listing {
    lines: usize,
    bytes: usize,
}

impl Listing {
    fn count(&mut self, line: &str) -> io::Result<()> {
        self.lines += 1;
        self.bytes += line.len();
        match self.lines > LINES_MAX || self.bytes > BYTES_MAX {
            true => Err(malformed("more references than any repository has")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn advertised(lines: &[String]) -> Advertisement {
        let mut bytes = Vec::new();
        pkt_line::push(&mut bytes, b"# service=git-upload-pack\n").unwrap();
        bytes.extend_from_slice(FLUSH);
        for line in lines {
            pkt_line::push(&mut bytes, line.as_bytes()).unwrap();
        }
        bytes.extend_from_slice(FLUSH);
        let names = ["refs/tags/v1".to_owned()];
        read_advertisement(&mut &bytes[..], &names).unwrap()
    }

    #[test]
    fn an_older_server_lists_its_references_at_once() {
        let lines = [
            format!("{ONE} HEAD\0side-band-64k shallow\n"),
            format!("{TWO} refs/tags/v1\n"),
            format!("{ONE} refs/tags/v1^{{}}\n"),
            format!("{TWO} refs/tags/v10\n"),
            format!("{ONE} refs/tags/v1\n"),
        ];
        let Advertisement::Older {
            capabilities,
            references,
            tips,
        } = advertised(&lines)
        else {
            panic!("taken for version 2");
        };
        assert_eq!(capabilities, ["side-band-64k", "shallow"]);
        // Of all others only what they stand for.
        let tag = &references[0];
        assert_eq!((references.len(), tag.name.as_str()), (1, "refs/tags/v1"));
        assert_eq!(tips.len(), 4);
        assert_eq!(tag.peeled, ObjectId::from_hex(ONE));
    }

    #[test]
    fn a_server_of_version_two_lists_what_it_can_do() {
        let lines = ["version 2\n", "ls-refs=unborn\n", "object-format=sha1\n"];
        let lines = lines.map(str::to_owned);
        let Advertisement::Two { capabilities } = advertised(&lines) else {
            panic!("taken for an older version");
        };
        assert_eq!(capabilities, ["ls-refs=unborn", "object-format=sha1"]);
        assert!(command("fetch", &["object-format=sha256".to_owned()]).is_err());
    }

    #[test]
    fn no_server_makes_us_ask_for_any_number() {
        let [one, two] = [ONE, TWO].map(|hex| ObjectId::from_hex(hex).unwrap());
        let many = vec![one; WANTS_MAX];
        assert_eq!(wants(&[two, one, two], one, false).unwrap(), [one, two]);
        assert_eq!(wants(&many, two, true).unwrap(), [two]);
        assert!(wants(&many, two, false).is_err());
    }

    #[test]
    fn what_a_server_tells_has_a_limit() {
        let mut listing = Listing::default();
        let line = "x".repeat(64 * 1024);
        let counted = (0..BYTES_MAX / line.len()).try_for_each(|_| listing.count(&line));
        assert!(counted.is_ok() && listing.count("x").is_err());
        let many = vec!["version 2\n".to_owned(); CAPABILITIES_MAX];
        let mut lines: Vec<String> = (0..=CAPABILITIES_MAX)
            .map(|it| format!("c{it}\n"))
            .collect();
        lines.splice(0..0, many);
        let mut bytes = Vec::new();
        for line in &lines {
            pkt_line::push(&mut bytes, line.as_bytes()).unwrap();
        }
        bytes.extend_from_slice(FLUSH);
        assert!(read_advertisement(&mut &bytes[..], &[]).is_err());
    }
}
