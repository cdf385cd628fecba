//! What tokens are verified by: the log's settings, and its issuers with their keys.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::settings::{ClaimNames, IssuerRecord, Settings};
use crate::target::{HashKey, IssuerTargets};
use crate::token::{KeySet, SkippedKey};

/// All that a view says about verifying tokens, at one moment. It changes seldom, and as a whole.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    number: u64,
    settings: Option<Arc<Settings>>,
    issuers: BTreeMap<String, Arc<IssuerView>>,
}

impl Ground {
    /// Counts the changes. While it is equal to what it was, no issuer, no key and no setting of that
    /// view has changed; those of two views are not comparable.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The settings in force, once they are known.
    #[must_use]
    pub const fn settings(&self) -> Option<&Arc<Settings>> {
        self.settings.as_ref()
    }

    /// What the log says of an issuer, a removed one included.
    #[must_use]
    pub fn issuer(&self, issuer: &str) -> Option<&Arc<IssuerView>> {
        self.issuers.get(issuer)
    }

    /// Every issuer that the log describes.
    pub(super) fn issuers(&self) -> impl Iterator<Item = &IssuerView> {
        self.issuers.values().map(Arc::as_ref)
    }

    /// Whether tokens of `issuer` are verified by the very same as on `other`, whatever else changed.
    pub(crate) fn is_same_for(&self, issuer: &str, other: &Self) -> bool {
        let same_settings = same(self.settings(), other.settings());
        same_settings && same(self.issuer(issuer), other.issuer(issuer))
    }

    pub(super) fn set_settings(&mut self, settings: Settings) {
        self.number += 1;
        self.settings = Some(Arc::new(settings));
    }

    pub(super) fn set_issuer(&mut self, record: IssuerRecord) {
        self.number += 1;
        self.issuers.insert(record.issuer.clone(), Arc::new(IssuerView::new(record)));
    }

    /// The ground after this one that says exactly this.
    pub(super) fn replaced_by(&self, settings: Settings, issuers: Vec<IssuerRecord>) -> Self {
        let mut next = Self { number: self.number, ..Self::default() };
        next.set_settings(settings);
        issuers.into_iter().for_each(|issuer| next.set_issuer(issuer));
        next
    }
}

fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
}

/// An issuer as the log describes it, with its keys loaded.
#[derive(Debug)]
pub struct IssuerView {
    /// What the log says.
    pub record: IssuerRecord,
    /// Its keys, as far as they could be loaded.
    pub keys: Arc<KeySet>,
    /// Those that could not be loaded, and why. A token signed with one is refused.
    pub skipped: Vec<SkippedKey>,
    /// What its targets have in common, under the first hash key that was asked for.
    targets: OnceLock<(HashKey, IssuerTargets)>,
}

impl IssuerView {
    fn new(record: IssuerRecord) -> Self {
        let (keys, skipped) = KeySet::from_values(&record.keys);
        Self { record, keys: Arc::new(keys), skipped, targets: OnceLock::new() }
    }

    /// What its targets have in common, unless that is kept under another hash key.
    pub(crate) fn targets(&self, key: &HashKey) -> Option<&IssuerTargets> {
        let of = || (key.clone(), IssuerTargets::of(key, &self.record.issuer));
        let (kept_under, targets) = self.targets.get_or_init(of);
        (kept_under == key).then_some(targets)
    }

    /// Which claims carry what.
    pub(crate) const fn claim_names(&self) -> &ClaimNames {
        &self.record.claims
    }
}
