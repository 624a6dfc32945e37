use crate::args::DoctorArgs;
use crate::exit::Exit;
pub(crate) fn run(_: &DoctorArgs) -> Exit { Exit::Done }
