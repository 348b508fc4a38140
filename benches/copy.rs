//! The floor of a proxy, for `bench/run.py`: copies bytes both ways on one thread and looks at nothing.
//! `copy PORT UPSTREAM_PORT`.

use std::net::Ipv4Addr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::{Builder, LocalOptions},
    task::spawn_local,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo bench` adds an argument of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut port =
        |what: &'static str| Ok::<u16, Box<dyn std::error::Error>>(arguments.next().ok_or(what)?.parse()?);
    let (port, upstream) = (port("PORT")?, port("UPSTREAM_PORT")?);
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (mut client, _) = listener.accept().await?;
            client.set_nodelay(true)?;
            spawn_local(async move {
                let Ok(mut upstream) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await else {
                    return;
                };
                if upstream.set_nodelay(true).is_ok() {
                    // Either side may leave at any time.
                    let _ = copy_bidirectional(&mut client, &mut upstream).await;
                }
            });
        }
    })
}
