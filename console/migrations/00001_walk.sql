-- +goose Up

create table console.organisations (
    org_id bigint primary key,
    name   text not null
);
insert into console.organisations (org_id, name) values (1, 'main');

-- Keys that sign access tokens. Made at first start, one per organisation.
create table console.access_keys (
    org_id     bigint primary key references console.organisations,
    secret     bytea not null,
    created_at timestamptz not null
);

-- Keys that sign policy bundles. The private half has its own table so that the role of the web process can be
-- kept away from it.
create table console.policy_keys (
    org_id     bigint primary key references console.organisations,
    public_key bytea not null
);
create table console.policy_private_keys (
    org_id      bigint primary key references console.policy_keys,
    private_key bytea not null
);

create table console.people (
    org_id            bigint not null references console.organisations,
    user_name         text collate "C" not null,
    password_hash     text not null,
    must_change       boolean not null,
    -- Set while password_hash is that of a one-time secret.
    secret_expires_at timestamptz,
    secret_used_at    timestamptz,
    changed_at        timestamptz not null,
    primary key (org_id, user_name)
);

create table console.sessions (
    org_id       bigint not null,
    id_hash      bytea not null,
    user_name    text collate "C" not null,
    created_at   timestamptz not null,
    last_used_at timestamptz not null,
    primary key (org_id, id_hash),
    foreign key (org_id, user_name) references console.people on delete cascade
);
create unique index sessions_by_id on console.sessions (id_hash);

create table console.tokens (
    org_id     bigint not null references console.organisations,
    token_id   text collate "C" not null,
    name       text not null,
    token_hash bytea not null,
    -- Grows with every revocation; credentials of an older generation are void.
    generation bigint not null default 1,
    created_at timestamptz not null,
    revoked_at timestamptz,
    primary key (org_id, token_id)
);
create unique index tokens_by_hash on console.tokens (token_hash);

create table console.installations (
    org_id           bigint not null,
    installation_id  text collate "C" not null,
    cluster          text collate "C" not null,
    version          text not null,
    public_key       bytea not null,
    token_id         text collate "C" not null,
    token_generation bigint not null,
    registered_at    timestamptz not null,
    last_seen        timestamptz not null,
    revoked_at       timestamptz,
    primary key (org_id, installation_id),
    foreign key (org_id, token_id) references console.tokens
);
-- Two installations may never write the same cluster at once.
create unique index installations_live_cluster on console.installations (org_id, cluster) where revoked_at is null;
create unique index installations_by_id on console.installations (installation_id);

-- `body` is the whole message without its samples; the columns beside it are what lists filter and sort by.
create table console.attacks (
    org_id     bigint not null references console.organisations,
    cluster    text collate "C" not null,
    attack_id  text collate "C" not null,
    version    bigint not null,
    type       text collate "C" not null,
    last_seen  timestamptz not null,
    body       bytea not null,
    samples    bytea not null,
    updated_at timestamptz not null,
    primary key (org_id, cluster, attack_id)
);
create index attacks_newest on console.attacks (org_id, last_seen desc, cluster desc, attack_id desc);
create index attacks_newest_of_type on console.attacks (org_id, type, last_seen desc);

create table console.endpoints (
    org_id      bigint not null references console.organisations,
    cluster     text collate "C" not null,
    endpoint_id text collate "C" not null,
    version     bigint not null,
    service     text collate "C" not null,
    host        text collate "C" not null,
    path        text collate "C" not null,
    method      text collate "C" not null,
    archived    boolean not null,
    body        bytea not null,
    updated_at  timestamptz not null,
    primary key (org_id, cluster, endpoint_id)
);
create index endpoints_in_order on console.endpoints (org_id, service, host, path, method, cluster, endpoint_id)
    where not archived;

-- The last report of each part, whatever installation passed it on.
create table console.statuses (
    org_id      bigint not null references console.organisations,
    cluster     text collate "C" not null,
    part        text collate "C" not null,
    instance    text collate "C" not null,
    received_at timestamptz not null,
    body        bytea not null,
    primary key (org_id, cluster, part, instance)
);

-- +goose Down
drop table console.statuses, console.endpoints, console.attacks, console.installations, console.tokens,
    console.sessions, console.people, console.policy_private_keys, console.policy_keys, console.access_keys,
    console.organisations;
