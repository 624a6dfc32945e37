//! Traces from files.

use super::Named;
use headwater_replay::{Requests, Trace};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// What is wrong with a file, and which one it is.
type Result<T> = std::result::Result<T, String>;

/// The largest window of a compressed trace, as a power of two.
const WINDOW: u32 = 27;

/// What is longer is no key, but a file that is no log.
const LONGEST: usize = 1 << 20;

/// The first `most` requests of each file at these paths.
pub(super) fn read(paths: &[PathBuf], most: usize) -> Result<Vec<Named>> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(files_of(path).map_err(|fault| format!("{}: {fault}", path.display()))?);
    }
    let named = |file: &PathBuf| {
        let trace = trace(file, most).map_err(|fault| format!("{}: {fault}", file.display()))?;
        let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
        Ok(Named::new(name.trim_end_matches(".zst").trim_end_matches(".u64"), trace))
    };
    files.iter().map(named).collect()
}

/// The file, or those in the folder, by their names.
fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let is_trace = |path: &PathBuf| path.to_string_lossy().ends_with(".u64.zst");
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(words)? {
        files.push(entry.map_err(words)?.path());
    }
    files.retain(is_trace);
    files.sort_unstable();
    if files.is_empty() { Err("there is no .u64.zst file in it".to_owned()) } else { Ok(files) }
}

fn trace(file: &Path, most: usize) -> Result<Trace> {
    let name = file.to_string_lossy();
    let (bytes, name) = match name.strip_suffix(".zst") {
        Some(name) => (decompressed(file)?, name),
        None => (fs::read(file).map_err(words)?, &*name),
    };
    let trace = if name.ends_with(".u64") {
        Trace::from_le_bytes(&bytes).map_err(words)?
    } else {
        lines(&bytes)?
    };
    match trace.requests().len() {
        0 => Err("there is no request in it".to_owned()),
        many if many > most => Ok(trace.start(most)),
        _ => Ok(trace),
    }
}

fn decompressed(file: &Path) -> Result<Vec<u8>> {
    let file = File::open(file).map_err(words)?;
    let mut bytes = Vec::new();
    let decompress = || {
        let mut decoder = zstd::Decoder::new(file)?;
        decoder.window_log_max(WINDOW)?;
        decoder.read_to_end(&mut bytes)
    };
    decompress().map_err(|error| format!("cannot be decompressed: {error}"))?;
    Ok(bytes)
}

/// A key on each line that is not empty.
fn lines(bytes: &[u8]) -> Result<Trace> {
    let mut requests = Requests::<Vec<u8>>::default();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let key = line.strip_suffix(b"\r").unwrap_or(line);
        if key.len() > LONGEST {
            let length = key.len();
            return Err(format!("line {} has {length} bytes: is this a log of keys?", at + 1));
        }
        if !key.is_empty() && !requests.push(key) {
            return Err(format!("line {}: there are too many different keys", at + 1));
        }
    }
    Ok(requests.end())
}

fn words(error: impl std::error::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is gone when this value is.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, bytes: &[u8]) -> Self {
            let name = format!("headwater-bench-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::write(&path, bytes).unwrap();
            Self(path)
        }

        fn read(&self) -> Result<Vec<Named>> {
            read(std::slice::from_ref(&self.0), 5)
        }

        fn fault(&self) -> String {
            let fault = self.read().err().expect("it is refused");
            assert!(fault.starts_with(&self.0.display().to_string()), "{fault}");
            fault
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn numbers() -> Vec<u8> {
        [7_u64, 9, 7].iter().flat_map(|key| key.to_le_bytes()).collect()
    }

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 0).unwrap()
    }

    #[test]
    fn numbers_and_lines_are_read_plain_and_compressed() {
        let log = b"seven\nnine\r\n\nseven";
        let files = [
            Scratch::new("a.u64", &numbers()),
            Scratch::new("a.u64.zst", &compressed(&numbers())),
            Scratch::new("a.log", log),
            Scratch::new("a.log.zst", &compressed(log)),
        ];
        for file in &files {
            let named = file.read().unwrap();
            assert_eq!(named[0].trace.requests(), [0, 1, 0], "{}", named[0].name);
            assert!(!named[0].name.contains("u64"), "{}", named[0].name);
        }
    }

    #[test]
    fn only_the_start_is_read_where_that_is_wanted() {
        let file = Scratch::new("long.log", b"1\n2\n3\n4\n5\n6\n7\n");
        let named = file.read().unwrap();
        assert_eq!((named[0].trace.requests().len(), named[0].trace.distinct()), (5, 5));
    }

    #[test]
    fn what_is_no_trace_is_refused_by_name() {
        let cut = &compressed(&numbers())[..12];
        let huge = vec![b'k'; LONGEST + 1];
        let files = [
            (Scratch::new("empty.u64", b""), "no request"),
            (Scratch::new("empty.u64.zst", b""), "decompressed"),
            (Scratch::new("nothing.u64.zst", &compressed(b"")), "no request"),
            (Scratch::new("blank.log", b"\n\n"), "no request"),
            (Scratch::new("text.u64.zst", b"no zstd"), "decompressed"),
            (Scratch::new("cut.u64.zst", cut), "decompressed"),
            (Scratch::new("short.u64", b"1234567"), "cut short"),
            (Scratch::new("huge.log", &huge), "line 1 has 1048577 bytes"),
        ];
        for (file, word) in &files {
            let fault = file.fault();
            assert!(fault.contains(word), "{fault}");
        }
        let missing = read(&[PathBuf::from("/no/such.u64.zst")], 5).err().expect("it is refused");
        assert!(missing.starts_with("/no/such.u64.zst: "), "{missing}");
    }
}
