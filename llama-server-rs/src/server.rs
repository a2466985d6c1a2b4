//! A server's life: bind, load, serve, drain.

use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::thread;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::Config;
use crate::app::{self, App};
use crate::error::StartError;
use crate::hub::{self, Files, Hub, Loaded, Summary};

/// A server that listens, and serves once it is [run](Server::run).
pub struct Server {
    config: Config,
    listener: TcpListener,
    local_addr: SocketAddr,
    on_ready: Box<dyn FnOnce(&Summary) + Send>,
}

impl Server {
    /// Takes the address, before anything that takes long.
    ///
    /// # Errors
    ///
    /// An address that is in use or not this machine's.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        // As in URLs, an IPv6 address may stand in brackets.
        let host = config.host.trim_start_matches('[').trim_end_matches(']');
        let bound = TcpListener::bind((host, config.port)).await;
        let listener = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (local_addr, listener) = listener.map_err(|source| StartError::Bind {
            host: config.host.clone(),
            port: config.port,
            source,
        })?;
        Ok(Self { config, listener, local_addr, on_ready: Box::new(|_| {}) })
    }

    /// The address that is listened on, with the port that was chosen for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Calls `f` once the model is loaded and requests are answered.
    #[must_use]
    pub fn on_ready(mut self, f: impl FnOnce(&Summary) + Send + 'static) -> Self {
        self.on_ready = Box::new(f);
        self
    }

    /// Loads the model and serves until `shutdown` completes; then takes no more requests, lets
    /// the one that runs finish, and returns. While the model loads, requests are answered with
    /// 503.
    ///
    /// # Errors
    ///
    /// A model that cannot be loaded.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), StartError> {
        let mut shutdown = pin!(shutdown);
        let (files, unpacked) = Files::of(&self.config)?;
        let hub = Arc::new(Hub::default());
        let app = App {
            hub: Arc::clone(&hub),
            api_keys: Arc::new(self.config.api_keys.clone()),
            loopback_host: self.local_addr.ip().is_loopback().then(|| self.config.host.as_str().into()),
        };
        // Each event of a stream should leave at once.
        let listener = self.listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(listener, app::router(app)).with_graceful_shutdown(async {
            // Stops as well when the sender is dropped.
            let _ = stopped.await;
        });
        let serving = tokio::spawn(serving.into_future());

        let loading = load(self.config, files);
        let loaded = tokio::select! {
            loaded = loading => loaded,
            () = &mut shutdown => {
                serving.abort();
                return Ok(());
            }
        };
        let (loaded, summary) = match loaded {
            Ok(loaded) => loaded,
            Err(e) => {
                serving.abort();
                return Err(e);
            }
        };
        // Unix keeps the contents of a deleted file for those who have it open, and a file that
        // is gone needs no cleaning up after a crash.
        let unpacked = unpacked.filter(|_| !cfg!(unix));

        let loaded = Arc::new(loaded);
        hub.set(Arc::clone(&loaded));
        (self.on_ready)(&summary);

        shutdown.await;
        loaded.worker.close();
        drop(stop);
        // The task neither panics nor is aborted from here on.
        let served = serving.await.unwrap_or(Ok(()));
        let _ = tokio::task::spawn_blocking(move || loaded.worker.join()).await;
        drop((hub, unpacked));
        Ok(served?)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("config", &self.config)
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}

/// Loads on a thread of its own, which a shutdown need not wait for.
async fn load(config: Config, files: Files) -> Result<(Loaded, Summary), StartError> {
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new().name("loader".into()).spawn(move || {
        // Nobody listens if the server was shut down meanwhile.
        let _ = sender.send(hub::load(&config, &files));
    })?;
    receiver.await.map_err(|_| StartError::Crashed("unexpectedly"))?
}
