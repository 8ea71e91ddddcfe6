-- For sqlc alone: internal/pg makes the schema before the first migration.
create schema console;
