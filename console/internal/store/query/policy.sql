-- name: LockPolicy :exec
-- Two publications go one after the other.
select pg_advisory_xact_lock(hashtextextended('sidelight console policy ' || @org_id::bigint, 0));

-- name: HeadOfPolicy :one
-- 0: none was published yet.
select coalesce(max(sequence), 0)::bigint from console.policies where org_id = @org_id;

-- name: GetPolicy :one
select manifest, signature from console.policies where org_id = @org_id and sequence = @sequence;

-- name: ListPolicies :many
select manifest from console.policies where org_id = @org_id order by sequence desc limit @most;

-- name: InsertPolicy :exec
insert into console.policies (org_id, sequence, manifest, signature, published_at)
values (@org_id, @sequence, @manifest, @signature, @published_at);

-- name: PutPolicyBlob :exec
insert into console.policy_blobs (org_id, digest, content) values (@org_id, @digest, @content)
on conflict (org_id, digest) do nothing;

-- name: GetPolicyBlobs :many
select digest, content from console.policy_blobs where org_id = @org_id and digest = any (@digests::bytea[]);
