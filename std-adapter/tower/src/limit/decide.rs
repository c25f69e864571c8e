//! One decision over several quotas.

use core::{hash::Hash, time::Duration};

use http::StatusCode;
use steadfast::{
    Instant,
    rate_limiter::{Names, Naming, Quota},
    runtime::Clock,
};

use super::{
    Limits,
    bucket::{Asked, Bucket, QuotaOf},
};
use crate::{
    answer::{Answer, Code},
    keys::KeyOf,
};

/// The quotas of a layer for requests of type `R`: a list in pairs, `(((), first), second)`.
pub trait Quotas<R>: Asking<R> {}

impl<R, Q: Asking<R>> Quotas<R> for Q {}

pub(super) mod sealed {
    use super::Bucket;
    use crate::limit::WhenNoKey;

    /// So that nobody else implements it.
    #[expect(unnameable_types, reason = "it is nobody's business")]
    pub trait Asking<R>: Buckets<Self::Asked> {
        /// What they say of a request.
        type Asked;

        /// Finds whom a request counts for.
        fn ask(&self, request: &R, when_no_key: WhenNoKey) -> Self::Asked;
    }

    /// So that nobody else implements it.
    #[expect(unnameable_types, reason = "it is nobody's business")]
    pub trait Keyless {
        /// Requests for which one of them should have had a key.
        fn without_key(&self) -> u64;
    }

    /// So that nobody else implements it.
    #[expect(unnameable_types, private_interfaces, reason = "it is nobody's business")]
    pub trait Buckets<A> {
        /// Visits each with what it was asked, in their order.
        fn each(&self, asked: &mut A, visit: &mut dyn FnMut(&mut dyn Bucket));
    }
}
pub(super) use sealed::Keyless;
use sealed::{Asking, Buckets};

impl Keyless for () {
    fn without_key(&self) -> u64 {
        0
    }
}

impl<Q: Keyless, F, K, A: Quota, T, P: Naming<K>> Keyless for (Q, QuotaOf<F, K, A, T, P>) {
    fn without_key(&self) -> u64 {
        self.0.without_key().saturating_add(self.1.without_key())
    }
}

impl<R> Asking<R> for () {
    type Asked = ();

    fn ask(&self, _: &R, _: super::WhenNoKey) {}
}

#[expect(private_interfaces, reason = "it is nobody's business")]
impl Buckets<()> for () {
    fn each(&self, (): &mut (), _: &mut dyn FnMut(&mut dyn Bucket)) {}
}

impl<R, Q, F, K, A, T, P> Asking<R> for (Q, QuotaOf<F, K, A, T, P>)
where
    Q: Asking<R>,
    F: KeyOf<R, Key = K>,
    K: Hash,
    A: Quota + Copy,
    T: Clock,
    P: Names<K, K>,
{
    type Asked = (Q::Asked, Asked<K>);

    fn ask(&self, request: &R, when_no_key: super::WhenNoKey) -> Self::Asked {
        (self.0.ask(request, when_no_key), self.1.ask(request, when_no_key))
    }
}

#[expect(private_interfaces, reason = "it is nobody's business")]
impl<B, Q, F, K, A, T, P> Buckets<(B, Asked<K>)> for (Q, QuotaOf<F, K, A, T, P>)
where
    Q: Buckets<B>,
    K: Hash,
    A: Quota + Copy,
    T: Clock,
    P: Names<K, K>,
{
    fn each(&self, asked: &mut (B, Asked<K>), visit: &mut dyn FnMut(&mut dyn Bucket)) {
        self.0.each(&mut asked.0, visit);
        visit(&mut self.1.bucket(&mut asked.1));
    }
}

/// A request was denied: by which quotas, and for how long. It is in the extensions of the answer, for a layer outside
/// that writes another body.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Denied {
    /// The names of the quotas that denied it.
    pub policies: Vec<&'static str>,
    /// When none of them would deny it if no other request is before; `None` if nobody can say.
    pub retry_after: Option<Duration>,
}

impl Denied {
    pub(super) fn answer(&self) -> Answer<'_> {
        Answer {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: Code::ResourceExhausted,
            problem: "https://iana.org/assignments/http-problem-types#quota-exceeded",
            title: "Request cannot be satisfied as assigned quota has been exceeded",
            detail: None,
            policies: &self.policies,
            retry_after: self.retry_after,
        }
    }
}

impl<Q, X> Limits<Q, X> {
    /// Charges every quota, or none.
    pub(super) fn decide<R>(&self, request: &R) -> Result<Q::Asked, (Q::Asked, Denied)>
    where
        Q: Quotas<R>,
    {
        let mut asked = self.quotas.ask(request, self.when_no_key);
        let mut limiting = 0_u32;
        self.each(&mut asked, |bucket| limiting = limiting.saturating_add(bucket.is_limited().into()));
        if limiting > 1 {
            self.each(&mut asked, |bucket| bucket.check());
            // Who denies is asked first, so that it counts. If one has got a unit since, the others are asked again.
            self.charge(&mut asked, |bucket| bucket.told().is_denied);
        }
        if self.is_allowed(&mut asked) {
            self.charge(&mut asked, |bucket| !bucket.told().is_charged);
        }
        if self.is_allowed(&mut asked) {
            return Ok(asked);
        }
        self.refund(&mut asked);
        let denied = self.denied(&mut asked);
        Err((asked, denied))
    }

    /// Gives back what a request has taken.
    pub(super) fn refund<A>(&self, asked: &mut A)
    where
        Q: Buckets<A>,
    {
        self.each(asked, |bucket| bucket.refund());
    }

    pub(super) fn each<A>(&self, asked: &mut A, mut visit: impl FnMut(&mut dyn Bucket))
    where
        Q: Buckets<A>,
    {
        self.quotas.each(asked, &mut visit);
    }

    /// Charges those, as long as none of them denies.
    fn charge<A>(&self, asked: &mut A, which: impl Fn(&dyn Bucket) -> bool)
    where
        Q: Buckets<A>,
    {
        let mut is_denied = false;
        self.each(asked, |bucket| {
            if !is_denied && which(bucket) {
                bucket.charge();
                is_denied = bucket.told().is_denied;
            }
        });
    }

    fn is_allowed<A>(&self, asked: &mut A) -> bool
    where
        Q: Buckets<A>,
    {
        let mut is_allowed = true;
        self.each(asked, |bucket| is_allowed &= !bucket.told().is_denied);
        is_allowed
    }

    fn denied<A>(&self, asked: &mut A) -> Denied
    where
        Q: Buckets<A>,
    {
        let (mut policies, mut longest) = (Vec::new(), Some(Duration::ZERO));
        self.each(asked, |bucket| {
            let told = bucket.told();
            if told.is_denied {
                policies.push(bucket.name());
                let retry_at = told.verdict.and_then(|verdict| verdict.retry_at()).filter(|at| *at < Instant::MAX);
                longest = longest.zip(retry_at).map(|(longest, at)| longest.max(bucket.until(at)));
            }
        });
        Denied { policies, retry_after: longest }
    }
}
