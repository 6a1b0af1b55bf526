/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libsluice: reading the blobs of registered images through sluiced(8), without root and without kernel support.
 *
 * Source, lib/ of sluice; manual pages: sluice_connect(3), sluice_blob_open(3), sluice_pread(3),
 * sluice_submit_pread(3).
 *
 * Units. Offsets and lengths are bytes, times milliseconds.
 * Errors. Functions return a negative errno value where they fail; errno itself means nothing afterwards.
 * Threads. A connection has one thread of its own, which runs no code of the caller's and takes no signals. All
 * functions may be called from any thread, several at once, with two exceptions: sluice_close() and sluice_blob_close()
 * want the last word on their object, as free(3) does. After fork(2) the child may not use the parent's connections.
 * Restarts. When the daemon goes away, what is outstanding waits for its return and is asked again, each until its own
 *   deadline; blobs are opened again by themselves. What is in the cache can be read all the while.
 */
#ifndef SLUICE_CLIENT_H
#define SLUICE_CLIENT_H

#include <sluice.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_DEFAULT_SOCKET "/run/sluice/blobs.sock"
#define SLUICE_DEFAULT_TIMEOUT 60000 /* ms */

struct sluice_client;
struct sluice_blob;

/* Flags of a connection. */
#define SLUICE_CONNECT_WAIT (1U << 0) /* wait for a daemon that does not run yet, until the time-out */

struct sluice_options {
    size_t struct_size;      /* sizeof (struct sluice_options) */
    const char* socket_path; /* NULL: SLUICE_DEFAULT_SOCKET */
    int64_t timeout_ms;      /* how long one call may take, waiting for the daemon's return included; 0: without end */
    uint32_t flags;          /* SLUICE_CONNECT_... */
    uint32_t reserved;       /* 0 */
};

#define SLUICE_OPTIONS_INIT                                                                                            \
    {                                                                                                                  \
        sizeof(struct sluice_options), NULL, SLUICE_DEFAULT_TIMEOUT, 0, 0                                              \
    }

/*
 * Connects to the daemon. `options` may be NULL. 0 and the connection; or -ENOENT or -ECONNREFUSED (no daemon there),
 * -EACCES (we are neither root nor in one of the daemon's library-groups), -EBUSY (too many connections),
 * -EPROTONOSUPPORT (a daemon of another age), -ETIMEDOUT, -EINVAL, -ENAMETOOLONG, -EMFILE, -ENOMEM.
 */
int sluice_connect(const struct sluice_options* options, struct sluice_client** client);

/*
 * Ends the connection: what is outstanding ends with -ECANCELED, and no caller's buffer is touched afterwards. Blobs
 * that are still open have to be closed all the same; until then what is cached of them can be read, and the rest is
 * -ESHUTDOWN. NULL is allowed.
 */
void sluice_close(struct sluice_client* client);

/* Ends everything that is outstanding, in all threads, with -ECANCELED. The connection stays. */
void sluice_cancel_all(struct sluice_client* client);

/*
 * Opens a blob of a registered image: by its digest, "sha256:" and 64 hex digits; or as what the image `reference` has
 * as `layer` (0 is the lowest) and `device` (0 is the layer itself, 1 and up its extra devices). The blob stays the
 * same one when the image is registered anew. 0 and the blob; or -ENOENT (no registered image has it), -ENOTUNIQ
 * (registered images disagree about what the digest is; open it by image and layer), -EACCES, -EMFILE (too many are
 * open), -ENOSPC, -EIO (the daemon cannot keep it), -ESHUTDOWN, -ETIMEDOUT, -EINVAL, -ECANCELED, -ENOMEM.
 */
int sluice_blob_open(struct sluice_client* client, const char* digest, struct sluice_blob** blob);
int sluice_image_open(
    struct sluice_client* client, const char* reference, uint32_t layer, uint32_t device, struct sluice_blob** blob
);

