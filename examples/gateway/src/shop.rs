//! The two upstreams, which fail on command: `POST /mode/stumble`, `/mode/fail`, `/mode/hang`, `/mode/mute` or
//! `/mode/ok`.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use tokio::{net::TcpListener, sync::watch};

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    Ok,
    /// Every third request fails.
    Stumble,
    Fail,
    Hang,
    /// Does what it is asked for, and does not answer.
    Mute,
}

/// A handle on an upstream.
#[derive(Clone)]
pub(crate) struct Shop {
    mode: Arc<watch::Sender<Mode>>,
    asked: Arc<AtomicU64>,
    placed: Arc<AtomicU64>,
}

impl Shop {
    /// Serves until the runtime ends.
    pub(crate) fn start(listener: TcpListener) -> Self {
        let shop = Self { mode: Arc::new(watch::Sender::new(Mode::Ok)), asked: Arc::default(), placed: Arc::default() };
        let router = Router::new()
            .route("/orders", post(Self::place))
            .route("/orders/{id}", get(async |Path(id): Path<String>| format!("order {id}")))
            .route("/stock/{item}", get(async |Path(item): Path<String>| format!("7 of {item}")))
            .layer(middleware::from_fn_with_state(shop.clone(), Self::perhaps))
            .route("/mode/{mode}", post(Self::set_mode_by_name))
            .with_state(shop.clone());
        drop(tokio::spawn(async { axum::serve(listener, router).await }));
        shop
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// How many orders were placed.
    pub(crate) fn placed(&self) -> u64 {
        self.placed.load(Ordering::Relaxed)
    }

    async fn set_mode_by_name(State(shop): State<Self>, Path(mode): Path<String>) -> Result<(), StatusCode> {
        shop.set_mode(match &*mode {
            "ok" => Mode::Ok,
            "stumble" => Mode::Stumble,
            "fail" => Mode::Fail,
            "hang" => Mode::Hang,
            "mute" => Mode::Mute,
            _ => return Err(StatusCode::NOT_FOUND),
        });
        Ok(())
    }

    async fn perhaps(State(shop): State<Self>, request: Request, next: Next) -> Response {
        let number = shop.asked.fetch_add(1, Ordering::Relaxed);
        let mut modes = shop.mode.subscribe();
        // Who hangs does so until it is mended.
        let mode = modes.wait_for(|mode| *mode != Mode::Hang).await.map_or(Mode::Ok, |mode| *mode);
        match mode {
            Mode::Fail => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Mode::Stumble if number.is_multiple_of(3) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Mode::Mute => {
                let response = next.run(request).await;
                _ = modes.wait_for(|mode| *mode != Mode::Mute).await;
                response
            }
            _ => next.run(request).await,
        }
    }

    async fn place(State(shop): State<Self>, order: Bytes) -> (StatusCode, String) {
        let number = shop.placed.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        (StatusCode::CREATED, format!("order {number}, {} bytes", order.len()))
    }
}
