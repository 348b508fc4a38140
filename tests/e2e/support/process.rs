//! Child processes that cannot outlive the tests.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a part may take to start or to end before the test gives up. Nothing waits so long when all
/// is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

type Job = (Command, Sender<std::io::Result<Child>>);

/// Starts a process that is told to end when this one dies.
///
/// The kernel sends that signal when the *thread* dies that started the child, and each test runs on a
/// thread of its own: so one thread that never ends starts them all.
pub(crate) fn spawn(command: &Command) -> Child {
    static STARTER: OnceLock<Sender<Job>> = OnceLock::new();
    let jobs = STARTER.get_or_init(|| {
        let (sender, queue) = channel::<Job>();
        thread::spawn(move || {
            for (mut command, answer) in queue {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let described = format!("{command:?}");
    let (answer, started) = channel();
    jobs.send((bound_to_this_process(command), answer)).expect("the starter thread runs");
    started
        .recv()
        .expect("the starter thread answers")
        .unwrap_or_else(|e| panic!("cannot start {described}: {e}"))
}

/// The same command under `setpriv --pdeathsig`, its pipes open.
fn bound_to_this_process(command: &Command) -> Command {
    let mut bound = Command::new("setpriv");
    bound.args(["--pdeathsig", "TERM", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        bound.current_dir(dir);
    }
    bound.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    bound
}

/// A directory of a test's own, below cargo's: what a killed test leaves there goes with `cargo clean`.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"))
}

/// Runs a command to its end, which must be a good one, and returns what it printed.
pub(crate) fn quietly(command: &mut Command) -> String {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8(output.stdout).expect("printed UTF-8")
}

/// Sends a signal to a process by its number.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process number");
    // It may have ended on its own: that is what the signal was for.
    let _ = kill_process(pid, signal);
    if signal == Signal::STOP {
        // On another core it may be about to answer.
        let since = Instant::now();
        while is_running(pid) {
            assert!(since.elapsed() < PATIENCE, "it does not stop");
            thread::yield_now();
        }
    }
}

/// Whether a process is there, and neither stopped nor at its end (`proc_pid_stat(5)`).
fn is_running(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| !"TtZX".contains(state))
}

/// Asks a process to end, then makes it.
pub(crate) fn end(child: &mut Child) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    signal(child.id(), Signal::CONT);
    signal(child.id(), Signal::TERM);
    // Its pipes close when it ends; a watchdog thread makes an end of it when it does not.
    let (done, ended) = channel::<()>();
    let pid = child.id();
    let watchdog = thread::spawn(move || {
        if ended.recv_timeout(Duration::from_secs(15)).is_err() {
            signal(pid, Signal::KILL);
        }
    });
    let _ = child.wait();
    let _ = done.send(());
    let _ = watchdog.join();
}

/// Sends each line of a stream on, as it comes, and ends the channel with the stream.
pub(crate) fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
            // When nobody listens any more, go on reading: a full pipe would stop the child.
            let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            line.clear();
        }
    });
    receiver
}

/// A port of the loopback that nothing listens on, for servers that cannot choose one themselves.
///
/// Below the range from which the kernel takes the ports of outgoing connections, or one of those could
/// take it first.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const SPAN: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() * 61 % u32::from(SPAN)).expect("below the span");
    for _ in 0..SPAN {
        let offset = (start + NEXT.fetch_add(1, Ordering::Relaxed) % SPAN) % SPAN;
        let port = FIRST + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + SPAN);
}
