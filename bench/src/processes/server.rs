use headwater_servers::Server;

/// How long a server has computed so far, in nanoseconds.
pub(crate) fn cpu(server: &Server) -> u64 {
    let told = std::fs::read_to_string(format!("/proc/{}/schedstat", server.id()));
    let told = told.expect("the system tells");
    told.split(' ').next().and_then(|time| time.parse().ok()).expect("a number")
}

/// The bytes that a server's data take, and what it needs to find them.
pub(crate) fn memory(server: &Server) -> u64 {
    let told = server.tell("INFO memory");
    let used = told.lines().find_map(|line| line.strip_prefix("used_memory:"));
    used.and_then(|bytes| bytes.trim().parse().ok()).expect("a number")
}
