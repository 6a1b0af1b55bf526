// SPDX-License-Identifier: Apache-2.0
//
// The database's schema, as the list of steps that lead to it. Steps are never edited once released: append another.
#pragma once

#include <array>

namespace sluice::cache {

/// kMigrations[n] leads from version n to n + 1; the version is sqlite's user_version.
inline constexpr std::array kMigrations = {
    R"sql(
CREATE TABLE blobs (
    digest       BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    blob_size    INTEGER NOT NULL CHECK (blob_size >= 0),
    erofs_size   INTEGER NOT NULL CHECK (erofs_size >= 0),
    tree_root    BLOB    NOT NULL CHECK (length(tree_root) = 32),
    tree_offset  INTEGER NOT NULL CHECK (tree_offset >= 0),
    compressed   INTEGER NOT NULL,
    complete     INTEGER NOT NULL,
    last_access  INTEGER NOT NULL -- seconds since 1970
) STRICT, WITHOUT ROWID;

CREATE TABLE blob_repositories (
    digest       BLOB    NOT NULL REFERENCES blobs ON DELETE CASCADE,
    repository   TEXT    NOT NULL,
    registered   INTEGER NOT NULL, -- counts up: the latest is the likeliest to be there still
    PRIMARY KEY (digest, repository)
) STRICT, WITHOUT ROWID;

CREATE TABLE images (
    reference       TEXT    NOT NULL PRIMARY KEY,
    repository      TEXT    NOT NULL,
    manifest_digest BLOB    NOT NULL CHECK (length(manifest_digest) = 32),
    index_digest    BLOB    CHECK (length(index_digest) = 32),
    signer_key      TEXT    NOT NULL,
    signer_name     TEXT    NOT NULL,
    verified_at     INTEGER NOT NULL, -- seconds since 1970
    manifest        BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE image_layers (
    reference    TEXT    NOT NULL REFERENCES images ON DELETE CASCADE,
    position     INTEGER NOT NULL, -- of the EROFS mount, bottom first
    device       INTEGER NOT NULL, -- 0: the mount's own blob; 1 and up: its extra devices in order
    role         TEXT    NOT NULL CHECK (role IN ('lower', 'data', 'device')),
    digest       BLOB    NOT NULL REFERENCES blobs,
    PRIMARY KEY (reference, position, device)
) STRICT, WITHOUT ROWID;

CREATE INDEX image_layers_by_digest ON image_layers (digest);
)sql",
    // A blob is what a manifest says of its digest, so that one manifest's lies are no other one's truth; where it lies
    // is what its images say. Images are kept with the signature that was verified.
    R"sql(
CREATE TABLE blobs_2 (
    id           INTEGER PRIMARY KEY,
    digest       BLOB    NOT NULL CHECK (length(digest) = 32),
    tree_root    BLOB    NOT NULL CHECK (length(tree_root) = 32),
    blob_size    INTEGER NOT NULL CHECK (blob_size >= 0),
    erofs_size   INTEGER NOT NULL CHECK (erofs_size >= 0),
    tree_offset  INTEGER NOT NULL CHECK (tree_offset >= 0),
    compressed   INTEGER NOT NULL,
    last_access  INTEGER NOT NULL, -- seconds since 1970
    UNIQUE (digest, tree_root, blob_size, erofs_size, tree_offset)
) STRICT;

INSERT INTO blobs_2 (digest, tree_root, blob_size, erofs_size, tree_offset, compressed, last_access)
    SELECT digest, tree_root, blob_size, erofs_size, tree_offset, compressed, last_access FROM blobs;

CREATE TABLE image_layers_2 (
    reference    TEXT    NOT NULL REFERENCES images ON DELETE CASCADE,
    position     INTEGER NOT NULL, -- of the EROFS mount, bottom first
    device       INTEGER NOT NULL, -- 0: the mount's own blob; 1 and up: its extra devices in order
    role         TEXT    NOT NULL CHECK (role IN ('lower', 'data', 'device')),
    blob         INTEGER NOT NULL REFERENCES blobs_2,
    PRIMARY KEY (reference, position, device)
) STRICT, WITHOUT ROWID;

INSERT INTO image_layers_2 (reference, position, device, role, blob)
    SELECT l.reference, l.position, l.device, l.role, b.id FROM image_layers l JOIN blobs_2 b USING (digest);

DROP TABLE image_layers;
DROP TABLE blob_repositories;
DROP TABLE blobs;
ALTER TABLE blobs_2 RENAME TO blobs;
ALTER TABLE image_layers_2 RENAME TO image_layers;
CREATE INDEX image_layers_by_blob ON image_layers (blob);

ALTER TABLE images ADD COLUMN signature_payload BLOB NOT NULL DEFAULT x'';
ALTER TABLE images ADD COLUMN signature TEXT NOT NULL DEFAULT ''; -- empty: stored before signatures were kept

CREATE TABLE image_indexes (
    reference    TEXT    NOT NULL REFERENCES images ON DELETE CASCADE,
    position     INTEGER NOT NULL, -- the outermost is 0
    document     BLOB    NOT NULL,
    PRIMARY KEY (reference, position)
) STRICT, WITHOUT ROWID;
)sql",
};

} // namespace sluice::cache
