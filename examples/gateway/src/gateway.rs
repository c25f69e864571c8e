//! The gateway: its routes, and how it starts, changes and ends.

use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use steadfast::observe::describe;
use steadfast_tower::deadline::DeadlineLayer;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::{
    audit::Audit,
    grpc,
    policies::Policies,
    settings::Settings,
    upstreams::{self, Upstreams},
};

/// How long requests that have begun are waited for when the process is told to end, and then the audit.
const PATIENCE: Duration = Duration::from_secs(15);
const PATIENCE_FOR_AUDIT: Duration = Duration::from_secs(5);

pub(crate) struct Gateway {
    policies: Arc<Policies>,
    upstreams: Upstreams,
    work: Work,
    deadline: Duration,
    counts: Counts,
}

/// All counts.
#[derive(Clone)]
struct Counts {
    policies: Arc<Policies>,
    audit: Arc<Audit>,
    prometheus: PrometheusHandle,
}

impl Counts {
    /// In the form of Prometheus. In a service of your own, on a port that is not for clients.
    async fn render(State(counts): State<Self>) -> String {
        counts.policies.publish();
        counts.audit.publish();
        counts.prometheus.render()
    }
}

/// What has begun, and what is written about it.
#[derive(Clone)]
struct Work {
    tasks: TaskTracker,
    audit: Arc<Audit>,
}

impl Gateway {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let policies = Arc::new(Policies::new(settings)?);
        let upstreams = policies.upstreams(settings.orders, settings.stock);
        let audit = Arc::new(Audit::open(&settings.audit_file, &settings.audit)?);
        let prometheus = PrometheusBuilder::new().install_recorder()?;
        describe();
        let counts = Counts { policies: policies.clone(), audit: audit.clone(), prometheus };
        let work = Work { tasks: TaskTracker::new(), audit };
        Ok(Self { policies, upstreams, work, deadline: settings.deadline, counts })
    }

    /// From the outside in: a deadline for all of it; limits, so that what is refused costs nothing; a task that ends in any
    /// case; then a POST only once; then the retries and breakers of [`Upstreams`].
    fn router(&self) -> Router {
        Router::new()
            .route("/orders", post(upstreams::forward).layer(self.policies.only_once()))
            .route("/orders/{id}", get(upstreams::forward))
            .route("/stock/{item}", get(upstreams::forward))
            .route(grpc::GET, post(grpc::get))
            .with_state(self.upstreams.clone())
            .layer(DeadlineLayer::at_most(self.deadline)) // the task ends with its client's time
            .layer(middleware::from_fn_with_state(self.work.clone(), finish))
            .layer(self.policies.limits())
            .layer(DeadlineLayer::from_header("grpc-timeout").at_most(self.deadline))
            .route("/metrics", get(Counts::render).with_state(self.counts.clone()))
    }

    pub(crate) fn apply(&self, settings: &Settings) {
        self.policies.apply(settings);
        self.work.audit.apply(&settings.audit);
    }

    /// Serves until `end`, and then finishes what has begun; true if all of it is finished and written.
    pub(crate) async fn serve(
        &self,
        listener: TcpListener,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> Result<bool, Box<dyn Error + Send + Sync>> {
        let service = self.router().into_make_service_with_connect_info::<SocketAddr>();
        let (tell, told) = tokio::sync::watch::channel(false);
        let end = async move {
            end.await;
            tell.send_replace(true);
        };
        let finish = async {
            axum::serve(listener, service).with_graceful_shutdown(end).await?;
            self.work.tasks.close();
            self.work.tasks.wait().await;
            Ok::<_, Box<dyn Error + Send + Sync>>(true)
        };
        let patience = async {
            // Fails if the server has failed: then it ends by itself.
            if told.clone().wait_for(|is_told| *is_told).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(PATIENCE).await;
        };
        let is_finished = tokio::select! {
            finished = finish => finished?,
            () = patience => false, // a client that keeps its connection busy, or a task that hangs
        };
        Ok(self.work.audit.stop_within(PATIENCE_FOR_AUDIT).await && is_finished)
    }
}

/// A request that has begun ends and is noted, whether or not its client waits for the answer.
async fn finish(State(work): State<Work>, request: Request, next: Next) -> Response {
    let what = format!("{} {}", request.method(), request.uri().path());
    let audit = work.audit.clone();
    let task = work.tasks.spawn(async move {
        // A handler that panics has its row too.
        let answering = tokio::spawn(next.run(request));
        let failed = |_| StatusCode::INTERNAL_SERVER_ERROR.into_response();
        let response = answering.await.unwrap_or_else(failed);
        audit.note(what, response.status().as_u16()).await;
        response
    });
    task.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
