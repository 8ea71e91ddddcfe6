-- name: PutAttacks :execrows
-- Written only when newer. An upload that names no samples keeps those that are there.
insert into console.attacks (org_id, cluster, attack_id, version, type, last_seen, merged_into, body, samples, updated_at)
select @org_id::bigint, @cluster::text, unnest(@ids::text[]), unnest(@versions::bigint[]), unnest(@types::text[]),
       unnest(@last_seen::timestamptz[]), unnest(@merged_into::text[]), unnest(@bodies::bytea[]), unnest(@samples::bytea[]),
       @updated_at::timestamptz
on conflict (org_id, cluster, attack_id) do update
set version = excluded.version, type = excluded.type, last_seen = excluded.last_seen, merged_into = excluded.merged_into,
    body = excluded.body,
    samples = case when length(excluded.samples) = 0 then attacks.samples else excluded.samples end,
    updated_at = excluded.updated_at
where attacks.version < excluded.version;

-- name: ListAttacks :many
select cluster, attack_id, last_seen, body from console.attacks
where org_id = @org_id and merged_into = ''
  and (sqlc.narg(cluster)::text is null or cluster = sqlc.narg(cluster))
  and (sqlc.narg(types)::text[] is null or type = any (sqlc.narg(types)::text[]))
  and (sqlc.narg(since)::timestamptz is null or last_seen >= sqlc.narg(since))
  and (sqlc.narg(before)::timestamptz is null
       or (last_seen, cluster, attack_id) < (sqlc.narg(before)::timestamptz, @before_cluster::text, @before_id::text))
order by last_seen desc, cluster desc, attack_id desc
limit @page_size;

-- name: CountAttacks :one
select count(*) from console.attacks
where org_id = @org_id and merged_into = ''
  and (sqlc.narg(cluster)::text is null or cluster = sqlc.narg(cluster))
  and (sqlc.narg(types)::text[] is null or type = any (sqlc.narg(types)::text[]))
  and (sqlc.narg(since)::timestamptz is null or last_seen >= sqlc.narg(since));

-- name: GetAttack :one
select body, samples, merged_into from console.attacks
where org_id = @org_id and cluster = @cluster and attack_id = @attack_id;
