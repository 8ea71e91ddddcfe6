-- name: PutAccessKey :exec
insert into console.access_keys (org_id, secret, created_at) values (@org_id, @secret, @created_at)
on conflict (org_id) do nothing;

-- name: GetAccessKey :one
select secret from console.access_keys where org_id = @org_id;

-- name: PutPolicyKey :execrows
insert into console.policy_keys (org_id, public_key) values (@org_id, @public_key)
on conflict (org_id) do nothing;

-- name: PutPolicyPrivateKey :exec
insert into console.policy_private_keys (org_id, private_key) values (@org_id, @private_key);

-- name: GetPolicyKey :one
select public_key from console.policy_keys where org_id = @org_id;

-- name: InsertToken :exec
insert into console.tokens (org_id, token_id, name, token_hash, created_at)
values (@org_id, @token_id, @name, @token_hash, @created_at);

-- name: PutToken :exec
-- The value may change, the token stays the same one: installations made with it go on.
insert into console.tokens (org_id, token_id, name, token_hash, created_at)
values (@org_id, @token_id, @name, @token_hash, @created_at)
on conflict (org_id, token_id) do update set token_hash = excluded.token_hash;

-- name: FindToken :one
select org_id, token_id, generation from console.tokens where token_hash = @token_hash and revoked_at is null;

-- name: LockCluster :exec
-- Two registrations of one cluster go one after the other.
select pg_advisory_xact_lock(hashtextextended('sidelight console cluster ' || @org_id::bigint || ' ' || @cluster::text, 0));

-- name: GetLiveInstallation :one
select i.installation_id, i.public_key, i.token_id, i.token_generation,
       (t.revoked_at is null and t.generation = i.token_generation)::boolean as token_valid
from console.installations i
join console.tokens t using (org_id, token_id)
where i.org_id = @org_id and i.cluster = @cluster and i.revoked_at is null;

-- name: InsertInstallation :exec
insert into console.installations
    (org_id, installation_id, cluster, version, public_key, token_id, token_generation, registered_at, last_seen)
values (@org_id, @installation_id, @cluster, @version, @public_key, @token_id, @token_generation, @registered_at, @registered_at);

-- name: RevokeInstallation :execrows
update console.installations set revoked_at = @revoked_at
where org_id = @org_id and installation_id = @installation_id and revoked_at is null;

-- name: GetInstallation :one
select i.org_id, i.installation_id, i.cluster, i.public_key, i.token_generation,
       (i.revoked_at is null and t.revoked_at is null and t.generation = i.token_generation)::boolean as valid
from console.installations i
join console.tokens t using (org_id, token_id)
where i.installation_id = @installation_id;

-- name: SeeInstallation :exec
update console.installations set last_seen = @last_seen
where org_id = @org_id and installation_id = @installation_id and last_seen < @last_seen;

-- name: ListInstallations :many
select installation_id, cluster, registered_at, last_seen from console.installations
where org_id = @org_id and revoked_at is null
order by cluster;

-- name: ListStatuses :many
select cluster, body from console.statuses where org_id = @org_id order by cluster, part, instance;

-- name: PutStatuses :exec
insert into console.statuses (org_id, cluster, part, instance, received_at, body)
select @org_id::bigint, @cluster::text, unnest(@parts::text[]), unnest(@instances::text[]), @received_at::timestamptz,
       unnest(@bodies::bytea[])
on conflict (org_id, cluster, part, instance) do update set received_at = excluded.received_at, body = excluded.body;

-- name: DeleteOldStatuses :execrows
delete from console.statuses where received_at < @before;
