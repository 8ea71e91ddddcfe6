-- +goose Up

-- Nothing ever signed with the key that the web process made, and a key that lay here is no secret any more: policy is
-- signed by the signer, in a process of its own. The public half stays for what pinned it.
delete from console.policy_private_keys;

-- Each proof of an installation's key is good once. Rows are kept as long as a clock may be off.
create table console.used_proofs (
    org_id          bigint not null,
    installation_id text collate "C" not null,
    at              timestamptz not null,
    primary key (org_id, installation_id, at),
    foreign key (org_id, installation_id) references console.installations on delete cascade
);
create index used_proofs_by_age on console.used_proofs (at);

create index installations_by_token on console.installations (org_id, token_id);
create index installations_newest on console.installations (org_id, cluster, registered_at desc);

-- '' = it stands by itself.
alter table console.attacks add column merged_into text collate "C" not null default '';

create table console.blind_intervals (
    org_id          bigint not null,
    installation_id text collate "C" not null,
    interval_id     text collate "C" not null,
    cluster         text collate "C" not null,
    from_at         timestamptz not null,
    -- Null while it lasts.
    to_at           timestamptz,
    body            bytea not null,
    received_at     timestamptz not null,
    primary key (org_id, installation_id, interval_id),
    foreign key (org_id, installation_id) references console.installations on delete cascade
);
create index blind_intervals_newest on console.blind_intervals (org_id, from_at desc, installation_id desc, interval_id desc);
create index blind_intervals_of_installation on console.blind_intervals (org_id, installation_id, from_at desc);

-- The manifest and the signature are kept as the very bytes that were signed; content lies beside it under its digest.
create table console.policies (
    org_id       bigint not null references console.organisations,
    sequence     bigint not null,
    manifest     bytea not null,
    signature    bytea not null,
    published_at timestamptz not null,
    primary key (org_id, sequence)
);
create table console.policy_blobs (
    org_id  bigint not null references console.organisations,
    digest  bytea not null,
    content bytea not null,
    primary key (org_id, digest)
);

-- +goose Down
drop table console.policy_blobs, console.policies, console.blind_intervals, console.used_proofs;
alter table console.attacks drop column merged_into;
drop index console.installations_by_token, console.installations_newest;