/* Asynchronous reads of the blob that are under way end with -ECANCELED, and still have to be reaped. NULL is allowed.
 */
void sluice_blob_close(struct sluice_blob* blob);

uint64_t sluice_blob_size(const struct sluice_blob* blob);      /* bytes; a multiple of 4096 */
const char* sluice_blob_digest(const struct sluice_blob* blob); /* "sha256:…"; lives as long as the blob */

/*
 * The backing file, read-only: for mmap(2), sendfile(2) and the like, of ranges that sluice_blob_prepare() has said are
 * there. Holes in it read as zeros: never read what was not prepared. It has POSIX_FADV_RANDOM set, so that nobody's
 * readahead does. The descriptor is the library's, is the same file
 * as long as the blob is open here, and stays readable. If the daemon's cache was thrown away meanwhile, then a later
 * call returns another descriptor, and only that one goes on being filled.
 */
int sluice_blob_fd(struct sluice_blob* blob);

/*
 * sluice_prepare_ondemand_read() on the blob's backing file. With SLUICE_SREQ_ONDEMAND in `*flags` a hole is filled by
 * the daemon; that blocks, up to the time-out. `why` may be NULL. SLUICE_READ_FROM_CACHE: the next `*len` bytes of
 * sluice_blob_fd() are there, and proved. SLUICE_INVALID_READ: the daemon could not, or not in time;
 * SLUICE_DOWNLOAD_FROM_SERVER: a hole, and the daemon was not asked, or has put nothing in it.
 */
enum sluice_source
sluice_blob_prepare(struct sluice_blob* blob, int64_t start, uint64_t* len, unsigned long* flags, enum sluice_why* why);

/*
 * pread(2) of the blob: `count` bytes at `offset` into `buffer`, fetched and proved where they are not cached. Returns
 * how many, less than `count` at the end of the blob or when the rest could not be had; 0 at the end; or, when not one
 * byte could be had, -EBADMSG (what came is not what was signed), -ENODATA (no repository has it), -ENOSPC (the cache
 * is full), -EACCES (the registry refuses the daemon, or the daemon us), -ETIMEDOUT (not within the daemon's
 * read-deadline, or our time-out), -EIO (anything else), -ECANCELED, -ESHUTDOWN, -ENOENT (its image is no longer
 * registered), -ESTALE (the daemon has another blob of that name), -EINVAL, -ENOMEM, -EMFILE, -ENFILE.
 * Signals do not interrupt it; sluice_cancel_all() does.
 */
ssize_t sluice_pread(struct sluice_blob* blob, void* buffer, size_t count, int64_t offset);

/* ---- For event loops ---- */

struct sluice_completion {
    uint64_t id;    /* what sluice_submit_pread() has said */
    void* user;     /* what it was given */
    int64_t result; /* as sluice_pread() returns it */
};

/*
 * sluice_pread() without the waiting: `buffer` is filled by the connection's thread and must stay until the completion
 * was reaped. Each one that was submitted completes once. 0, or a negative errno and nothing was submitted.
 */
int sluice_submit_pread(struct sluice_blob* blob, void* buffer, size_t count, int64_t offset, void* user, uint64_t* id);

/*
 * A descriptor (eventfd) that polls readable while there are completions. For polling only: not to be read or closed.
 */
int sluice_event_fd(const struct sluice_client* client);

/* Up to `max` completions, without waiting: their number, 0 when there are none now. */
int sluice_reap(struct sluice_client* client, struct sluice_completion* completions, unsigned max);

/*
 * What a negative result of these functions means, in a few English words, as "not what was signed" for -EBADMSG. Never
 * NULL, never freed; any thread may call it.
 */
const char* sluice_strerror(int64_t result);

/* Completes it with -ECANCELED (or with what was read already) soon. -ENOENT when it has completed before. */
int sluice_cancel(struct sluice_client* client, uint64_t id);

#ifdef __cplusplus
}
#endif

#endif
