/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libsluice: what the Linux kernel does to find out which bytes of a cache file are there, for programs.
 *
 * Reading blobs through the daemon is in <sluice_client.h>; here is what needs no daemon.
 *
 * Offsets and lengths are bytes. No function here keeps state, takes locks, allocates, or changes errno; all may be
 * called from any thread. They use lseek(2) and so move the file position of `fd`: use pread(2) and pwrite(2) beside
 * them. Manual page: sluice_prepare_ondemand_read(3).
 */
#ifndef SLUICE_H
#define SLUICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where a range has to be read from. The numbers are those of Linux 6.2 to 6.18 (enum netfs_io_source). */
enum sluice_source {
    SLUICE_SOURCE_UNKNOWN = 0,       /* never returned */
    SLUICE_FILL_WITH_ZEROES = 1,     /* it lies behind the end of the object */
    SLUICE_DOWNLOAD_FROM_SERVER = 2, /* it is not in the cache, or nobody can tell */
    SLUICE_READ_FROM_CACHE = 3,      /* it is in the cache */
    SLUICE_INVALID_READ = 4          /* the request was refused, or made no sense */
};

/* Flags, in and out. The bits are the kernel's; others are passed through untouched. */
#define SLUICE_SREQ_COPY_TO_CACHE (1UL << 0) /* out: what is downloaded should be written to the cache */
#define SLUICE_SREQ_ONDEMAND (1UL << 5)      /* in: ask `request` to fill a hole; cleared when it was asked */

/* Cookie flags. */
#define SLUICE_COOKIE_NO_DATA_TO_READ (1U << 0) /* the cache file was made just now: it is known to be empty */
/*
 * Only what is on the disk is data: the file's extents are asked (FIEMAP), where the file system has them. The kernel's
 * way, without this flag, also takes for data what is allocated, never was written, and has a page of zeros in memory.
 */
#define SLUICE_COOKIE_WRITTEN_ONLY (1U << 1)

/* Why the source is what it is. 0 to 7 are the kernel's trace reasons, the others are ours. */
enum sluice_why {
    SLUICE_WHY_AFTER_EOF = 0,
    SLUICE_WHY_FOUND_HOLE = 1, /* a hole over the whole range */
    SLUICE_WHY_FOUND_PART = 2, /* a hole up to data inside of the range */
    SLUICE_WHY_HAVE_DATA = 3,
    SLUICE_WHY_NO_DATA = 4, /* SLUICE_COOKIE_NO_DATA_TO_READ */
    SLUICE_WHY_NO_FILE = 5, /* fd is negative */
    SLUICE_WHY_SEEK_ERROR = 6,
    SLUICE_WHY_SEEK_NXIO = 7, /* no data from here to the end of the file */
    SLUICE_WHY_BAD_ARGUMENT = 8,
    SLUICE_WHY_PART_OF_BLOCK = 9 /* the data ends before one whole block of the file system: of no use */
};

/*
 * The surroundings of a probe. Start from SLUICE_ONDEMAND_INIT, so that fields added later have their defaults.
 * The library writes only `why`.
 */
struct sluice_ondemand {
    size_t struct_size;    /* sizeof (struct sluice_ondemand) */
    uint32_t cookie_flags; /* SLUICE_COOKIE_... */
    uint32_t block_size;   /* of the file system, a power of two; 0: ask it, at each call */

    /*
     * Fills the hole [start, start + len) of the file, or as much of it as it likes, and returns when that is done:
     * 0, or anything else to have the read refused. Called at most once a call, on the caller's thread, with nothing
     * locked. NULL stands for a function that fills nothing and returns 0. Must not throw.
     */
    int (*request)(void* ctx, uint64_t start, uint64_t len);
    void* ctx;
    enum sluice_why why; /* out */
};

#define SLUICE_ONDEMAND_INIT                                                                                           \
    {                                                                                                                  \
        sizeof(struct sluice_ondemand), 0, 0, NULL, NULL, SLUICE_WHY_AFTER_EOF                                         \
    }

/*
 * Says where the bytes from `start` on have to be read from, and for how many of the `*len` wanted ones that holds: the
 * kernel's cachefiles_prepare_ondemand_read() over the cache file `fd` (a regular file, or the descriptor that came
 * with a cachefiles OPEN; negative: there is none).
 *
 * `i_size`: the object's size as the reader sees it; EROFS passes INT64_MAX. `*len` is lowered to what the answer is
 * about and is never raised. `*flags`: see SLUICE_SREQ_...
 * `ondemand` may be NULL: defaults, and no reason told.
 *
 * Never fails: whatever goes wrong is told by the source. Where the kernel checks nothing, this does:
 *  - `start` negative, `len` or `flags` NULL, a block size that is no power of two, or `*len` 0 for a start inside of
 *    the object: SLUICE_INVALID_READ, SLUICE_WHY_BAD_ARGUMENT, nothing else touched;
 *  - a `struct_size` below that of this header: SLUICE_INVALID_READ, nothing touched at all, `why` included;
 *  - a range that reaches beyond INT64_MAX ends there;
 *  - rounding to the file system's blocks never makes `*len` larger than the range that was asked for;
 *  - when rounding leaves nothing (the data ends inside of its first block, or `start` is not at a block):
 *    SLUICE_INVALID_READ, SLUICE_WHY_PART_OF_BLOCK, `*len` 0.
 */
enum sluice_source sluice_prepare_ondemand_read(
    int fd, int64_t start, uint64_t* len, int64_t i_size, unsigned long* flags, struct sluice_ondemand* ondemand
);

/*
 * Finds the first run of data at or behind `start` and before `start + len`, in whole units of `granularity` (a power
 * of two or 0; never finer than the file system's blocks): cachefiles_query_occupancy(). Returns 0 and the run; or
 * -ENODATA when there is none, -ENOBUFS when the file can't be probed, -EINVAL for arguments that make no sense; then
 * `*data_start` is -1 and `*data_len` 0.
 *
 * Differs from the kernel in one thing: a run that goes on behind the range is cut at the range's end (the kernel
 * reports `len` bytes from where the data begins, which may take in a hole).
 */
int sluice_query_occupancy(
    int fd, int64_t start, uint64_t len, uint64_t granularity, int64_t* data_start, uint64_t* data_len
);

/* "read-from-cache", "have-data", …: for messages. "unknown" for other numbers; never NULL. */
const char* sluice_source_name(enum sluice_source source);
const char* sluice_why_name(enum sluice_why why);

#ifdef __cplusplus
}
#endif

#endif
