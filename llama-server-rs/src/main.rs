//! The command `llama-server-rs`.

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::process::ExitCode;

use llama_server_rs::cli::{self, Command};
use llama_server_rs::{Config, Server};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // One line, whatever llama.cpp had to say.
            let message = e.to_string();
            eprintln!("error: {}", message.split_whitespace().collect::<Vec<_>>().join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    match cli::parse(env::args_os().skip(1), |name| env::var(name).ok())? {
        Command::Help => print!("{}", cli::help()),
        Command::Version => println!("{}", cli::version()),
        Command::Serve(config) => {
            log_to_stderr()?;
            tokio::runtime::Runtime::new()?.block_on(serve(*config))?;
        }
    }
    Ok(())
}

async fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    let open = config.api_keys.is_empty();
    let server = Server::bind(config).await?;
    let address = server.local_addr();
    let server = server.on_ready(move |summary| {
        eprintln!("{summary}\nlistening  http://{address}");
        if open && !address.ip().is_loopback() {
            eprintln!("Everybody who can reach this address can use the model: see --api-key");
        }
    });
    Ok(server.run(shutdown_signal()).await?)
}

/// Completes at the first Ctrl-C or SIGTERM; the second ends the process.
async fn shutdown_signal() {
    signal().await;
    eprintln!("finishing the running request; Ctrl-C again to abort");
    tokio::spawn(async {
        signal().await;
        std::process::exit(130);
    });
}

async fn signal() {
    let ctrl_c = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler, the system's own ends the process.
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = ctrl_c => {}
        () = terminate => {}
    }
}

/// `RUST_LOG` says what is logged: warnings by default, but none of llama.cpp's, whose errors
/// come back as errors.
fn log_to_stderr() -> Result<(), String> {
    let filter = match env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => {
            filter.parse::<Targets>().map_err(|e| format!("RUST_LOG {filter}: {e}"))?
        }
        _ => Targets::new().with_default(LevelFilter::WARN).with_target("llama.cpp", LevelFilter::OFF),
    };
    let to_stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(to_stderr).with(filter).init();
    Ok(())
}
