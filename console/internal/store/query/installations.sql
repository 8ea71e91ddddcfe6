-- name: PutAccessKey :exec
insert into console.access_keys (org_id, secret, created_at) values (@org_id, @secret, @created_at)
on conflict (org_id) do nothing;

-- name: ListOrganisations :many
select org_id from console.organisations order by org_id;

-- name: GetAccessKey :one
select secret from console.access_keys where org_id = @org_id;

-- name: PinPolicyKey :exec
-- The key that installations pin: the signer's, as it was last heard.
insert into console.policy_keys (org_id, public_key) values (@org_id, @public_key)
on conflict (org_id) do update set public_key = excluded.public_key;

-- name: GetPolicyKey :one
select public_key from console.policy_keys where org_id = @org_id;

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
-- Again changes nothing, and is no error.
update console.installations set revoked_at = coalesce(revoked_at, @revoked_at::timestamptz)
where org_id = @org_id and installation_id = @installation_id;

-- name: KeyWasRevoked :one
select exists (
    select 1 from console.installations
    where org_id = @org_id and token_id = @token_id and token_generation = @token_generation and public_key = @public_key
      and revoked_at is not null
);

-- name: GetInstallation :one
select i.org_id, i.installation_id, i.cluster, i.public_key, i.token_generation,
       (i.revoked_at is null and t.revoked_at is null and t.generation = i.token_generation)::boolean as valid
from console.installations i
join console.tokens t using (org_id, token_id)
where i.installation_id = @installation_id;

-- name: UseProof :execrows
-- One caller wins, whatever arrives at the same time.
insert into console.used_proofs (org_id, installation_id, at) values (@org_id, @installation_id, @at)
on conflict do nothing;

-- name: DeleteOldProofs :execrows
delete from console.used_proofs where at < @before;

-- name: SeeInstallation :exec
update console.installations set last_seen = @last_seen
where org_id = @org_id and installation_id = @installation_id and last_seen < @last_seen;

-- name: ListInstallations :many
-- The newest of each cluster: one that was cut off is shown until its cluster registers again.
select distinct on (i.cluster) i.installation_id, i.cluster, i.registered_at, i.last_seen, i.token_id,
       (i.revoked_at is not null or t.revoked_at is not null or t.generation <> i.token_generation)::boolean as revoked
from console.installations i
join console.tokens t using (org_id, token_id)
where i.org_id = @org_id
order by i.cluster, i.revoked_at is not null, i.registered_at desc, i.installation_id;

-- name: ListStatuses :many
select cluster, part, instance, received_at, body from console.statuses
where org_id = @org_id
  and (sqlc.narg(cluster)::text is null or cluster = sqlc.narg(cluster))
  and (sqlc.narg(part)::text is null or part = sqlc.narg(part))
order by cluster, part, instance;

-- name: PutStatuses :exec
insert into console.statuses (org_id, cluster, part, instance, received_at, body)
select @org_id::bigint, @cluster::text, unnest(@parts::text[]), unnest(@instances::text[]), @received_at::timestamptz,
       unnest(@bodies::bytea[])
on conflict (org_id, cluster, part, instance) do update set received_at = excluded.received_at, body = excluded.body;

-- name: DeleteOldStatuses :execrows
delete from console.statuses where received_at < @before;
