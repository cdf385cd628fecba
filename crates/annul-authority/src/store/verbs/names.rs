//! Who may call and who may log in: clients and accounts, in one name space.

use super::{Result, Txn};
use crate::model::{Account, Act, ClientRecord};
use crate::store::Refused;

pub(crate) fn add_account(txn: &mut Txn<'_>, act: &Act, account: &Account) -> Result<()> {
    if txn.tables.account(&account.username)?.is_some() {
        return Err(Refused::AccountExists.into());
    }
    let is_client = txn.tables.client(&account.username)?.is_some() || txn.tables.client(&account.subject)?.is_some();
    if is_client || txn.tables.is_account_name(&account.subject)? {
        return Err(Refused::NameTaken.into());
    }
    txn.tables.put_account(account)?;
    note(txn, act, Some(account.username.clone()))
}

pub(crate) fn set_password(txn: &mut Txn<'_>, act: &Act, username: &str, password: String) -> Result<()> {
    let account = txn.tables.account(username)?.ok_or(Refused::AccountUnknown)?;
    txn.tables.put_account(&Account { password, ..account })?;
    note(txn, act, Some(username.to_owned()))
}

pub(crate) fn remove_account(txn: &mut Txn<'_>, act: &Act, username: &str) -> Result<()> {
    txn.tables.account(username)?.ok_or(Refused::AccountUnknown)?;
    txn.tables.remove_account(username)?;
    note(txn, act, Some(username.to_owned()))
}

pub(crate) fn add_client(txn: &mut Txn<'_>, act: &Act, client: &ClientRecord) -> Result<()> {
    if txn.tables.client(&client.client_id)?.is_some() {
        return Err(Refused::ClientExists.into());
    }
    if txn.tables.is_account_name(&client.client_id)? {
        return Err(Refused::NameTaken.into());
    }
    txn.tables.put_client(client)?;
    note(txn, act, Some(client.client_id.clone()))
}

pub(crate) fn remove_client(txn: &mut Txn<'_>, act: &Act, client_id: &str) -> Result<()> {
    txn.tables.client(client_id)?.ok_or(Refused::ClientUnknown)?;
    txn.tables.remove_client(client_id)?;
    note(txn, act, Some(client_id.to_owned()))
}

pub(crate) fn note(txn: &mut Txn<'_>, act: &Act, target: Option<String>) -> Result<()> {
    txn.appender(act)?.note_act(target)
}
